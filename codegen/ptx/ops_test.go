package ptx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/kernels"
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

type values = []*tile.Value

// opCase computes out[i] from the i-th elements of its inputs, lane by lane or over whole vectors.
type opCase struct {
	name string
	in   []tile.Elem
	out  tile.Elem
	body func(b *tile.Builder, x values) *tile.Value
}

// opCases has every operation on every type of number that it takes.
func opCases() []opCase {
	var cases []opCase
	add := func(name string, in []tile.Elem, out tile.Elem, body func(b *tile.Builder, x values) *tile.Value) {
		cases = append(cases, opCase{name, in, out, body})
	}
	same := func(e tile.Elem, n int) []tile.Elem { return slices.Repeat([]tile.Elem{e}, n) }
	type binary = func(b *tile.Builder, x, y *tile.Value) *tile.Value
	two := map[tile.Op]binary{tile.Add: (*tile.Builder).Add, tile.Sub: (*tile.Builder).Sub,
		tile.Mul: (*tile.Builder).Mul, tile.Min: (*tile.Builder).Min, tile.Max: (*tile.Builder).Max}
	number := func(b *tile.Builder, v int64, like *tile.Value) *tile.Value {
		return b.Integer(like.Type, v)
	}
	for _, e := range []tile.Elem{tile.F32, tile.I8, tile.I16, tile.I32, tile.I64} {
		for _, op := range tile.Ops() {
			if f := two[op]; f != nil {
				add(op.String(), same(e, 2), e, func(b *tile.Builder, x values) *tile.Value { return f(b, x[0], x[1]) })
			}
		}
		for _, op := range []tile.Op{tile.LT, tile.LE, tile.EQ} {
			add(op.String(), same(e, 2), e, func(b *tile.Builder, x values) *tile.Value { return b.Select(b.Compare(op, x[0], x[1]), x[1], x[0]) })
		}
		for _, op := range []tile.Op{tile.Neg, tile.Abs} {
			add(op.String(), same(e, 1), e, func(b *tile.Builder, x values) *tile.Value { return b.Unary(op, x[0]) })
		}
		if e == tile.F32 {
			continue
		}
		for _, op := range []tile.Op{tile.And, tile.Or, tile.Xor} {
			add(op.String(), same(e, 2), e, func(b *tile.Builder, x values) *tile.Value { return b.Logic(op, x[0], x[1]) })
		}
		for _, op := range []tile.Op{tile.Div, tile.Rem} {
			f := map[tile.Op]binary{tile.Div: (*tile.Builder).Div, tile.Rem: (*tile.Builder).Rem}[op]
			add(op.String(), same(e, 2), e, func(b *tile.Builder, x values) *tile.Value {
				return f(b, x[0], b.Add(b.Logic(tile.And, x[1], number(b, 7, x[1])), number(b, 1, x[1])))
			})
		}
		for _, by := range []int64{0, 1, 7, 23, 31} {
			if by >= int64(8*e.Bytes()) {
				continue
			}
			for _, op := range []tile.Op{tile.Shl, tile.Shr, tile.Sar} {
				add(fmt.Sprintf("%s_%d", op, by), same(e, 1), e, func(b *tile.Builder, x values) *tile.Value { return b.Logic(op, x[0], number(b, by, x[0])) })
			}
		}
	}
	add("div", same(tile.F32, 2), tile.F32, func(b *tile.Builder, x values) *tile.Value { return b.Div(x[0], x[1]) })
	add("unfused", same(tile.F32, 3), tile.F32, func(b *tile.Builder, x values) *tile.Value { return b.Add(b.Mul(x[0], x[1]), x[2]) })
	add("fma", same(tile.F32, 3), tile.F32, func(b *tile.Builder, x values) *tile.Value { return b.FMA(x[0], x[1], x[2]) })
	for _, op := range []tile.Op{tile.Sqrt, tile.Floor, tile.Rint} {
		add(op.String(), same(tile.F32, 1), tile.F32, func(b *tile.Builder, x values) *tile.Value { return b.Unary(op, x[0]) })
	}
	for _, op := range []tile.Op{tile.And, tile.Or, tile.Xor} {
		add(op.String(), same(tile.F32, 3), tile.F32, func(b *tile.Builder, x values) *tile.Value {
			return b.Select(b.Logic(op, b.Compare(tile.LT, x[0], x[1]), b.Compare(tile.LE, x[1], x[2])), x[0], x[2])
		})
	}
	add("select_bool", same(tile.F32, 3), tile.F32, func(b *tile.Builder, x values) *tile.Value {
		c := b.Select(b.Compare(tile.LT, x[0], x[1]), b.Compare(tile.LT, x[1], x[2]), b.Bool(true, x[0].Type.Lanes))
		return b.Select(c, x[0], x[1])
	})
	for _, c := range []struct {
		op       tile.Op
		from, to tile.Elem
	}{{tile.IToF, tile.I32, tile.F32}, {tile.FToI, tile.F32, tile.I32}, {tile.BitF, tile.I32, tile.F32}, {tile.BitI, tile.F32, tile.I32},
		{tile.Widen, tile.I32, tile.I64}, {tile.Narrow, tile.I64, tile.I32}} {
		op := c.op
		add(op.String(), same(c.from, 1), c.to, func(b *tile.Builder, x values) *tile.Value { return b.Cast(op, x[0]) })
	}
	add("widen_i8", same(tile.I8, 1), tile.I32, func(b *tile.Builder, x values) *tile.Value { return b.Cast(tile.Widen, x[0]) })
	add("widen_i8_i16", same(tile.I8, 1), tile.I16, func(b *tile.Builder, x values) *tile.Value { return b.WidenTo(x[0], tile.I16) })
	add("widen_i16", same(tile.I16, 1), tile.I32, func(b *tile.Builder, x values) *tile.Value { return b.WidenTo(x[0], tile.I32) })
	add("narrow_i32", same(tile.I32, 1), tile.I8, func(b *tile.Builder, x values) *tile.Value { return b.Cast(tile.Narrow, x[0]) })
	for _, op := range []tile.Op{tile.Add, tile.Mul, tile.Min, tile.Max} {
		add("reduce_"+op.String(), same(tile.F32, 1), tile.F32, func(b *tile.Builder, x values) *tile.Value {
			return b.Splat(b.Reduce(op, x[0]), x[0].Type.Lanes)
		})
	}
	add("reduce_max_zeros", same(tile.F32, 2), tile.F32, func(b *tile.Builder, x values) *tile.Value {
		n := x[0].Type.Lanes
		zeros := b.Select(b.Compare(tile.LT, x[0], x[1]), b.Float(math.Copysign(0, -1), n), b.Float(0, n))
		return b.Splat(b.Reduce(tile.Max, zeros), n)
	})
	add("lane", same(tile.F32, 1), tile.F32, func(b *tile.Builder, x values) *tile.Value {
		return b.Splat(b.Lane(x[0], x[0].Type.Lanes-1), x[0].Type.Lanes)
	})
	add("iota", same(tile.I32, 1), tile.I32, func(b *tile.Builder, x values) *tile.Value { return b.Sub(x[0], b.Iota(x[0].Type.Lanes)) })
	for _, e := range []tile.Elem{tile.BF16, tile.F16} {
		add("load", same(e, 1), tile.F32, func(b *tile.Builder, x values) *tile.Value { return x[0] })
		add("store", same(tile.F32, 1), e, func(b *tile.Builder, x values) *tile.Value { return x[0] })
	}
	for _, op := range []scalar.Op{scalar.Exp, scalar.Log, scalar.Tanh, scalar.Sin, scalar.Cos} {
		e := scalar.Lower(scalar.Fn(op, scalar.X(0, scalar.F32)))
		add("expr_"+op.String(), same(tile.F32, 1), tile.F32, func(b *tile.Builder, x values) *tile.Value { return b.Expr(e, x, x[0].Type.Lanes) })
	}
	pow := scalar.Lower(scalar.Fn(scalar.Pow, scalar.X(0, scalar.F32), scalar.X(1, scalar.F32)))
	add("expr_pow", same(tile.F32, 2), tile.F32, func(b *tile.Builder, x values) *tile.Value { return b.Expr(pow, x, x[0].Type.Lanes) })
	return cases
}

