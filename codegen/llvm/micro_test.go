package llvm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"testing"

	"pgc/codegen/internal/link/linktest"
	"pgc/ir/target"
	"pgc/ir/target/targettest"
	"pgc/ir/tile"
)

// micro is the schedule that matrix products stand on: a block of rows × vecs·lanes of C in registers, A read in rows,
// B in a packed panel of k × vecs·lanes.
type micro struct {
	rows, vecs, unroll int
	lda                int64
}

// shapes are the blocks that fill the register files: 12 + 3 of 16, 24 + 3 of 32, 24 + 4 + 1 of 32.
var shapes = map[string]micro{"x86-64-v3": {6, 2, 4, 1024}, "x86-64-v4": {12, 2, 4, 1024},
	"alderlake": {6, 2, 4, 1024}, "cascadelake": {12, 2, 4, 1024}, "armv8-a": {6, 4, 4, 1024}, "neoverse-n1": {6, 4, 4, 1024}}

func (m micro) kernel(t testing.TB, lanes int) *tile.Kernel {
	return build(t, fmt.Sprintf("micro_%dx%d_u%d", m.rows, m.vecs*lanes, m.unroll), func(b *tile.Builder) {
		pa, pb, pc, k := b.Ptr("a", tile.F32), b.Ptr("b", tile.F32), b.Ptr("c", tile.F32), b.Scalar("k")
		nr := int64(m.vecs * lanes)
		init := make(values, m.rows*m.vecs)
		for i := range init {
			init[i] = b.Float(0, lanes)
		}
		acc := b.For(b.Int(0), k, b.Int(int64(m.unroll)), init, func(i *tile.Value, c []*tile.Value) []*tile.Value {
			for u := range int64(m.unroll) {
				at := b.Add(i, b.Int(u))
				row := make(values, m.vecs)
				for v := range row {
					row[v] = b.Load(pb, b.Add(b.Mul(at, b.Int(nr)), b.Int(int64(v*lanes))), lanes)
				}
				next := make(values, len(c))
				for r := range m.rows {
					x := b.Splat(b.Load(pa, b.Add(at, b.Int(int64(r)*m.lda)), 1), lanes)
					for v := range row {
						next[r*m.vecs+v] = b.FMA(x, row[v], c[r*m.vecs+v])
					}
				}
				c = next
			}
			return c
		})
		for i, v := range acc {
			b.Store(pc, b.Int(int64(i*lanes)), v)
		}
	})
}

// peak is nothing but multiply-adds on registers: as many chains as a block has accumulators.
func peak(t testing.TB, lanes, chains int) *tile.Kernel {
	return build(t, "peak", func(b *tile.Builder) {
		x, out, n := b.Ptr("x", tile.F32), b.Ptr("out", tile.F32), b.Scalar("n")
		v := b.Load(x, b.Int(0), lanes)
		init := make(values, chains)
		for i := range init {
			init[i] = b.Load(x, b.Int(int64(i)), lanes)
		}
		acc := b.For(b.Int(0), n, b.Int(1), init, func(_ *tile.Value, c []*tile.Value) []*tile.Value {
			for range 4 {
				next := make(values, chains)
				for i := range c {
					next[i] = b.FMA(c[i], v, v)
				}
				c = next
			}
			return c
		})
		for i, a := range acc {
			b.Store(out, b.Int(int64(i*lanes)), a)
		}
	})
}

var (
	fmas       = regexp.MustCompile(`(?m)^\s+vfn?m(add|sub)\w+ps|^\s+fmla\s+v`)
	broadcasts = regexp.MustCompile(`(?m)^\s+vbroadcastss`)
	moves      = regexp.MustCompile(`(?m)^\s+mov\s+v.*`)
	spills     = regexp.MustCompile(`(?m)^\s+\S+\s+[^d].*Spill`) // but not the halves of registers that belong to callers on AArch64
	outside    = regexp.MustCompile(`(?m)^\s+call.*|.*%fs:.*|.*@PLT.*|.*, -\d+\(%rsp\).*|^\s+bl\s.*|.*tpidr_el0.*|.*\[sp, #-\d+\]$`)
)

