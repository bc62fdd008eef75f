package ptx

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgc/codegen/kernels"
	"pgc/codegen/packing"
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// The benchmarks need a GPU: PGC_CUDA=1 go test ./codegen/ptx -run '^$' -bench GPU. Times are between events on the
// device, after warming up; medians of what b.Loop runs. Where several launches are timed together, each has operands
// of its own, so that caches hold none from the last one.

// measure reports the median time of f, which launches n times, for one launch.
func measure(b *testing.B, g *gpu, n int, f func(i int) error) time.Duration {
	b.Helper()
	all := func() error {
		for i := range n {
			if err := f(i); err != nil {
				return err
			}
		}
		return nil
	}
	once := func() time.Duration {
		took, err := g.Time(all)
		if err != nil {
			b.Fatal(err)
		}
		return took
	}
	for range 3 {
		once()
	}
	var took []time.Duration
	for b.Loop() {
		took = append(took, once())
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	one := took[len(took)/2] / time.Duration(n)
	b.ReportMetric(float64(one.Nanoseconds())/1e3, "µs/launch")
	b.ReportMetric(100*float64(took[len(took)*9/10]-took[len(took)/10])/float64(took[len(took)/2]), "%spread")
	return one
}

// per is an amount each second, in units of 1e9 or 1e12.
func per(amount, unit float64, took time.Duration) float64 { return amount / unit / took.Seconds() }

// on allocates memory that holds the little-endian bytes of a slice, or as many bytes as an int says.
func on(b *testing.B, g *gpu, v any) *gpuMemory {
	b.Helper()
	var m *gpuMemory
	var err error
	if n, ok := v.(int64); ok {
		m, err = g.Alloc(n)
	} else {
		raw, e := binary.Append(nil, binary.LittleEndian, v)
		if e != nil {
			b.Fatal(e)
		}
		m, err = g.Upload(raw)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := m.Free(); err != nil {
			b.Error(err)
		}
	})
	return m
}

// entry loads a kernel.
func entry(b *testing.B, g *gpu, k *Kernel) *gpuFunction {
	b.Helper()
	f, err := g.function(moduleOf([]*Kernel{k}), k.Name)
	if err != nil {
		b.Fatal(err)
	}
	f.Shared = int64(dynamicBytes(k))
	registers, local, err := f.Resources()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(registers), "registers")
	if local > 0 {
		b.Errorf("%s: %d bytes of local memory a thread", k.Name, local)
	}
	return f
}

// peak is the rate of the tensor cores' instruction by itself, in flops a second, once it was measured.
var peak float64

// BenchmarkGPUTensorPeak is what mma.sync reaches when it has nothing to wait for.
func BenchmarkGPUTensorPeak(b *testing.B) {
	g := needGPU(b)
	for _, chains := range []int64{8, 16} {
		b.Run(fmt.Sprintf("chains=%d", chains), func(b *testing.B) {
			const rounds = 4096
			k := tensorPeakKernel(chains, rounds)
			f := entry(b, g, k)
			tasks := int64(g.Multiprocessors) * 4 * threads / warp
			in, out := on(b, g, tensorInputs(8)[:10*warp]), on(b, g, tasks*warp*4)
			took := measure(b, g, 1, func(int) error {
				return f.Launch(blocksOf(k, tasks), k.Threads, in.Address, out.Address, uint64(tasks))
			})
			flops := float64(tasks * chains * rounds * tensorFlops)
			peak = max(peak, flops/took.Seconds())
			b.ReportMetric(per(flops, 1e12, took), "TFLOP/s")
		})
	}
}