// kernel applies a case to n elements: whole vectors, then a tail.
func (c opCase) kernel(t testing.TB, lanes int) *kernels.Kernel {
	name := c.name
	for _, e := range append(slices.Clone(c.in), c.out) {
		name += "_" + e.String()
	}
	return built(t, fmt.Sprintf("%s_x%d", name, lanes), func(b *tile.Builder) {
		ptrs := make(values, len(c.in))
		for i, e := range c.in {
			ptrs[i] = b.Ptr(fmt.Sprintf("x%d", i), e)
		}
		out, n := b.Ptr("out", c.out), b.Scalar("n")
		l := b.Int(int64(lanes))
		full := b.Mul(b.Div(n, l), l)
		b.Range(b.Int(0), full, l, func(i *tile.Value) {
			x := make(values, len(ptrs))
			for j, p := range ptrs {
				x[j] = b.Load(p, i, lanes)
			}
			b.Store(out, i, c.body(b, x))
		})
		rest := b.Sub(n, full)
		x := make(values, len(ptrs))
		for j, p := range ptrs {
			x[j] = b.LoadTail(p, full, lanes, rest)
		}
		b.StoreTail(out, full, c.body(b, x), rest)
	})
}

func built(t testing.TB, name string, f func(b *tile.Builder)) *kernels.Kernel {
	t.Helper()
	k, err := tile.Build(name, f)
	if err != nil {
		t.Fatal(err)
	}
	return &kernels.Kernel{Tile: k}
}