// The hot loop is nothing but loads and multiply-adds: accumulators stay in registers, A is broadcast from memory.
func TestMicrokernelAssembly(t *testing.T) {
	for _, path := range llcs(t) {
		for _, name := range []string{"x86-64-v3", "x86-64-v4", "neoverse-n1"} {
			tgt, err := target.Find(name)
			if err != nil {
				t.Fatal(err)
			}
			m := shapes[name]
			asm, err := runLLC(context.Background(), path, emitted(t, tgt, m.kernel(t, tgt.Lanes)), tgt, "asm")
			if err != nil {
				t.Fatal(err)
			}
			count := func(r *regexp.Regexp) int { return len(r.FindAll(asm, -1)) }
			t.Logf("%s %s: %d multiply-adds, %d broadcasts", filepath.Base(path), name, count(fmas), count(broadcasts))
			if n := m.rows * m.vecs * m.unroll; count(fmas) != n {
				t.Errorf("%s %s: %d multiply-adds, expected %d", path, name, count(fmas), n)
			}
			if n := m.rows * m.unroll; tgt.Arch == "amd64" && count(broadcasts) != n { // AArch64 multiplies by a lane
				t.Errorf("%s %s: %d broadcasts, expected %d", path, name, count(broadcasts), n)
			}
			if bad := append(spills.FindAllString(string(asm), -1), moves.FindAllString(string(asm), -1)...); len(bad) > 0 {
				t.Errorf("%s %s: %d spills and moves: %s", path, name, len(bad), bad[0])
			}
		}
	}
}

// Code calls nothing, not even for loops that fill and copy; it uses no thread-local memory and no red zone.
func TestAssemblyNeedsNothing(t *testing.T) {
	ks := []*tile.Kernel{shapes["x86-64-v3"].kernel(t, 8), build(t, "fill_and_copy", func(b *tile.Builder) {
		x, out, n := b.Ptr("x", tile.F32), b.Ptr("out", tile.F32), b.Scalar("n")
		for _, lanes := range []int{1, 8} {
			l := b.Int(int64(lanes))
			b.Range(b.Int(0), n, l, func(i *tile.Value) { b.Store(x, i, b.Float(0, lanes)) })
			b.Range(b.Int(0), b.Int(4096), l, func(i *tile.Value) { b.Store(x, i, b.Float(0, lanes)) })
			b.Range(b.Int(0), n, l, func(i *tile.Value) { b.Store(out, i, b.Load(x, i, lanes)) })
		}
	})}
	for _, c := range opCases() {
		ks = append(ks, c.kernel(t, 8))
	}
	for _, path := range llcs(t) {
		for _, name := range []string{"x86-64-v3", "x86-64-v4", "neoverse-n1"} {
			tgt, err := target.Find(name)
			if err != nil {
				t.Fatal(err)
			}
			asm, err := runLLC(context.Background(), path, emitted(t, tgt, ks...), tgt, "asm")
			if err != nil {
				t.Fatal(err)
			}
			if bad := outside.FindString(string(asm)); bad != "" {
				t.Errorf("%s %s: %s", path, name, bad)
			}
		}
	}
}

func BenchmarkMicrokernel(b *testing.B) {
	const k = 256
	rng := rand.New(rand.NewPCG(7, 8))
	for _, path := range llcs(b) {
		for _, tgt := range targettest.Runnable(b) {
			m := shapes[tgt.Name]
			chains := m.rows * m.vecs
			fill := func(n int) []float32 { return filled(n, func() float32 { return rng.Float32() }) }
			run := func(name string, kern *tile.Kernel, flops float64, args ...any) {
				b.Run(filepath.Base(path)+"/"+tgt.Name+"/"+name, func(b *testing.B) {
					obj, err := runLLC(context.Background(), path, emitted(b, tgt, kern), tgt, "obj")
					if err != nil {
						b.Fatal(err)
					}
					const tasks = 2000
					linktest.Load(b, obj).Bench(b, linktest.Call{Symbol: kern.Name, Tasks: tasks, Args: args})
					b.ReportMetric(flops*tasks*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
			run("peak", peak(b, tgt.Lanes, chains), float64(2*tgt.Lanes*chains*4*64), fill(64), fill(chains*tgt.Lanes), 64)
			nr := m.vecs * tgt.Lanes
			for _, u := range []int{1, 4} {
				m.unroll = u
				kern := m.kernel(b, tgt.Lanes)
				run(kern.Name, kern, float64(2*m.rows*nr*k), fill(m.rows*int(m.lda)), fill(k*nr), fill(m.rows*nr), k)
			}
		}
	}
}
