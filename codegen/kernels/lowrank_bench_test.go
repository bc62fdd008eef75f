package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"pgc/codegen/internal/link/linktest"
	"pgc/codegen/packing"
	"pgc/ir/quant"
	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/target/targettest"
	"pgc/ir/tile"
)

// lowRank is a product of a 3B model with an adapter of rank 16 beside it.
type lowRank struct {
	m, k, n int
	accs    int
	format  string
}

var lowRanks = []lowRank{
	{256, 1152, 3456, 1, "i8"}, {256, 1152, 4304, 1, "i8"}, {256, 4304, 1152, 1, "i8"},
	{266, 2304, 4096, 1, "i4"}, {266, 2304, 9216, 2, "i4"}, {266, 9216, 2304, 1, "i4"},
	{1, 2304, 4096, 1, "i4"}, {1, 2304, 9216, 2, "i4"}, {1, 9216, 2304, 1, "i4"},
	{8, 2304, 4096, 1, "i4"}, {8, 2304, 9216, 2, "i4"}, {8, 9216, 2304, 1, "i4"},
}

const benchRank = 16

// BenchmarkLowRank measures what a low-rank product beside a product costs on one thread, in processor time, as shares of the
// product's: its second factor, as further steps of sums, and its first one. The second's time is the difference, by turns, to the
// same kernel without such steps, both of a product of one group of k, whose own time so hides little of it.
func BenchmarkLowRank(b *testing.B) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, tgt := range targettest.Runnable(b) {
		for _, s := range lowRanks {
			b.Run(fmt.Sprintf("%s/%s/%dx%dx%dx%d", tgt.Name, s.format, s.m, s.k, s.accs, s.n), func(b *testing.B) {
				rows, columns := float64(s.m), float64(s.n*s.accs)
				short := s
				short.k = 128
				of := short.product(b, tgt, rng)
				times := race(b, s.product(b, tgt, rng)(0), of(0), of(benchRank), s.first(b, tgt, rng), of(0))
				second := times[2] - (times[1]+times[4])/2
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(1e3*times[0], "ms")
				b.ReportMetric(100*second/times[0], "%second")
				b.ReportMetric(100*times[3]/times[0], "%first")
				b.ReportMetric(100*(times[4]-times[1])/times[0], "%noise")
				b.ReportMetric(2*rows*benchRank*columns/second/1e9, "GFLOP/s:second")
				b.ReportMetric(2*rows*benchRank*float64(s.k*s.accs)/times[3]/1e9, "GFLOP/s:first")
			})
		}
	}
}

// product builds the product, with second ones whose rank a call says; 0 is none.
func (s lowRank) product(b *testing.B, tgt target.Target, rng *rand.Rand) func(rank int64) func() {
	f := formats[slices.IndexFunc(formats, func(f format) bool { return f.name == s.format })]
	spec := &Matmul{M: Const(int64(s.m)), K: int64(s.k), X: f.x, Parts: []Part{{
		Blocks: 1, N: int64(s.n), Elem: f.elem, Group: f.w, Accs: s.accs, Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)},
		Outs: []Out{{Elem: tile.F32, Strides: []int64{int64(s.n), 0, 1}}}}}}
	ins := []any{make([]int8, int64(s.m)*quant.RowLayout(int64(s.k), f.x.Len).Bytes)}
	for range s.accs {
		ins = append(ins, make([]int8, f.w.PackedBytes(1, int64(s.n), int64(s.k))))
	}
	for acc := range s.accs {
		spec.Parts[0].Second = append(spec.Parts[0].Second, Second{Acc: acc, K: Size{N: 31, Own: 1}, XStride: Size{N: 31, Own: 1}, Elem: tile.BF16})
		ins = append(ins, randoms(rng, s.m*benchRank), make([]uint16, packing.Len(1, int64(s.n), benchRank)))
	}
	k, code := build(b, tgt, spec)
	return func(rank int64) func() { return code.Runner(b, benchCall(k, rank, make([]float32, s.m*s.n), ins...)) }
}

// first runs the first factors of the product's matrices.
func (s lowRank) first(b *testing.B, tgt target.Target, rng *rand.Rand) func() {
	spec := &Matmul{M: Const(int64(s.m)), K: int64(s.k), XStride: int64(s.k), Aligned: true}
	ins := []any{randoms(rng, s.m*s.k)}
	for range s.accs {
		spec.Parts = append(spec.Parts, Part{Blocks: 1, N: 31, Elem: tile.BF16, Plain: Size{N: 31, Own: 1}, Accs: 1,
			Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)}, Outs: []Out{{Elem: tile.F32, Strides: []int64{0, 0, 1}}}})
		ins = append(ins, make([]uint16, benchRank*s.k))
	}
	k, code := build(b, tgt, spec)
	return code.Runner(b, benchCall(k, benchRank, make([]float32, s.m*benchRank), ins...))
}

// race runs some functions by turns, the first one seldom, and returns the lower quartile of the processor times of each.
func race(b *testing.B, runs ...func()) []float64 {
	times := make([][]float64, len(runs))
	for round := range max(b.N, 5) {
		for i, run := range runs {
			if i == 0 && round%8 != 0 {
				continue
			}
			start := processTime(b)
			run()
			times[i] = append(times[i], processTime(b)-start)
		}
	}
	quartiles := make([]float64, len(runs))
	for i, t := range times {
		slices.Sort(t)
		quartiles[i] = t[len(t)/4]
	}
	return quartiles
}

// benchCall calls a kernel whose launch's only number is an adapter's rank.
func benchCall(k *Kernel, rank int64, out any, ins ...any) linktest.Call {
	grains := coarsest(k)
	c := linktest.Call{Symbol: "k", ScratchBytes: k.Tile.ScratchBytes}
	for _, a := range k.Args {
		switch a.Kind {
		case ArgIn:
			c.Args = append(c.Args, ins[a.Index])
		case ArgOut:
			c.Args = append(c.Args, out)
		case ArgOwn:
			c.Args = append(c.Args, rank)
		case ArgGrain:
			c.Args = append(c.Args, grains[a.Index])
		}
	}
	sized := *k
	sized.Grains = nil
	for _, g := range k.Grains {
		g = slices.Clone(g)
		for i := range g {
			if g[i].Size.Own > 0 {
				g[i].Size = Const(rank)
			}
		}
		sized.Grains = append(sized.Grains, g)
	}
	c.Tasks = tasksOf(&sized, nil, grains)
	return c
}

// processTime is the processor time of this process, in seconds.
func processTime(b *testing.B) float64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return float64(t.Nano()) / 1e9
}
