package ir

import "pgc/ir/scalar"

// Conformance cases of the fused operations: odd sizes, one row, tails, every attribute.

func mapSamples() []Sample {
	f := func(n ...int) Type { return T(F32, Dims(n...)...) }
	half := func(i, j int, def *OpDef) *Expr {
		return Call(def, Call(OpMul, Operand(i), Operand(2)), Call(OpMul, Operand(j), Operand(3)))
	}
	return []Sample{
		{In: []Type{f(3, 37), f(37)}, Attrs: MapAttrs{Exprs: []*Expr{Call(OpMul, Call(OpGeluTanh, Operand(0)), Operand(1))}}},
		{In: []Type{f(5, 3, 7), f(5, 3, 7), f(5, 1, 7), f(5, 1, 7)}, // rotary embedding
			Attrs: MapAttrs{Exprs: []*Expr{half(0, 1, OpSub), half(1, 0, OpAdd)}}},
		{In: []Type{T(BF16, Dims(11, 13)...), T(I32, Sym("S"))}, Syms: map[string]int{"S": 5}, // scaled embedding
			Ranges: []Range{{-4, 4}, {0, 11}},
			Attrs:  MapAttrs{Exprs: []*Expr{Call(OpMul, Operand(0), Num(3.5))}, Gathers: []Gather{{0, 1}}}},
		{In: []Type{T(F32, Sym("S"), D(3), D(7)), T(F32, D(7))}, Syms: map[string]int{"S": 5}, // stored in 16 bits
			Attrs: MapAttrs{Exprs: []*Expr{Call(OpMul, Operand(0), Operand(1))}, DType: BF16}},
		{In: []Type{T(F32, Sym("S"), D(18))}, Syms: map[string]int{"S": 3}, Attrs: MapAttrs{Exprs: []*Expr{Operand(0)}, DType: F16}},
		{In: []Type{f(5, 2, 3, 7), f(7), f(5, 11, 3, 7), T(I32, D(5))}, Ranges: []Range{{-4, 4}, {-4, 4}, {-4, 4}, {-2, 11}}, // a batch's keys
			Attrs: MapAttrs{Exprs: []*Expr{Call(OpMul, Operand(0), Operand(1))}, Scatter: Scatter{2, 3}}},
		{In: []Type{f(3, 1, 37), T(BF16, Dims(3, 5, 37)...), T(I32, D(3))}, Ranges: []Range{{-4, 4}, {-4, 4}, {-1, 5}},
			Attrs: MapAttrs{Exprs: []*Expr{Operand(0)}, DType: BF16, Scatter: Scatter{1, 2}}},
		{In: []Type{T(I32, Sym("S"), D(1)), T(I32, D(1), D(6))}, Syms: map[string]int{"S": 7},
			Attrs: MapAttrs{Exprs: []*Expr{Call(OpSelect, Call(OpLe, Operand(0), Operand(1)), Num(1), Cast(F32, Operand(0)))}}},
	}
}

func rowSamples() []Sample {
	sum := func(e *Expr) Reduction { return Reduction{scalar.Sum, e} }
	mean := func(i, n int) *Expr { return Call(OpDiv, Reduced(i), Num(float64(n))) }
	x := Operand(0)
	rms := RowAttrs{Reduce: []Reduction{sum(Call(OpMul, x, x))},
		Out: Call(OpMul, Call(OpMul, x, Call(OpRsqrt, Call(OpAdd, mean(0, 37), Num(1e-6)))), Call(OpAdd, Num(1), Operand(1)))}
	centered := Call(OpSub, x, mean(0, 21))
	layer := RowAttrs{Reduce: []Reduction{sum(x), sum(Call(OpMul, centered, centered))},
		Out: Call(OpAdd, Call(OpMul, Call(OpMul, centered, Call(OpRsqrt, Call(OpAdd, mean(1, 21), Num(1e-6)))), Operand(1)), Operand(2))}
	e := Call(OpExp, Call(OpSub, x, Reduced(0)))
	softmax := RowAttrs{Reduce: []Reduction{{scalar.Maximum, x}, sum(e)}, Out: Call(OpDiv, e, Reduced(1))}
	return []Sample{
		{In: []Type{T(F32, Sym("S"), D(37)), T(BF16, D(37))}, Attrs: rms, Syms: map[string]int{"S": 3}},
		{In: []Type{T(F32, D(5), D(21)), T(F32, D(21)), T(F32, D(21))}, Attrs: layer},
		{In: []Type{T(F32, D(2), D(3), Sym("T"))}, Attrs: softmax, Syms: map[string]int{"T": 19}},
		{In: []Type{T(F32, D(1), Sym("T"))}, Attrs: softmax, Syms: map[string]int{"T": 1}},
		{In: []Type{T(F32, Sym("S"), D(37)), T(BF16, D(37))}, Syms: map[string]int{"S": 3}, // stored in 16 bits
			Attrs: RowAttrs{Reduce: rms.Reduce, Out: rms.Out, DType: BF16}},
		{In: []Type{T(F32, Sym("S"), D(37)), T(BF16, D(37))}, Syms: map[string]int{"S": 4}, // in groups of 8 bits, the last one short
			Attrs: RowAttrs{Reduce: rms.Reduce, Out: rms.Out, DType: I8G32}},
		{In: []Type{T(F32, D(2), D(128))}, Attrs: RowAttrs{Out: Operand(0), DType: I8G64}}, // only rounded
		{In: []Type{T(F32, D(2), D(201)), T(F32, D(201))}, Attrs: RowAttrs{Out: Call(OpAdd, x, Operand(1)), DType: I8G128}},
	}
}