func TestOpsMatchInterpreter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range opCases() {
		for _, lanes := range []int{1, warp, 4 * warp} {
			k := c.kernel(t, lanes)
			for _, n := range []int{0, 7, 1000 / warp * lanes} {
				var args []any
				for _, e := range append(slices.Clone(c.in), c.out) {
					args = append(args, inputs(rng, e, n))
				}
				compareWithInterpreter(t, k, 1, append(args, n)...)
			}
		}
	}
}

// controlKernels are loops, branches and pointers; out, x and n are their parameters.
func controlKernels(t testing.TB) []*kernels.Kernel {
	var ks []*kernels.Kernel
	for _, lanes := range []int{1, warp, 4 * warp} {
		add := func(name string, f func(b *tile.Builder, out, x, n *tile.Value)) {
			ks = append(ks, built(t, fmt.Sprintf("%s_x%d", name, lanes), func(b *tile.Builder) {
				f(b, b.Ptr("out", tile.F32), b.Ptr("x", tile.F32), b.Scalar("n"))
			}))
		}
		// Two carried values change places.
		add("swap", func(b *tile.Builder, out, x, n *tile.Value) {
			first := values{b.Load(x, b.Int(0), lanes), b.Load(x, b.Int(int64(lanes)), lanes)}
			r := b.For(b.Int(0), n, b.Int(1), first, func(i *tile.Value, c []*tile.Value) []*tile.Value {
				return values{c[1], b.Add(c[0], b.Load(x, i, lanes))}
			})
			b.When(b.Compare(tile.EQ, b.Task(), b.Int(0)), func() {
				b.Store(out, b.Int(0), r[0])
				b.Store(out, b.Int(int64(lanes)), r[1])
			})
		})
		// Tasks write blocks of three, the last one short; an inner loop branches on what it reads.
		add("tasks", func(b *tile.Builder, out, x, n *tile.Value) {
			lo := b.Mul(b.Task(), b.Int(3))
			b.Range(lo, b.Min(b.Add(lo, b.Int(3)), n), b.Int(1), func(i *tile.Value) {
				b.Prefetch(x, i, 1)
				s := b.For(i, n, b.Int(2), values{b.Float(1, lanes), b.Bool(false, 1)}, func(j *tile.Value, c []*tile.Value) []*tile.Value {
					v := b.Load(x, j, 1)
					less := b.Compare(tile.LT, v, b.Load(x, i, 1))
					sum := b.If(less, func() []*tile.Value { return values{b.Add(c[0], b.Splat(v, lanes))} },
						func() []*tile.Value { return values{b.Sub(c[0], b.Splat(v, lanes))} })
					return values{sum[0], b.Logic(tile.Xor, less, c[1])}
				})
				b.When(s[1], func() { b.Store(out, b.Mul(i, b.Int(int64(lanes))), s[0]) })
			})
		})
		// A pointer moved and seen as integers, and a scalar written once for all lanes.
		add("pointers", func(b *tile.Builder, out, x, n *tile.Value) {
			ints, to := b.PtrCast(b.PtrAdd(x, n), tile.I32), b.PtrCast(out, tile.I32)
			b.When(b.Compare(tile.EQ, b.Task(), b.Int(1)), func() {
				b.Store(to, b.Int(0), b.Load(ints, b.Int(0), lanes))
				b.StoreTail(to, b.Int(int64(lanes)), b.Load(ints, n, 1), n)
			})
		})
		// Counts of tails far outside the lanes.
		add("counts", func(b *tile.Builder, out, x, n *tile.Value) {
			b.When(b.Compare(tile.EQ, b.Task(), b.Int(0)), func() {
				for i, count := range []int64{-1, 1 << 40, -1<<40 + 5, 1<<32 + 1, 3} {
					b.StoreTail(out, b.Int(int64(lanes*i)), b.LoadTail(x, b.Int(0), lanes, b.Int(count)), b.Add(n, b.Int(count)))
				}
			})
		})
	}
	return ks
}

