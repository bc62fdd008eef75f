package kernels

import (
	"testing"

	"pgc/ir/quant"
	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/tile"
)

// at is a cost where symbols have these values.
func at(terms []Term, syms map[string]int64) int64 {
	value := func(s Size) int64 {
		if s.Sym != "" {
			return syms[s.Sym]
		}
		return s.N
	}
	sum := int64(0)
	for _, t := range terms {
		product := t.N
		for _, x := range t.Of {
			extent := int64(0)
			for _, s := range x.Sum {
				extent += value(s)
			}
			if x.Most != nil {
				extent = min(extent, value(*x.Most))
			}
			product *= extent
		}
		sum += product
	}
	return sum
}

func TestCost(t *testing.T) {
	s, past, keys := Size{64, "S"}, Size{64, "past"}, Size{64, "T"}
	syms := map[string]int64{"S": 3, "past": 10, "T": 20}
	attention := Attention{S: s, T: keys, G: 2, R: 4, H: 8, KV: tile.BF16, Causal: true, Prefix: Const(0), Offset: past}
	scores := attention
	scores.Step = AttentionScores
	all := attention
	all.Causal = false
	for _, c := range []struct {
		name         string
		spec         Spec
		flops, bytes int64
	}{
		{"matmul", &Matmul{M: s, K: 100, Parts: []Part{{Blocks: 1, N: 40, Elem: tile.BF16, Accs: 2, Exprs: []*scalar.Expr{nil}}}},
			2 * 3 * 100 * 80, 2*64*100*2 + 4*3*(100+40)},
		{"int4", &Matmul{M: s, K: 128, X: Group{quant.Int8, 128}, Parts: []Part{{Blocks: 1, N: 32, Elem: tile.I8, Group: Group{quant.Int4, 128}, Accs: 1, Exprs: []*scalar.Expr{nil}}}},
			2 * 3 * 128 * 32, 2*(64+16*128/2) + 4*3*(128+32)},
		{"visible keys", &attention, 2 * 2 * 3 * 64 * 13, 2*4*3*64 + 2*2*16*13},
		{"scores", &scores, 2 * 3 * 64 * 13, 4*3*64 + 2*16*13 + 4*3*8*13},
		{"all keys", &all, 2 * 2 * 3 * 64 * 20, 2*4*3*64 + 2*2*16*20},
		{"einsum", &Einsum{Dims: []Size{s}, Sum: []Size{keys}, X: []int64{20, 1}, Y: []int64{0, 1}}, 2 * 3 * 20, 4 * (60 + 20 + 3)},
		{"map", &Map{Dims: []Size{s, Const(5)}, In: make([]Operand, 2), Outs: make([]Out, 1)}, 0, 4 * 3 * 15},
		{"row", &Row{Outer: []Size{s}, C: Const(5)}, 0, 8 * 15},
	} {
		cost := c.spec.Cost()
		if flops, bytes := at(cost.Flops, syms), at(cost.Bytes, syms); flops != c.flops || bytes != c.bytes {
			t.Errorf("%s: %d operations and %d bytes, expected %d and %d", c.name, flops, bytes, c.flops, c.bytes)
		}
	}
}

// TestKernelOperands expects of a kernel what it multiplies.
func TestKernelOperands(t *testing.T) {
	tgt, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	x := scalar.X(0, scalar.F32)
	part := Part{Blocks: 1, N: 32, Elem: tile.BF16, Accs: 1, Exprs: []*scalar.Expr{x}, Outs: []Out{{Elem: tile.F32, Strides: []int64{32, 0, 1}}}}
	int4 := part
	int4.Elem, int4.Group = tile.I8, Group{quant.Int4, 32}
	for _, c := range []struct {
		spec     Spec
		lhs, rhs DType
	}{
		{&Matmul{M: Const(2), K: 64, XStride: 64, Parts: []Part{part}}, F32, BF16},
		{&Matmul{M: Const(2), K: 64, XStride: 64, Pairs: true, Parts: []Part{part}}, BF16, BF16},
		{&Matmul{M: Const(2), K: 64, XStride: 64, X: Group{quant.Int8, 32}, Parts: []Part{int4}}, Int8, Int4},
		{&Map{Dims: []Size{Const(5)}, Exprs: []*scalar.Expr{scalar.C(1)}, Outs: []Out{{Elem: tile.F32, Strides: []int64{1}}}}, None, None},
	} {
		k, err := Build("k", c.spec, tgt)
		if err != nil {
			t.Fatal(err)
		}
		if k.LHS != c.lhs || k.RHS != c.rhs {
			t.Errorf("%s: products of %q by %q, expected %q by %q", Key(c.spec), k.LHS, k.RHS, c.lhs, c.rhs)
		}
	}
}