// BenchmarkGPUMemory is a copy by the driver and kernels of the map and row templates, on a gigabyte in and one out.
func BenchmarkGPUMemory(b *testing.B) {
	g := needGPU(b)
	const n, columns = 1 << 28, 2048
	x := on(b, g, uniform(1<<20))
	from, to := on(b, g, int64(4*n)), on(b, g, int64(4*n))
	for at := int64(0); at < from.Bytes; at += x.Bytes { // the same numbers again and again
		part := &gpuMemory{}
		*part = *from
		part.Address += uint64(at)
		if err := part.Copy(x); err != nil {
			b.Fatal(err)
		}
	}
	weight := on(b, g, uniform(columns))
	report := func(b *testing.B, bytes int64, took time.Duration) {
		b.ReportMetric(per(float64(bytes), 1e9, took), "GB/s")
	}
	b.Run("copy", func(b *testing.B) {
		report(b, 2*from.Bytes, measure(b, g, 1, func(int) error { return to.Copy(from) }))
	})
	mean := fn(scalar.Div, f32(2), scalar.C(columns))
	rms := fn(scalar.Div, scalar.C(1), fn(scalar.Sqrt, fn(scalar.Add, mean, scalar.C(1e-6))))
	twoDims := []kernels.Size{kernels.Const(n / columns), kernels.Const(columns)}
	for _, c := range []struct {
		name  string
		spec  kernels.Spec
		bytes int64
	}{
		{"map_scale", &kernels.Map{Dims: []kernels.Size{kernels.Const(n)}, In: []kernels.Operand{{Elem: tile.F32, Strides: []int64{1}}},
			Exprs: []*scalar.Expr{fn(scalar.Mul, f32(0), scalar.C(2))}, Outs: []kernels.Out{{Elem: tile.F32, Strides: []int64{1}}}}, 8 * n},
		{"map_tanh", &kernels.Map{Dims: []kernels.Size{kernels.Const(n)}, In: []kernels.Operand{{Elem: tile.F32, Strides: []int64{1}}},
			Exprs: []*scalar.Expr{fn(scalar.Tanh, f32(0))}, Outs: []kernels.Out{{Elem: tile.F32, Strides: []int64{1}}}}, 8 * n},
		{"map_rows_bf16", &kernels.Map{Dims: twoDims, In: []kernels.Operand{dense(columns)},
			Exprs: []*scalar.Expr{f32(0)}, Outs: []kernels.Out{{Elem: tile.BF16, Strides: []int64{columns, 1}}}}, 6 * n},
		{"row_rms_2048", &kernels.Row{Outer: twoDims[:1], C: twoDims[1], In: []kernels.Operand{dense(columns), column(tile.F32)},
			Reduce: []kernels.Reduction{{Kind: scalar.Sum, Expr: fn(scalar.Mul, f32(0), f32(0))}}, Expr: fn(scalar.Mul, fn(scalar.Mul, f32(0), rms), f32(1)),
			Out: kernels.Out{Elem: tile.F32, Strides: []int64{columns, 1}}}, 8 * n},
	} {
		b.Run(c.name, func(b *testing.B) {
			k := one(b, c.name, c.spec)
			f := entry(b, g, k)
			var args []uint64
			for _, a := range k.Args {
				switch {
				case a.Kind == kernels.ArgOut:
					args = append(args, to.Address)
				case a.Index == 1:
					args = append(args, weight.Address)
				default:
					args = append(args, from.Address)
				}
			}
			tasks := int64(1)
			for _, t := range k.Tasks {
				tasks *= (t.Size.N + t.Div - 1) / t.Div
			}
			args = append(args, uint64(tasks))
			report(b, c.bytes, measure(b, g, 1, func(int) error { return f.Launch(blocksOf(k, tasks), k.Threads, args...) }))
		})
	}
}

// uniform makes n numbers between -1 and 1.
func uniform(n int) []float32 {
	rng := rand.New(rand.NewPCG(11, 12))
	return filled(n, func() float32 { return float32(int32(rng.Uint32())>>8) / (1 << 23) })
}

// upper are the upper halves of floats: bfloat16, rounded towards zero.
func upper(x []float32) []uint16 {
	out := make([]uint16, len(x))
	for i, v := range x {
		out[i] = uint16(math.Float32bits(v) >> 16)
	}
	return out
}

// benchProduct is a product of PaliGemma 3B, or a square one. With two accumulators the result is gelu(x·w0)·(x·w1).
type benchProduct struct{ m, k, n, accs int }

func (c benchProduct) spec() *kernels.Matmul {
	e := f32(0)
	if c.accs == 2 {
		inner := fn(scalar.Mul, scalar.C(0.79788456), fn(scalar.FMA, fn(scalar.Mul, f32(0), scalar.C(0.044715)), fn(scalar.Mul, f32(0), f32(0)), f32(0)))
		e = fn(scalar.Mul, fn(scalar.Mul, fn(scalar.Mul, scalar.C(0.5), f32(0)), fn(scalar.Add, scalar.C(1), fn(scalar.Tanh, inner))), f32(1))
	}
	n := int64(c.n)
	return &kernels.Matmul{M: kernels.Const(int64(c.m)), K: int64(c.k), XStride: int64(c.k), BF16: true, Aligned: true, Parts: []kernels.Part{{
		Blocks: 1, N: n, Elem: tile.BF16, Accs: c.accs, Exprs: []*scalar.Expr{e}, Outs: []kernels.Out{{Elem: tile.F32, Strides: []int64{n, n, 1}}}}}}
}