func TestControlMatchesInterpreter(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, k := range controlKernels(t) {
		for _, n := range []int{0, 1, 7, 23} {
			numbers := func() any { return filled(4*warp*24, func() float32 { return float32(rng.NormFloat64()) }) }
			compareWithInterpreter(t, k, int64(n+5)/3, numbers(), numbers(), n)
		}
	}
}

// noTiles is why there are none of the tile registers.
const noTiles = "they are a CPU's"

// missing are the operations of the tile IR that a warp has not, and why.
var missing = map[tile.Op]string{tile.TileConfig: noTiles, tile.TileRelease: noTiles, tile.TileZero: noTiles, tile.TileLoad: noTiles, tile.TileStore: noTiles,
	tile.TileDotSS: noTiles, tile.TileDotSU: noTiles, tile.TileDotBF16: noTiles, tile.Flush: "each instruction says itself how it takes subnormal floats",
	tile.Scratch: "it has no memory of its own", tile.Shuffle: "lanes go anywhere", tile.Lookup: "only weights that it does not read have levels",
	tile.Bits: "elements of several threads in one", tile.DotI16: "likewise", tile.DotU8: "likewise", tile.Dot4: "likewise", tile.DotS4: "likewise",
	tile.MMLA: "likewise", tile.DotBF16: "likewise", tile.DotOdd: "likewise", tile.MMLAOdd: "likewise"}

// Every operation is emitted, and some test compares it with the interpreter.
func TestEveryOpIsCovered(t *testing.T) {
	covered := map[tile.Op]bool{}
	var visit func(b *tile.Block)
	visit = func(b *tile.Block) {
		for _, in := range b.Insts {
			covered[in.Op] = true
			for _, blk := range in.Blocks {
				visit(blk)
			}
		}
	}
	for _, lanes := range []int{1, warp, 4 * warp} {
		for _, c := range opCases() {
			visit(c.kernel(t, lanes).Tile.Body)
		}
	}
	for _, k := range controlKernels(t) {
		visit(k.Tile.Body)
	}
	for _, op := range tile.Ops() {
		if _, gone := missing[op]; covered[op] == gone {
			t.Errorf("%s: covered %t, missing %t", op, covered[op], gone)
		}
	}
}

func emitted(t testing.TB, k *kernels.Kernel) *Kernel {
	t.Helper()
	e, err := emit(k)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestWhatAWarpHasNotIsAnError(t *testing.T) {
	for want, f := range map[string]func(b *tile.Builder){
		"kernel k: PTX: it uses 64 bytes of scratch memory": func(b *tile.Builder) { b.Scratch(3) },
		"kernel k: PTX: no emission for shuffle": func(b *tile.Builder) {
			b.Shuffle(b.Float(1, warp), b.Float(2, warp), slices.Repeat([]int{1}, warp)...)
		},
		"kernel k: PTX: a fragment of 16 lanes; a warp has 32": func(b *tile.Builder) {
			b.Unary(tile.Neg, b.Float(1, 16))
		},
		"kernel k: PTX: lane of i64x32; shuffles take 32 bits": func(b *tile.Builder) {
			b.Lane(b.Load(b.Ptr("x", tile.I64), b.Int(0), warp), 3)
		},
		"kernel k: PTX: a loop or branch carries a pointer": func(b *tile.Builder) {
			x := b.Ptr("x", tile.F32)
			b.For(b.Int(0), b.Task(), b.Int(1), values{x}, func(_ *tile.Value, c []*tile.Value) []*tile.Value { return c })
		},
	} {
		if _, err := emit(built(t, "k", f)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, expected %s", err, want)
		}
	}
}
