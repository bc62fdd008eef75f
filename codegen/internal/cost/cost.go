// Package cost counts what the kernels of a spec compute and move, for benchmarks and rooflines.
package cost

import (
	"fmt"
	"slices"

	"pgc/codegen/kernels"
	"pgc/codegen/packing"
)

// Cost counts the arithmetic of a kernel and the bytes that it must at least move.
type Cost struct{ Flops, Bytes []Term }

// Term is one summand of a cost: N times the product of its extents.
type Term struct {
	N  int64
	Of []Extent
}

// Extent is the sum of sizes, at most Most unless that is nil.
type Extent struct {
	Sum  []kernels.Size
	Most *kernels.Size
}

// times returns n times the product of sizes.
func times(n int64, sizes ...kernels.Size) Term {
	t := Term{N: n}
	for _, s := range sizes {
		t.Of = append(t.Of, Extent{Sum: []kernels.Size{s}})
	}
	return t
}

// Of returns the cost of a spec's kernels. It panics on a spec that it does not know.
func Of(s kernels.Spec) Cost {
	switch s := s.(type) {
	case *kernels.Map: // an element of four bytes for every operand and result
		return Cost{Bytes: []Term{times(4*int64(len(s.In)+len(s.Outs)), s.Dims...)}}
	case *kernels.Row: // one operand and the result
		return Cost{Bytes: []Term{times(8, append(slices.Clone(s.Outer), s.C)...)}}
	case *kernels.Top: // as its reduction, with an element and an index for each result
		c := Of(s.Row)
		c.Bytes = append(c.Bytes, times(8*s.K, s.Row.Outer...))
		return c
	case *kernels.Matmul:
		return matmul(s)
	case *kernels.Argmax:
		return matmul(s.Matmul)
	case *kernels.Epilogue, *kernels.Rows: // the loop around them counts
		return Cost{}
	case *kernels.Attention:
		return attention(s)
	case *kernels.Einsum:
		return einsum(s)
	}
	panic(fmt.Sprintf("cost: no cost of a %s", kernels.Kind(s)))
}

// matmul counts products and the weights, which are read once, x and the results.
func matmul(s *kernels.Matmul) Cost {
	products, weights, columns := int64(0), int64(0), s.K
	if s.BF16 {
		columns /= 2
	}
	var own Cost // what the launch's numbers say
	add := func(products, weights, columns int64, of kernels.Size) {
		own.Flops = append(own.Flops, times(2*products, s.M, of))
		own.Bytes = append(own.Bytes, times(weights, of), times(4*columns, s.M, of))
	}
	for _, p := range s.Parts {
		if p.Plain != (kernels.Size{}) {
			add(s.K, s.K*int64(p.Elem.Bytes()), 1, p.Plain)
			continue
		}
		n := int64(p.Accs)
		products += n * p.Blocks * p.N * s.K
		for _, s := range p.Second {
			add(p.Blocks*p.N, packing.Len(p.Blocks, p.N, 1)*int64(s.Elem.Bytes()), 1, s.K)
		}
		if p.Group.Len > 0 {
			weights += n * p.Group.PackedBytes(p.Blocks, p.N, s.K)
		} else {
			weights += n * packing.Len(p.Blocks, p.N, packing.PaddedK(s.K, s.BF16)) * int64(p.Elem.Bytes())
		}
		if p.Argmax > 0 {
			columns += 2 * p.Partials()
		} else {
			columns += int64(len(p.Exprs)) * p.Blocks * p.N
		}
	}
	return Cost{Flops: append([]Term{times(2*products, s.M)}, own.Flops...), Bytes: append([]Term{times(weights), times(4*columns, s.M)}, own.Bytes...)}
}

// attention counts the keys that a query can see, whatever the window hides of them; in a batch with positions, those
// of its longest sequence for every one.
func attention(s *kernels.Attention) Cost {
	keys, sequences := Extent{Sum: []kernels.Size{s.T}}, s.Batch.N
	if s.Causal && s.Prefix == kernels.Const(0) && !s.Batch.Positions { // none behind the last query
		keys = Extent{Sum: []kernels.Size{s.Offset, s.S}, Most: &s.T}
	}
	if s.Batch == (kernels.Batch{}) {
		sequences = kernels.Const(1)
	}
	perKey := func(n int64, sizes ...kernels.Size) Term {
		t := times(n, append(sizes, sequences)...)
		t.Of = append(t.Of, keys)
		return t
	}
	products, scores := perKey(2*s.G*s.R*s.H, s.S), perKey(4*s.G*s.R, s.S)
	stored, queries := perKey(int64(s.KV.Bytes())*s.G*s.H), times(4*s.G*s.R*s.H, s.S, sequences)
	switch s.Step {
	case kernels.AttentionScores, kernels.AttentionValues:
		return Cost{[]Term{products}, []Term{queries, stored, scores}}
	case kernels.AttentionWeights:
		return Cost{Bytes: []Term{scores, scores}}
	}
	return Cost{[]Term{products, products}, []Term{queries, queries, stored, stored}}
}

// einsum counts every operand once: its elements are those of the dimensions it has strides for.
func einsum(s *kernels.Einsum) Cost {
	all := slices.Concat(s.Dims, s.Sum)
	read := func(strides []int64) Term {
		var own []kernels.Size
		for i, d := range all {
			if strides[i] != 0 {
				own = append(own, d)
			}
		}
		return times(4, own...)
	}
	return Cost{[]Term{times(2, all...)}, []Term{read(s.X), read(s.Y), times(4, s.Dims...)}}
}
