package kernels

// Cost counts the arithmetic of a kernel and the bytes that it must at least move, for benchmarks.
type Cost struct{ Flops, Bytes []Term }

// Term is one summand of a cost: N times the product of its extents.
type Term struct {
	N  int64
	Of []Extent
}

// Extent is the sum of sizes, at most Most unless that is nil.
type Extent struct {
	Sum  []Size
	Most *Size
}

// times returns n times the product of sizes.
func times(n int64, sizes ...Size) Term {
	t := Term{N: n}
	for _, s := range sizes {
		t.Of = append(t.Of, Extent{Sum: []Size{s}})
	}
	return t
}

// Cost counts an element of four bytes for every operand and result.
func (s *Map) Cost() Cost {
	return Cost{Bytes: []Term{times(4*int64(len(s.In)+len(s.Outs)), s.Dims...)}}
}

// Cost counts one operand and the result.
func (s *Row) Cost() Cost {
	return Cost{Bytes: []Term{times(8, append(append([]Size{}, s.Outer...), s.C)...)}}
}

// Cost counts products and the weights, which are read once, x and the results.
func (s *Matmul) Cost() Cost {
	products, weights, columns := int64(0), int64(0), s.K
	if s.Pairs {
		columns /= 2
	}
	for _, p := range s.Parts {
		n := int64(p.Accs)
		products += n * p.Blocks * p.N * s.K
		if p.Group.Len > 0 {
			weights += n * p.Group.PackedBytes(p.Blocks, p.N, s.K)
		} else {
			weights += n * PackedLen(p.Blocks, p.N, PackedK(s.K, s.Pairs)) * int64(p.Elem.Bytes())
		}
		if p.Argmax > 0 {
			columns += 2 * p.Pairs()
		} else {
			columns += int64(len(p.Exprs)) * p.Blocks * p.N
		}
	}
	return Cost{Flops: []Term{times(2*products, s.M)}, Bytes: []Term{times(weights), times(4*columns, s.M)}}
}

// Cost counts nothing: the loop around an epilogue counts.
func (s *Epilogue) Cost() Cost { return Cost{} }

// Cost counts the keys that a query can see, whatever the window hides of them; in a batch with positions, those of its
// longest sequence for every one.
func (s *Attention) Cost() Cost {
	keys, sequences := Extent{Sum: []Size{s.T}}, s.Batch.N
	if s.Causal && s.Prefix == Const(0) && !s.Batch.Positions { // none behind the last query
		keys = Extent{Sum: []Size{s.Offset, s.S}, Most: &s.T}
	}
	if s.Batch == (Batch{}) {
		sequences = Const(1)
	}
	perKey := func(n int64, sizes ...Size) Term {
		t := times(n, append(sizes, sequences)...)
		t.Of = append(t.Of, keys)
		return t
	}
	products, scores := perKey(2*s.G*s.R*s.H, s.S), perKey(4*s.G*s.R, s.S)
	stored, queries := perKey(int64(s.KV.Bytes())*s.G*s.H), times(4*s.G*s.R*s.H, s.S, sequences)
	switch s.Step {
	case AttentionScores, AttentionValues:
		return Cost{[]Term{products}, []Term{queries, stored, scores}}
	case AttentionWeights:
		return Cost{Bytes: []Term{scores, scores}}
	}
	return Cost{[]Term{products, products}, []Term{queries, queries, stored, stored}}
}

// Cost counts every operand once at least: its elements are those of the dimensions it has strides for.
func (s *Einsum) Cost() Cost {
	all := append(append([]Size{}, s.Dims...), s.Sum...)
	read := func(strides []int64) Term {
		var own []Size
		for i, d := range all {
			if strides[i] != 0 {
				own = append(own, d)
			}
		}
		return times(4, own...)
	}
	return Cost{[]Term{times(2, all...)}, []Term{read(s.X), read(s.Y), times(4, s.Dims...)}}
}
