package llvm

import (
	"math/rand/v2"
	"strings"
	"testing"

	"pgc/codegen/internal/link/linktest"
	"pgc/ir/target"
	"pgc/ir/target/targettest"
	"pgc/ir/tile"
)

// controlKernels are loops, branches, scratch and pointers: out and n are their parameters, x behind them if they read.
func controlKernels(t *testing.T) map[string]*tile.Kernel {
	ks := map[string]*tile.Kernel{}
	add := func(name string, f func(b *tile.Builder, out, x, n *tile.Value)) {
		ks[name] = build(t, name, func(b *tile.Builder) { f(b, b.Ptr("out", tile.F32), b.Ptr("x", tile.F32), b.Scalar("n")) })
	}
	one := func(b *tile.Builder) *tile.Value { return b.Int(1) }

	// Two carried values change places, so that phis must read their old values.
	add("swap", func(b *tile.Builder, out, x, n *tile.Value) {
		r := b.For(b.Int(0), n, one(b), values{b.Load(x, b.Int(0), 1), b.Load(x, b.Int(1), 1)}, func(i *tile.Value, c []*tile.Value) []*tile.Value {
			return values{c[1], b.Add(c[0], b.Load(x, i, 1))}
		})
		b.Store(out, b.Int(0), r[0])
		b.Store(out, b.Int(1), r[1])
	})
	// A triangle of loops whose inner one branches; carried values pass through both.
	add("nest", func(b *tile.Builder, out, x, n *tile.Value) {
		s := b.For(b.Int(0), n, b.Int(2), values{b.Float(0, 1)}, func(i *tile.Value, c []*tile.Value) []*tile.Value {
			return b.For(i, n, one(b), c, func(j *tile.Value, c []*tile.Value) []*tile.Value {
				v := b.Load(x, j, 1)
				return b.If(b.Compare(tile.LT, v, b.Load(x, i, 1)), func() []*tile.Value {
					return values{b.Add(c[0], v)}
				}, func() []*tile.Value {
					b.When(b.Compare(tile.EQ, i, j), func() { b.Store(out, i, v) })
					return values{b.Sub(c[0], v)}
				})
			})
		})
		b.When(b.Compare(tile.LT, b.Int(1), n), func() { b.Store(out, b.Int(1), s[0]) })
	})
	// Multiples of the index, with what else is added, in two loops; quotients by two constants, which leave nothing.
	add("multiples", func(b *tile.Builder, out, x, n *tile.Value) {
		b.Range(b.Int(0), b.Int(2), one(b), func(i *tile.Value) {
			b.Range(n, b.Mul(n, b.Int(3)), n, func(j *tile.Value) { b.Store(out, b.Add(i, b.Int(1)), b.Load(x, b.Int(2), 1)) }) // of any step
			b.Range(b.Int(4), b.Add(n, b.Int(3)), b.Int(4), func(j *tile.Value) {
				at := b.Add(b.Add(b.Mul(j, b.Int(3)), b.Mul(i, b.Int(20))), b.Int(1))
				v := b.Add(b.Load(x, b.Div(j, b.Int(2)), 1), b.Load(x, b.Div(j, b.Int(4)), 1))
				b.When(b.Compare(tile.LT, at, n), func() { b.Store(out, at, b.Add(v, b.Load(x, j, 1))) })
				b.Store(out, b.Rem(b.Mul(b.Add(j, b.Int(1)), b.Int(5)), n), v)
			})
		})
	})
	// Tasks write blocks of three, the last one short; scratch carries vectors between two loops of a task.
	add("tasks", func(b *tile.Builder, out, x, n *tile.Value) {
		first, second := b.Scratch(5), b.Scratch(24)
		lo := b.Mul(b.Task(), b.Int(3))
		hi := b.Min(b.Add(lo, b.Int(3)), n)
		b.Range(lo, hi, one(b), func(i *tile.Value) {
			at := b.Sub(i, lo)
			b.Store(first, at, b.Load(x, i, 1))
			b.Store(second, b.Mul(at, b.Int(8)), b.Splat(b.Load(x, i, 1), 8))
		})
		b.Range(lo, hi, one(b), func(i *tile.Value) {
			at := b.Sub(i, lo)
			v := b.Load(second, b.Mul(at, b.Int(8)), 8)
			b.Prefetch(x, b.Add(i, b.Int(64)), 1)
			b.Store(out, i, b.Add(b.Lane(v, 5), b.Load(first, at, 1)))
		})
	})
	// A pointer moved and seen as integers.
	add("pointers", func(b *tile.Builder, out, x, n *tile.Value) {
		ints, to := b.PtrCast(b.PtrAdd(x, b.Int(1)), tile.I32), b.PtrCast(out, tile.I32)
		b.Range(b.Int(0), b.Sub(n, b.Int(1)), one(b), func(i *tile.Value) { b.Store(to, i, b.Load(ints, i, 1)) })
	})
	// Counts of tails far outside the lanes.
	add("counts", func(b *tile.Builder, out, x, n *tile.Value) {
		for i, count := range []int64{-1, 1 << 40, -1<<40 + 5, 1<<32 + 1, 3} {
			b.StoreTail(out, b.Int(int64(8*i)), b.LoadTail(x, b.Int(0), 8, b.Int(count)), b.Add(n, b.Int(count)))
		}
		b.StoreTail(out, b.Int(40), b.LoadTail(x, b.Int(0), 1, n), b.Sub(n, n))
	})
	return ks
}

