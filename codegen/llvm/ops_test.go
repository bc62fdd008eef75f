package llvm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/internal/link/linktest"
	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/tile"
	"pgc/runtime/cpufeature"
)

type values = []*tile.Value

// opCase computes out[i] from the i-th elements of its inputs, lane by lane or over whole vectors.
type opCase struct {
	name string
	in   []tile.Elem
	out  tile.Elem
	body func(b *tile.Builder, x values) *tile.Value
}

var (
	f1, f2, f3 = []tile.Elem{tile.F32}, []tile.Elem{tile.F32, tile.F32}, []tile.Elem{tile.F32, tile.F32, tile.F32}
	i1, i2     = []tile.Elem{tile.I32}, []tile.Elem{tile.I32, tile.I32}
	l2         = []tile.Elem{tile.I64, tile.I64}
)

// mod7 makes lanes of any integers small, positive divisors.
func mod7(b *tile.Builder, v *tile.Value) *tile.Value {
	return b.Add(b.Logic(tile.And, v, b.Int32(7, v.Type.Lanes)), b.Int32(1, v.Type.Lanes))
}

func opCases() []opCase {
	var cases []opCase
	add := func(name string, in []tile.Elem, out tile.Elem, body func(b *tile.Builder, x values) *tile.Value) {
		cases = append(cases, opCase{name, in, out, body})
	}
	for op, f := range map[tile.Op]func(b *tile.Builder, x, y *tile.Value) *tile.Value{tile.Add: (*tile.Builder).Add,
		tile.Sub: (*tile.Builder).Sub, tile.Mul: (*tile.Builder).Mul, tile.Min: (*tile.Builder).Min, tile.Max: (*tile.Builder).Max} {
		body := func(b *tile.Builder, x values) *tile.Value { return f(b, x[0], x[1]) }
		add(op.String()+"_f32", f2, tile.F32, body)
		add(op.String()+"_i32", i2, tile.I32, body)
		add(op.String()+"_i64", l2, tile.I64, body)
	}
	add("div_f32", f2, tile.F32, func(b *tile.Builder, x values) *tile.Value { return b.Div(x[0], x[1]) })
	add("div_i32", i2, tile.I32, func(b *tile.Builder, x values) *tile.Value { return b.Div(x[0], mod7(b, x[1])) })
	add("rem_i32", i2, tile.I32, func(b *tile.Builder, x values) *tile.Value { return b.Rem(x[0], mod7(b, x[1])) })
	// A product and a sum stay two roundings; fma is one.
	add("unfused", f3, tile.F32, func(b *tile.Builder, x values) *tile.Value { return b.Add(b.Mul(x[0], x[1]), x[2]) })
	add("fma", f3, tile.F32, func(b *tile.Builder, x values) *tile.Value { return b.FMA(x[0], x[1], x[2]) })
	add("fma_cancels", f2, tile.F32, func(b *tile.Builder, x values) *tile.Value {
		return b.FMA(x[0], x[1], b.Unary(tile.Neg, b.Mul(x[0], x[1])))
	})
	for _, op := range []tile.Op{tile.Neg, tile.Abs, tile.Sqrt, tile.Floor, tile.Rint} {
		add(op.String()+"_f32", f1, tile.F32, func(b *tile.Builder, x values) *tile.Value { return b.Unary(op, x[0]) })
		if op == tile.Neg || op == tile.Abs {
			add(op.String()+"_i32", i1, tile.I32, func(b *tile.Builder, x values) *tile.Value { return b.Unary(op, x[0]) })
		}
	}
	for _, op := range []tile.Op{tile.And, tile.Or, tile.Xor} {
		add(op.String()+"_i32", i2, tile.I32, func(b *tile.Builder, x values) *tile.Value { return b.Logic(op, x[0], x[1]) })
		add(op.String()+"_i1", f3, tile.F32, func(b *tile.Builder, x values) *tile.Value {
			return b.Select(b.Logic(op, b.Compare(tile.LT, x[0], x[1]), b.Compare(tile.LE, x[1], x[2])), x[0], x[2])
		})
	}
	for _, by := range []int64{0, 1, 23, 31} {
		for _, op := range []tile.Op{tile.Shl, tile.Shr, tile.Sar} {
			add(fmt.Sprintf("%s_%d", op, by), i1, tile.I32, func(b *tile.Builder, x values) *tile.Value {
				return b.Logic(op, x[0], b.Int32(by, x[0].Type.Lanes))
			})
		}
	}
	add("shr_i64", []tile.Elem{tile.I64}, tile.I64, func(b *tile.Builder, x values) *tile.Value {
		return b.Logic(tile.Shr, x[0], b.Splat(b.Int(61), x[0].Type.Lanes))
	})
	for _, op := range []tile.Op{tile.LT, tile.LE, tile.EQ} {
		body := func(b *tile.Builder, x values) *tile.Value { return b.Select(b.Compare(op, x[0], x[1]), x[0], x[1]) }
		add(op.String()+"_f32", f2, tile.F32, body)
		add(op.String()+"_i32", i2, tile.I32, body)
		add(op.String()+"_i64", l2, tile.I64, body)
	}
	for op, e := range map[tile.Op][2]tile.Elem{tile.IToF: {tile.I32, tile.F32}, tile.FToI: {tile.F32, tile.I32},
		tile.BitF: {tile.I32, tile.F32}, tile.BitI: {tile.F32, tile.I32}} {
		add(op.String(), e[:1], e[1], func(b *tile.Builder, x values) *tile.Value { return b.Cast(op, x[0]) })
	}
	add("widen_i8", []tile.Elem{tile.I8}, tile.I32, func(b *tile.Builder, x values) *tile.Value { return b.Cast(tile.Widen, x[0]) })
	add("bits", i1, tile.I32, func(b *tile.Builder, x values) *tile.Value {
		return b.Bits(b.Add(b.Bits(x[0], tile.I16), b.Bits(x[0], tile.I16)), tile.I32)
	})
	add("widen_i16", i1, tile.I32, func(b *tile.Builder, x values) *tile.Value {
		n := x[0].Type.Lanes
		halves := b.WidenTo(b.Bits(x[0], tile.I16), tile.I32)
		if n == 1 {
			return b.Lane(halves, 1)
		}
		odd := make([]int, n)
		for i := range odd {
			odd[i] = 2*i + 1
		}
		return b.Shuffle(halves, halves, odd...)
	})
	add("dot_i16", i2, tile.I32, func(b *tile.Builder, x values) *tile.Value {
		if x[0].Type.Lanes == 1 {
			pair := b.Dot(tile.DotI16, b.Bits(b.Splat(x[0], 2), tile.I16), b.Bits(b.Splat(x[1], 2), tile.I16))
			return b.Lane(pair, 0)
		}
		return b.Dot(tile.DotI16, b.Bits(x[0], tile.I16), b.Bits(x[1], tile.I16))
	})
	add("dot_s4", []tile.Elem{tile.I32, tile.I32, tile.I32}, tile.I32, func(b *tile.Builder, x values) *tile.Value {
		return b.DotS4(x[0], b.Bits(x[1], tile.I8), b.Bits(x[2], tile.I8))
	})
	add("dot4", []tile.Elem{tile.I32, tile.I32, tile.I32}, tile.I32, func(b *tile.Builder, x values) *tile.Value {
		return b.Dot4(x[0], b.Bits(x[1], tile.I8), b.Bits(x[2], tile.I8))
	})
	add("mmla", []tile.Elem{tile.I32, tile.I32, tile.I32}, tile.I32, func(b *tile.Builder, x values) *tile.Value {
		n := x[0].Type.Lanes
		if n < 4 { // as the first of four
			x = slices.Clone(x)
			for i, v := range x {
				x[i] = b.Splat(b.Lane(v, n-1), 4)
			}
		}
		v := b.MMLA(x[0], b.Bits(x[1], tile.I8), b.Bits(x[2], tile.I8))
		if n < 4 {
			return b.Splat(b.Lane(v, 3), n)
		}
		return v
	})
	bfloats := func(b *tile.Builder, v *tile.Value) *tile.Value { return b.Bits(b.Cast(tile.BitI, v), tile.I16) }
	add("dot_bf16", f3, tile.F32, func(b *tile.Builder, x values) *tile.Value {
		return b.DotBF16(x[0], bfloats(b, x[1]), bfloats(b, x[2]))
	})
	// Products that the accumulator cancels: what is left is their rounding, of one product or of the other.
	add("dot_bf16_cancels", f2, tile.F32, func(b *tile.Builder, x values) *tile.Value {
		zero := b.Float(0, x[0].Type.Lanes)
		sum := b.DotBF16(zero, bfloats(b, x[0]), bfloats(b, x[1]))
		return b.DotBF16(b.Unary(tile.Neg, sum), bfloats(b, x[0]), bfloats(b, x[1]))
	})
	add("dot_u8", i2, tile.I32, func(b *tile.Builder, x values) *tile.Value {
		one := x[0].Type.Lanes == 1
		if one {
			x = values{b.Splat(x[0], 2), b.Splat(x[1], 2)}
		}
		// Any bytes on the left, those of 7 bits on the right: the sum always fits.
		t := x[1].Type
		small := b.Sub(b.Bits(b.Logic(tile.And, x[1], b.Int32(0x7f7f7f7f, t.Lanes)), tile.I8), b.Integer(tile.Vec(tile.I8, 4*t.Lanes), 64))
		out := b.Bits(b.Dot(tile.DotU8, b.Bits(x[0], tile.I8), small), tile.I32)
		if one {
			return b.Lane(out, 0)
		}
		return out
	})
	add("widen_i32", i1, tile.I64, func(b *tile.Builder, x values) *tile.Value { return b.Cast(tile.Widen, x[0]) })
	add("narrow_i32", i1, tile.I8, func(b *tile.Builder, x values) *tile.Value { return b.Cast(tile.Narrow, x[0]) })
	add("narrow_i64", l2, tile.I32, func(b *tile.Builder, x values) *tile.Value { return b.Cast(tile.Narrow, b.Add(x[0], x[1])) })
	for _, op := range []tile.Op{tile.Add, tile.Mul, tile.Min, tile.Max} {
		add("reduce_"+op.String(), f1, tile.F32, func(b *tile.Builder, x values) *tile.Value {
			return b.Splat(b.Reduce(op, x[0]), x[0].Type.Lanes)
		})
	}
	add("reduce_max_zeros", f2, tile.F32, func(b *tile.Builder, x values) *tile.Value {
		n := x[0].Type.Lanes
		zeros := b.Select(b.Compare(tile.LT, x[0], x[1]), b.Float(math.Copysign(0, -1), n), b.Float(0, n))
		return b.Splat(b.Reduce(tile.Max, zeros), n)
	})
	add("lane", f1, tile.F32, func(b *tile.Builder, x values) *tile.Value {
		return b.Splat(b.Lane(x[0], x[0].Type.Lanes-1), x[0].Type.Lanes)
	})
	add("iota", i1, tile.I32, func(b *tile.Builder, x values) *tile.Value { return b.Sub(x[0], b.Iota(x[0].Type.Lanes)) })
	add("shuffle", f2, tile.F32, func(b *tile.Builder, x values) *tile.Value {
		n := x[0].Type.Lanes
		if n == 1 {
			return x[1]
		}
		mask := make([]int, n)
		for i := range mask {
			mask[i] = (5*i + 3) % (2 * n)
		}
		return b.Shuffle(x[0], x[1], mask...)
	})
	for _, n := range []int{1, 2, 16, 32} {
		table := make([]float32, n)
		for i := range table {
			table[i] = float32(7-i) / 3
		}
		add(fmt.Sprint("lookup_", n), i1, tile.F32, func(b *tile.Builder, x values) *tile.Value { return b.Lookup(x[0], table) })
	}
	for _, e := range []tile.Elem{tile.BF16, tile.F16} {
		add("load_"+e.String(), []tile.Elem{e}, tile.F32, func(b *tile.Builder, x values) *tile.Value { return x[0] })
		add("store_"+e.String(), f1, e, func(b *tile.Builder, x values) *tile.Value { return x[0] })
	}
	for _, op := range []scalar.Op{scalar.Exp, scalar.Log, scalar.Tanh, scalar.Sin, scalar.Cos} {
		e := scalar.Lower(scalar.Fn(op, scalar.X(0, scalar.F32)))
		add("expr_"+op.String(), f1, tile.F32, func(b *tile.Builder, x values) *tile.Value { return b.Expr(e, x, x[0].Type.Lanes) })
	}
	pow := scalar.Lower(scalar.Fn(scalar.Pow, scalar.X(0, scalar.F32), scalar.X(1, scalar.F32)))
	add("expr_pow", f2, tile.F32, func(b *tile.Builder, x values) *tile.Value { return b.Expr(pow, x, x[0].Type.Lanes) })
	add("expr_not", f2, tile.F32, func(b *tile.Builder, x values) *tile.Value {
		p, q := scalar.X(0, scalar.F32), scalar.X(1, scalar.F32)
		return b.Expr(scalar.Fn(scalar.Select, scalar.Fn(scalar.Not, scalar.Fn(scalar.LT, p, q)), p, q), x, x[0].Type.Lanes)
	})
	return cases
}