// fragmentsOf are rows of k bfloat16 numbers as the device has them.
func fragmentsOf(w []float32, k int) []uint16 {
	f := packing.Fragments{K: int64(k)}
	out := make([]uint16, int64(len(w)/k+packing.PanelWidth-1)/packing.PanelWidth*f.StripBytes()/2)
	for i, v := range upper(w) {
		row := int64(i / k)
		at, _ := placeOf(f, row%packing.PanelWidth, int64(i%k))
		out[(row/packing.PanelWidth*f.StripBytes()+at)/2] = v
	}
	return out
}

// BenchmarkGPUMatmul is a product's kernels, whose result is compared with float64 at some places.
func BenchmarkGPUMatmul(b *testing.B) {
	g := needGPU(b)
	for _, c := range []benchProduct{{266, 2048, 16384, 2}, {266, 16384, 2048, 1}, {4096, 2048, 16384, 2}, {1, 2048, 16384, 2}, {8192, 8192, 8192, 1}} {
		b.Run(fmt.Sprintf("%dx%dx%d_accs=%d", c.m, c.k, c.n, c.accs), func(b *testing.B) {
			l, err := build("product", c.spec())
			if err != nil {
				b.Fatal(err)
			}
			all := uniform(c.k * (c.m + c.accs*c.n))
			x, weights := all[:c.m*c.k], all[c.m*c.k:]
			onX, out, work := on(b, g, upper(x)), on(b, g, int64(4*c.m*c.n)), on(b, g, max(16, l.WorkBytes))
			weightBytes := int64(2 * c.accs * c.k * c.n)
			sets := max(1, 4*int64(g.L2Bytes)/weightBytes) // of weights, so that none is left in the cache
			operands := make([][]uint64, sets)
			for i := range operands {
				operands[i] = []uint64{onX.Address}
				for a := range c.accs {
					operands[i] = append(operands[i], on(b, g, fragmentsOf(weights[a*c.k*c.n:][:c.k*c.n], c.k)).Address)
				}
			}
			var launches []func(i int) error
			for _, k := range l.Kernels {
				f, tasks := entry(b, g, k), int64(1)
				for _, t := range k.Tasks {
					tasks *= (t.Size.N + t.Div - 1) / t.Div
				}
				launches = append(launches, func(i int) error {
					var args []uint64
					for _, a := range k.Args {
						switch a.Kind {
						case kernels.ArgIn:
							args = append(args, operands[i][a.Index])
						case kernels.ArgOut:
							args = append(args, out.Address)
						case kernels.ArgWork:
							args = append(args, work.Address+uint64(a.Index))
						}
					}
					return f.Launch(blocksOf(k, tasks), k.Threads, append(args, uint64(tasks))...)
				})
			}
			if err := out.Fill(0xff); err != nil { // NaN
				b.Fatal(err)
			}
			took := measure(b, g, int(sets), func(i int) error {
				for _, launch := range launches {
					if err := launch(i); err != nil {
						return err
					}
				}
				return nil
			})
			flops := 2 * float64(c.m) * float64(c.k) * float64(c.n) * float64(c.accs)
			b.ReportMetric(per(flops, 1e12, took), "TFLOP/s")
			b.ReportMetric(per(float64(weightBytes), 1e9, took), "weightGB/s")
			if peak > 0 {
				b.ReportMetric(100*flops/took.Seconds()/peak, "%peak")
			}
			result := make([]byte, out.Bytes)
			if err := out.Read(result); err != nil {
				b.Fatal(err)
			}
			c.check(b, x, weights, result)
		})
	}
}

// check compares a result at some places with sums in float64, and looks at every element for NaN.
func (c benchProduct) check(b *testing.B, x, w []float32, result []byte) {
	bf := func(v float32) float64 { return float64(math.Float32frombits(math.Float32bits(v) &^ 0xffff)) }
	rng := rand.New(rand.NewPCG(13, 14))
	norm, wrong := 0.0, 0.0
	for range 500 {
		i, j := rng.IntN(c.m), rng.IntN(c.n)
		var sums [2]float64
		for a := range c.accs {
			for l := range c.k {
				sums[a] += bf(x[i*c.k+l]) * bf(w[(a*c.n+j)*c.k+l])
			}
		}
		want := sums[0]
		if c.accs == 2 {
			want = want * 0.5 * (1 + math.Tanh(0.79788456*(want+0.044715*want*want*want))) * sums[1]
		}
		got := element(tile.F32, result, i*c.n+j)
		norm, wrong = norm+want*want, wrong+(got-want)*(got-want)
	}
	if e := math.Sqrt(wrong / norm); !(e < 1e-4) {
		b.Errorf("error %g of the norm", e)
	} else {
		b.ReportMetric(e, "error")
	}
	for i := range c.m * c.n {
		if v := element(tile.F32, result, i); v != v {
			b.Fatalf("element %d is NaN", i)
		}
	}
}