func TestControlMatchesInterpreter(t *testing.T) {
	kernels := controlKernels(t)
	var ks []*tile.Kernel
	for _, name := range []string{"swap", "nest", "tasks", "pointers", "counts"} {
		ks = append(ks, kernels[name])
	}
	eachCompiler(t, ks, func(t *testing.T, code *linktest.Code) {
		rng := rand.New(rand.NewPCG(3, 4))
		for _, k := range ks {
			sizes := []int{1, 2, 7, 23}
			if k.Name == "counts" {
				sizes = []int{0}
			}
			for _, n := range sizes {
				room := max(n, 2)
				if k.Name == "counts" || k.Name == "multiples" {
					room = 41
				}
				check(t, code, k, max(1, int64(n+2)/3), inputs(rng, tile.F32, room), inputs(rng, tile.F32, room), n)
			}
		}
	})
}

func TestModuleIsDeterministic(t *testing.T) {
	module := func() string {
		var ks []*tile.Kernel
		for _, c := range opCases()[len(opCases())-8:] {
			ks = append(ks, c.kernel(t, 8))
		}
		return string(emitted(t, targettest.Runnable(t)[0], ks...))
	}
	first := module()
	for range 3 {
		if module() != first {
			t.Fatal("the same kernels gave two texts")
		}
	}
	if n := strings.Count(first, "declare <8 x float> @llvm.fma.v8f32("); n != 1 {
		t.Errorf("fma is declared %d times", n)
	}
}

// An llir panic becomes an error that names the kernel.
func TestEmitNamesTheKernel(t *testing.T) {
	k := build(t, "broken", func(b *tile.Builder) { b.Store(b.Ptr("x", tile.F32), b.Int(0), b.Float(1, 1)) })
	store := k.Body.Insts[len(k.Body.Insts)-1]
	store.Args[2] = store.Args[1]
	if _, err := Emit(targettest.Runnable(t)[0], []*tile.Kernel{k}); err == nil || !strings.HasPrefix(err.Error(), "kernel broken: LLVM IR: ") {
		t.Errorf("got %v", err)
	}
}

// The text is llir's, whatever instructions a processor has.
func TestText(t *testing.T) {
	var ks []*tile.Kernel
	for _, c := range opCases() {
		ks = append(ks, c.kernel(t, 8))
	}
	for _, k := range controlKernels(t) {
		ks = append(ks, k)
	}
	for _, name := range []string{"x86-64-v3", "cooperlake", "neoverse-v1"} {
		tgt, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		emitted(t, tgt, ks...)
	}
}