func matmulSamples() []Sample {
	w := func(d DType, shape ...int) Type { return T(d, Dims(shape...)...) }
	x := func(k int) Type { return T(F32, Sym("S"), D(k)) }
	one := func(accs int, e ...*Expr) MatmulAttrs { return MatmulAttrs{Accs: accs, Epilogue: e} }
	bias := Call(OpAdd, Acc(0), Operand(0))
	geglu := Call(OpMul, Call(OpGeluTanh, Acc(0)), Acc(1))
	softcap := Call(OpMul, Call(OpTanh, Call(OpDiv, Acc(0), Num(30))), Num(30))
	// rotated is the rotary embedding of accumulators i and i+1 by the cosine $0 and the sine $1.
	rotated := func(i int) []*Expr {
		a, b, cos, sin := Acc(i), Acc(i+1), Operand(0), Operand(1)
		return []*Expr{Call(OpSub, Call(OpMul, a, cos), Call(OpMul, b, sin)), Call(OpAdd, Call(OpMul, b, cos), Call(OpMul, a, sin))}
	}
	square := Reduction{scalar.Sum, Call(OpMul, Operand(0), Operand(0))}
	norm := Call(OpMul, Call(OpMul, Operand(0), Call(OpRsqrt, Call(OpAdd, Call(OpDiv, Reduced(0), Num(37)), Num(1e-6)))), Operand(1))
	// A residual is added and the sum normed; the sum is a result, too.
	sum := Call(OpAdd, Operand(0), Operand(1))
	normSum := Call(OpMul, sum, Call(OpRsqrt, Call(OpAdd, Reduced(0), Num(1))))
	unit := []Range{{-1, 1}}
	argmax := func(a MatmulAttrs) MatmulAttrs { a.Argmax = true; return a }
	syms := func(s int) map[string]int { return map[string]int{"S": s} }
	return []Sample{
		{In: []Type{x(37), w(F32, 11, 37)}, Attrs: one(1, Acc(0)), Syms: syms(5), Ranges: unit},
		{In: []Type{x(64), w(BF16, 48, 64), T(F32, D(48))}, Attrs: one(1, bias), Syms: syms(1), Ranges: unit},
		{In: []Type{x(33), w(F16, 17, 33), w(F16, 17, 33)}, Attrs: one(2, geglu), Syms: syms(9), Ranges: unit},
		{In: []Type{x(129), w(BF16, 65, 129), T(F32, Sym("S"), D(65))}, Attrs: one(1, bias), Syms: syms(13), Ranges: unit},
		{In: []Type{x(19), w(BF16, 131, 19)}, Attrs: one(1, softcap), Syms: syms(1), Ranges: unit},
		// Integer weights; a rotary embedding of them.
		{In: []Type{x(37), w(I8G32, 11, 37)}, Attrs: one(1, Acc(0)), Syms: syms(5), Ranges: unit},
		{In: []Type{x(133), w(I4G64, 35, 133), w(I4G64, 35, 133)}, Attrs: one(2, geglu), Syms: syms(1), Ranges: unit},
		{In: []Type{T(F32, D(1), D(201)), w(I4G128, 35, 201)}, Attrs: one(1, Acc(0)), Ranges: unit},
		{In: []Type{x(71), w(I8G64, 3, 5, 71), w(I8G64, 3, 5, 71), T(F32, Sym("S"), D(1), D(5)), T(F32, Sym("S"), D(1), D(5))},
			Attrs: one(2, rotated(0)...), Syms: syms(7), Ranges: unit},
		// A rotary embedding of three heads; then queries, keys and values in one.
		{In: []Type{x(23), w(BF16, 3, 5, 23), w(BF16, 3, 5, 23), T(F32, Sym("S"), D(1), D(5)), T(F32, Sym("S"), D(1), D(5))},
			Attrs: one(2, rotated(0)...), Syms: syms(7), Ranges: unit},
		{In: []Type{x(37), w(BF16, 4, 16, 37), w(BF16, 4, 16, 37), w(BF16, 1, 16, 37), w(BF16, 1, 16, 37), w(F32, 32, 37),
			T(F32, Sym("S"), D(1), D(16)), T(F32, Sym("S"), D(1), D(16))},
			Attrs: one(5, append(append(rotated(0), rotated(2)...), Acc(4))...), Syms: syms(3), Ranges: unit},
		// Prologues: for many rows and for the one row of decoding.
		{In: []Type{x(37), T(F32, D(37)), w(BF16, 11, 37), w(BF16, 11, 37)},
			Attrs: MatmulAttrs{Reduce: []Reduction{square}, Prologue: []*Expr{norm}, Accs: 2, Epilogue: []*Expr{geglu}}, Syms: syms(5), Ranges: unit},
		{In: []Type{T(F32, D(1), D(37)), T(F32, D(37)), w(BF16, 139, 37), w(F32, 3, 5, 37)},
			Attrs: MatmulAttrs{Reduce: []Reduction{square}, Prologue: []*Expr{norm}, Accs: 2, Epilogue: []*Expr{Acc(0), Acc(1)}}, Ranges: unit},
		{In: []Type{T(F32, D(1), D(41)), T(F32, D(1), D(41)), w(BF16, 19, 41)},
			Attrs: MatmulAttrs{Reduce: []Reduction{{scalar.Sum, Call(OpMul, sum, sum)}}, Prologue: []*Expr{normSum, sum}, Accs: 1, Epilogue: []*Expr{Acc(0)}}, Ranges: unit},
		// bfloat16 by bfloat16, of even and odd K, for many rows and for one; a rotary embedding; results stored in 16
		// bits; prologues.
		{In: []Type{T(BF16, Sym("S"), D(38)), w(BF16, 11, 38)}, Attrs: one(1, Acc(0)), Syms: syms(5), Ranges: unit},
		{In: []Type{T(BF16, Sym("S"), D(37)), w(BF16, 45, 37), w(BF16, 45, 37), T(F32, D(45))},
			Attrs: MatmulAttrs{Accs: 2, Epilogue: []*Expr{Call(OpAdd, geglu, Operand(0))}, DType: BF16}, Syms: syms(7), Ranges: unit},
		{In: []Type{T(BF16, D(1), D(601)), w(BF16, 67, 601)}, Attrs: one(1, softcap), Ranges: unit},
		{In: []Type{T(BF16, D(1), D(130)), w(BF16, 131, 130), w(BF16, 131, 130)}, Attrs: MatmulAttrs{Accs: 2, Epilogue: []*Expr{geglu}, DType: F16}, Ranges: unit},
		// Parts whose results are stored in formats of their own; a prologue that only rounds.
		{In: []Type{x(37), w(BF16, 19, 37), w(BF16, 5, 37)}, Attrs: MatmulAttrs{Accs: 2, Epilogue: []*Expr{Acc(0), Acc(1)}, DTypes: []DType{F32, BF16}}, Syms: syms(3), Ranges: unit},
		{In: []Type{T(F32, D(1), D(37)), w(BF16, 19, 37)}, Attrs: MatmulAttrs{Prologue: []*Expr{Operand(0)}, X: BF16, Accs: 1, Epilogue: []*Expr{Acc(0)}}, Ranges: unit},
		{In: []Type{T(BF16, Sym("S"), D(22)), w(BF16, 3, 5, 22), w(BF16, 3, 5, 22), w(BF16, 7, 22), T(F32, Sym("S"), D(1), D(5)), T(F32, Sym("S"), D(1), D(5))},
			Attrs: one(3, append(rotated(0), Acc(2))...), Syms: syms(3), Ranges: unit},
		{In: []Type{T(F32, D(1), D(37)), T(F32, D(37)), w(BF16, 139, 37), w(BF16, 3, 5, 37)},
			Attrs: MatmulAttrs{Reduce: []Reduction{square}, Prologue: []*Expr{norm}, X: BF16, Accs: 2, Epilogue: []*Expr{Acc(0), Acc(1)}, DType: BF16}, Ranges: unit},
		{In: []Type{x(42), x(42), w(BF16, 19, 42)}, Syms: syms(9),
			Attrs: MatmulAttrs{Reduce: []Reduction{{scalar.Sum, Call(OpMul, sum, sum)}}, Prologue: []*Expr{normSum, sum}, X: BF16, Accs: 1, Epilogue: []*Expr{Acc(0)}}, Ranges: unit},
		// bfloat16 by groups of integers, for many rows and for one, with a prologue.
		{In: []Type{T(BF16, Sym("S"), D(71)), w(I8G64, 35, 71), T(F32, D(35))}, Attrs: one(1, bias), Syms: syms(5), Ranges: unit},
		{In: []Type{T(BF16, D(1), D(201)), w(I4G128, 35, 201), w(I4G128, 35, 201)}, Attrs: one(2, geglu), Ranges: unit},
		{In: []Type{T(F32, D(1), D(37)), T(F32, D(37)), w(I4G32, 139, 37), w(I8G32, 3, 5, 37)},
			Attrs: MatmulAttrs{Reduce: []Reduction{square}, Prologue: []*Expr{norm}, X: BF16, Accs: 2, Epilogue: []*Expr{Acc(0), Acc(1)}}, Ranges: unit},
		// Queries, rotated keys and values of a batch, the last two straight to the places of their sequences, some of which
		// have none; one part alone.
		{In: []Type{T(F32, Dims(5, 37)...), w(BF16, 19, 37), w(BF16, 2, 9, 37), w(BF16, 2, 9, 37), w(BF16, 21, 37), T(F32, D(5), D(1), D(9)), T(F32, D(5), D(1), D(9)),
			T(F32, Dims(5, 11, 2, 18)...), T(I32, D(5)), T(F32, Dims(5, 7, 21)...)},
			Attrs:  MatmulAttrs{Accs: 4, Epilogue: append(append([]*Expr{Acc(0)}, rotated(1)...), Acc(3)), Scatter: []Scatter{{}, {2, 3}, {4, 3}}},
			Ranges: []Range{{-1, 1}, {-1, 1}, {-1, 1}, {-1, 1}, {-1, 1}, {-1, 1}, {-1, 1}, {-1, 1}, {-2, 11}, {-1, 1}}},
		{In: []Type{T(F32, Dims(11, 23)...), w(F16, 15, 23), T(F32, Dims(11, 3, 5, 3)...), T(I32, D(11))},
			Attrs: MatmulAttrs{Accs: 1, Epilogue: []*Expr{Acc(0)}, Scatter: []Scatter{{0, 1}}}, Ranges: []Range{{-1, 1}, {-1, 1}, {-1, 1}, {-1, 4}}},
		// The place of the greatest column: with a soft cap, two accumulators and an operand that ends amid a vector, a
		// prologue.
		{In: []Type{T(F32, D(1), D(19)), w(BF16, 331, 19)}, Attrs: argmax(MatmulAttrs{Accs: 1, Epilogue: []*Expr{softcap}}), Ranges: unit},
		// Second products: of both accumulators of a gated unit, of integers, and of a rotary embedding, whose second goes on twice.
		{In: []Type{x(37), w(BF16, 41, 37), w(BF16, 41, 37), T(F32, Sym("S"), D(5)), w(BF16, 41, 5), T(F32, Sym("S"), D(16)), w(F32, 41, 16)},
			Attrs: MatmulAttrs{Accs: 2, Epilogue: []*Expr{geglu}, Low: []int{0, 1}}, Syms: syms(9), Ranges: unit},
		{In: []Type{T(F32, D(1), D(133)), w(I4G64, 135, 133), T(F32, D(135)), T(F32, D(1), D(7)), w(BF16, 135, 7)},
			Attrs: MatmulAttrs{Accs: 1, Epilogue: []*Expr{bias}, Low: []int{0}}, Ranges: unit},
		{In: []Type{x(37), w(BF16, 3, 20, 37), w(BF16, 3, 20, 37), T(F32, Sym("S"), D(1), D(20)), T(F32, Sym("S"), D(1), D(20)),
			T(F32, Sym("S"), D(3)), w(BF16, 3, 20, 3), T(F32, Sym("S"), D(3)), w(BF16, 3, 20, 3)},
			Attrs: MatmulAttrs{Accs: 2, Epilogue: rotated(0), Low: []int{1, 1}}, Syms: syms(14), Ranges: unit},
		{In: []Type{T(F32, D(1), D(133)), w(I4G64, 135, 133)}, Attrs: argmax(one(1, Acc(0))), Ranges: unit},
		{In: []Type{T(F32, D(1), D(33)), w(F16, 217, 33), w(F16, 217, 33), T(F32, D(217))}, Attrs: argmax(one(2, Call(OpAdd, geglu, Operand(0)))), Ranges: unit},
		{In: []Type{T(F32, D(1), D(37)), T(F32, D(37)), w(BF16, 1024, 37)},
			Attrs: argmax(MatmulAttrs{Reduce: []Reduction{square}, Prologue: []*Expr{norm}, Accs: 1, Epilogue: []*Expr{Acc(0)}}), Ranges: unit},
	}
}

