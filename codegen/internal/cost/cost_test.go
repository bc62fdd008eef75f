package cost

import (
	"testing"

	"pgc/codegen/kernels"
	"pgc/ir/quant"
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// own are the numbers of the launches.
var own = []int64{4, 6}

// at is a cost where symbols have these values.
func at(terms []Term, syms map[string]int64) int64 {
	value := func(s kernels.Size) int64 {
		switch {
		case s.Sym != "":
			return syms[s.Sym]
		case s.Own > 0:
			return own[s.Own-1]
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
	s, past, keys := kernels.Size{N: 64, Sym: "S"}, kernels.Size{N: 64, Sym: "past"}, kernels.Size{N: 64, Sym: "T"}
	syms := map[string]int64{"S": 3, "past": 10, "T": 20}
	attention := kernels.Attention{S: s, T: keys, G: 2, R: 4, H: 8, KV: tile.BF16, Causal: true, Prefix: kernels.Const(0), Offset: past}
	scores := attention
	scores.Step = kernels.AttentionScores
	all := attention
	all.Causal = false
	for _, c := range []struct {
		name         string
		spec         kernels.Spec
		flops, bytes int64
	}{
		{"matmul", &kernels.Matmul{M: s, K: 100, Parts: []kernels.Part{{Blocks: 1, N: 40, Elem: tile.BF16, Accs: 2, Exprs: []*scalar.Expr{nil}}}},
			2 * 3 * 100 * 80, 2*64*100*2 + 4*3*(100+40)},
		{"int4", &kernels.Matmul{M: s, K: 128, X: kernels.Group{Format: quant.Int8, Len: 128}, Parts: []kernels.Part{{Blocks: 1, N: 32, Elem: tile.I8, Group: kernels.Group{Format: quant.Int4, Len: 128}, Accs: 1, Exprs: []*scalar.Expr{nil}}}},
			2 * 3 * 128 * 32, 2*(64+16*128/2) + 4*3*(128+32)},
		{"plain", &kernels.Matmul{M: s, K: 100, Parts: []kernels.Part{{Blocks: 1, N: 31, Plain: kernels.Size{N: 31, Own: 1}, Elem: tile.BF16, Accs: 1, Exprs: []*scalar.Expr{nil}}}},
			2 * 3 * 100 * 4, 4*100*2 + 4*3*(100+4)},
		{"second", &kernels.Matmul{M: s, K: 100, Parts: []kernels.Part{{Blocks: 1, N: 40, Elem: tile.BF16, Accs: 1, Exprs: []*scalar.Expr{nil},
			Second: []kernels.Second{{K: kernels.Size{Own: 2}, XStride: kernels.Size{Own: 2}, Elem: tile.F32}}}}},
			2 * 3 * (100 + 6) * 40, 64*100*2 + 64*6*4 + 4*3*(100+40+6)},
		{"visible keys", &attention, 2 * 2 * 3 * 64 * 13, 2*4*3*64 + 2*2*16*13},
		{"scores", &scores, 2 * 3 * 64 * 13, 4*3*64 + 2*16*13 + 4*3*8*13},
		{"all keys", &all, 2 * 2 * 3 * 64 * 20, 2*4*3*64 + 2*2*16*20},
		{"einsum", &kernels.Einsum{Dims: []kernels.Size{s}, Sum: []kernels.Size{keys}, X: []int64{20, 1}, Y: []int64{0, 1}}, 2 * 3 * 20, 4 * (60 + 20 + 3)},
		{"map", &kernels.Map{Dims: []kernels.Size{s, kernels.Const(5)}, In: make([]kernels.Operand, 2), Outs: make([]kernels.Out, 1)}, 0, 4 * 3 * 15},
		{"row", &kernels.Row{Outer: []kernels.Size{s}, C: kernels.Const(5)}, 0, 8 * 15},
	} {
		cost := Of(c.spec)
		if flops, bytes := at(cost.Flops, syms), at(cost.Bytes, syms); flops != c.flops || bytes != c.bytes {
			t.Errorf("%s: %d operations and %d bytes, expected %d and %d", c.name, flops, bytes, c.flops, c.bytes)
		}
	}
}