// kernel applies a case to n elements: whole vectors, then a tail.
func (c opCase) kernel(t *testing.T, lanes int) *tile.Kernel {
	return build(t, fmt.Sprintf("%s_x%d", c.name, lanes), func(b *tile.Builder) {
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

func TestOpsMatchInterpreter(t *testing.T) {
	cases := opCases()
	var ks []*tile.Kernel
	widths := []int{1, 8, 16}
	if runtime.GOARCH == "arm64" {
		widths = []int{1, 4, 8}
	}
	for _, c := range cases {
		for _, lanes := range widths {
			ks = append(ks, c.kernel(t, lanes))
		}
	}
	eachCompiler(t, ks, func(t *testing.T, code *linktest.Code) {
		rng := rand.New(rand.NewPCG(1, 2))
		for i, k := range ks {
			c := cases[i/len(widths)]
			for _, n := range []int{0, 7, -1} {
				var args []any
				for i, e := range append(append([]tile.Elem{}, c.in...), c.out) {
					v := inputs(rng, e, max(n, 0))
					if n < 0 {
						v = pairs(rng, e, i)
					}
					args = append(args, v)
				}
				check(t, code, k, 1, append(args, reflect.ValueOf(args[0]).Len())...)
			}
		}
	})
}

// oddCases are products whose sums are rounded to odd, which not every target has.
func oddCases() (cases []opCase) {
	for name, op := range map[string]func(b *tile.Builder, sum, x, y *tile.Value) *tile.Value{"dot_odd": (*tile.Builder).DotOdd, "mmla_odd": (*tile.Builder).MMLAOdd} {
		cases = append(cases, opCase{name, f3, tile.F32, func(b *tile.Builder, x values) *tile.Value {
			return op(b, x[0], b.Bits(b.Cast(tile.BitI, x[1]), tile.I16), b.Bits(b.Cast(tile.BitI, x[2]), tile.I16))
		}})
	}
	return cases
}

// TestOddMatchesInterpreter runs them where the CPU has them, and compiles them everywhere, each to one instruction.
func TestOddMatchesInterpreter(t *testing.T) {
	cases := oddCases()
	var ks []*tile.Kernel
	for _, c := range cases {
		ks = append(ks, c.kernel(t, 4))
	}
	tgt, err := target.Find("neoverse-n2")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range llcs(t) {
		ir := emitted(t, tgt, ks...)
		asm, err := runLLC(t.Context(), path, ir, tgt, "asm")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"bfdot", "bfmmla"} { // of whole vectors, and of the tail
			if n := strings.Count(string(asm), "\t"+name+"\t"); n != 2 {
				t.Errorf("%s: %d times %s, expected twice", path, n, name)
			}
		}
		if err := cpufeature.Check(tgt.Features); err != nil {
			t.Logf("%s not run: %v", tgt.Name, err)
			continue
		}
		obj, err := runLLC(t.Context(), path, ir, tgt, "obj")
		if err != nil {
			t.Fatal(err)
		}
		code, rng := linktest.Load(t, obj), rand.New(rand.NewPCG(1, 2))
		for _, k := range ks {
			for _, n := range []int{7, 400, -1} {
				var args []any
				for i := range 4 {
					v := inputs(rng, tile.F32, max(n, 0))
					if n < 0 {
						v = pairs(rng, tile.F32, i)
					}
					args = append(args, v)
				}
				check(t, code, k, 1, append(args, reflect.ValueOf(args[0]).Len())...)
			}
		}
	}
	if _, err := Emit(tgt, []*tile.Kernel{cases[0].kernel(t, 8)}); err == nil || !strings.Contains(err.Error(), "of 8 lanes on neoverse-n2: expected 4 lanes") {
		t.Errorf("8 lanes: %v", err)
	}
}

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
	for _, c := range append(opCases(), oddCases()...) {
		visit(c.kernel(t, 8).Body)
	}
	for _, k := range controlKernels(t) {
		visit(k.Body)
	}
	for _, k := range tileKernels(t) {
		visit(k.Body)
	}
	for _, op := range tile.Ops() {
		if !covered[op] {
			t.Errorf("no test runs %s", op)
		}
	}
}