func attentionSamples() []Sample {
	sample := func(s, t, g, r, h int, a AttentionAttrs) Sample {
		kv := T(F32, Sym("T"), D(g), D(h))
		return Sample{In: []Type{T(F32, Sym("S"), D(g), D(r), D(h)), kv, kv}, Attrs: a,
			Syms: map[string]int{"S": s, "T": t, "past": t - s, "prefix": t / 2}}
	}
	past := Sym("past")
	halves := func(s Sample, d DType) Sample { // k and v stored in 16 bits
		for i := 1; i < 3; i++ {
			s.In[i].DType = d
		}
		return s
	}
	// batch gives every one of n sequences positions of its own, from lo on.
	batch := func(n, lo int, s Sample) Sample {
		for i := range s.In {
			s.In[i].Shape = append([]Dim{D(n)}, s.In[i].Shape...)
		}
		all := Range{}.OrDefault()
		if s.Attrs.(AttentionAttrs).Causal {
			s.In = append(s.In, T(I32, D(n)))
		}
		s.Ranges = []Range{all, all, all, {float64(lo), float64(s.Syms["T"] - s.Syms["S"] + 1)}}
		return s
	}
	causal := AttentionAttrs{Scale: 0.25, Causal: true}
	return []Sample{
		halves(sample(1, 23, 1, 3, 10, AttentionAttrs{Scale: 0.25, Causal: true, Prefix: Sym("prefix"), Offset: past}), BF16),
		halves(sample(9, 9, 2, 2, 12, AttentionAttrs{Scale: 0.25, Causal: true, Prefix: Sym("prefix")}), BF16),
		halves(sample(5, 69, 2, 1, 6, AttentionAttrs{Scale: 0.3, Softcap: 2, Causal: true, Window: 4, Offset: past}), F16),
		sample(7, 7, 3, 1, 18, AttentionAttrs{Scale: 0.25}),
		sample(5, 8, 1, 50, 6, AttentionAttrs{Scale: 0.25, Causal: true, Offset: past}), // more queries of a key head than vectors hold
		sample(1, 8, 2, 21, 6, AttentionAttrs{Scale: 0.25, Causal: true, Offset: past}),
		sample(5, 7, 3, 1, 18, AttentionAttrs{Scale: 0.25, DType: BF16}),
		sample(1, 1, 1, 1, 8, AttentionAttrs{Scale: 1, Causal: true}),
		sample(9, 9, 1, 4, 16, AttentionAttrs{Scale: 0.25, Causal: true, Prefix: Sym("prefix")}),
		sample(1, 23, 2, 2, 16, AttentionAttrs{Scale: 0.25, Causal: true, Prefix: Sym("prefix"), Offset: past}),
		sample(3, 37, 1, 2, 24, AttentionAttrs{Scale: 0.3, Softcap: 50, Causal: true, Window: 5, Offset: past}),
		sample(31, 31, 2, 1, 8, AttentionAttrs{Scale: 0.3, Softcap: 2, Causal: true, Window: 4, Prefix: Sym("prefix")}),
		// Batches: a position for each, among them none (below 0), the first and the last; several rows; no positions
		// at all.
		batch(5, 0, sample(1, 29, 1, 8, 20, causal)),
		batch(7, -1, sample(1, 3, 2, 4, 10, causal)),
		batch(3, 0, sample(1, 1, 2, 1, 6, causal)),
		halves(batch(5, -2, sample(1, 131, 1, 4, 12, AttentionAttrs{Scale: 0.3, Softcap: 5, Causal: true, Window: 7})), BF16),
		halves(batch(3, 0, sample(3, 41, 8, 1, 18, AttentionAttrs{Scale: 0.3, Causal: true, Window: 2})), F16),
		batch(3, -3, sample(4, 9, 2, 2, 8, AttentionAttrs{Scale: 0.25, Softcap: 50, Causal: true, DType: BF16})),
		batch(3, 0, sample(5, 11, 2, 1, 18, AttentionAttrs{Scale: 0.25})),
	}
}
