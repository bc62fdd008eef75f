package ir

import (
	"errors"
	"fmt"
	"slices"
)

// MatmulAttrs are the attributes of matmul.
type MatmulAttrs struct {
	Reduce   []Reduction `ir:"reduce,opt"`   // of the prologue: reductions over K, as of a row
	Prologue []*Expr     `ir:"prologue,opt"` // x, then extra results; none when operand 0 is x itself
	X        DType       `ir:"x,opt"`        // bf16 if the prologue's x is rounded to it
	Accs     int         `ir:"accs"`         // the number of accumulators, and of matrices behind the operands of the prologue
	Epilogue []*Expr     `ir:"epilogue"`     // over the accumulators @j and the operands after the matrices, $0, $1, …
	DType    DType       `ir:"dtype,opt"`    // the 16-bit format that f32 results of the epilogue are stored in, if any
	DTypes   []DType     `ir:"dtypes,opt"`   // the formats of each part's result, where they differ
	Scatter  []Scatter   `ir:"scatter,opt"`  // of each part, by operands of the epilogue, where a result is rows of a state
	Argmax   bool        `ir:"argmax,opt"`   // the result is the index of the maximum of the only row
	Low      []int       `ir:"low,opt"`      // accumulators that go on with a second product, whose operands t and b are the last ones
}

// OpMatmul multiplies rows of x [M,K] by the rows of matrices w, acc_j = x·w_jᵀ, and applies expressions to the
// accumulators and to extra operands: bias, residual, activation. Weights of any float format are read as f32. A gated
// linear unit has two accumulators: mul(gelu_tanh(@0), @1).
//
// Expressions that share accumulators form a part, such as the queries, keys or values of one x. Every part has a
// result [M,N]. The matrices of a part have one shape: [N,K], or [B,I,K] for N = B·I columns in blocks of I. Several
// expressions of a part alternate block by block along the columns of the result. A rotary embedding, which pairs the
// halves of every head, is a part with two accumulators and two expressions. Extra operands broadcast to [M,N] or
// [M,B,I].
//
// If x and the matrices are bf16, backends multiply bf16: products are exact, sums are f32. x may be bf16 with matrices of
// bf16 or in groups of integers only. If x is stored in groups of 8 bits and the matrices in groups of the same length,
// backends multiply integers.
//
// With scatter, the result [M,N] of a part is rows of a state [M,T,…] of N elements each, one for every index of its first
// dimension, as the new keys and values of a batch are.
//
// A prologue computes x from other operands, like a row. Each of its expressions after the first is another result
// [M,K], behind those of the parts.
//
// An accumulator j of low goes on with the product of rows of its own, acc_j = x·w_jᵀ + t·bᵀ: t is [M,R], b like w_j but
// of rows of R floats. Several are added in the order of low.
//
// With argmax, the result is the argmax over the columns, which are never written. It requires one row, one part of one
// expression and matrices without blocks.
var OpMatmul = Define(OpDef{Name: "matmul", Doc: "expressions over the products of x with transposed matrices and over extra operands; x may be a row of its own",
	In: []Operands{{"x", AnyDType}, {"w and extra", AnyDType}}, Variadic: true, Attrs: MatmulAttrs{}, Tol: Tol{ULP: 8, Norm: 1e-5},
	InferAll: inferMatmul, Expand: expandMatmul, Samples: matmulSamples(),
})

// MatmulPart is a run of accumulators and the expressions over them.
type MatmulPart struct {
	First, Accs int // accumulators
	Exprs       []*Expr
	Domain      []Dim    // [M,N] or [M,B,I]
	Weights     []*Value // in a view: the matrices of the part
	Result      *Value   // in a view: the result of the part
	State       *Value   // in a view: what the result scatters rows to, or nil
	Positions   *Value   // in a view: where to
}

// Columns returns the number of columns of the part's result.
func (p MatmulPart) Columns() int {
	n := len(p.Exprs)
	for _, d := range p.Domain[1:] {
		n *= d.N
	}
	return n
}

// MatmulView is a matmul operation with its operands told apart.
type MatmulView struct {
	MatmulAttrs
	Row     []*Value // the operands of the prologue, or x alone if there is none
	Weights []*Value // the matrices, one for each accumulator
	Extra   []*Value // the operands of the epilogue
	Parts   []MatmulPart
	Others  []*Value // the results of the prologue besides x
	Factor  DType    // x as it is multiplied
	Second  []Second // the products that accumulators go on with
}

// Second is a product X·Wᵀ that is added to an accumulator.
type Second struct {
	Acc  int
	X, W *Value
}

// Tail lists the operands behind the matrices.
func (a MatmulView) Tail() []*Value {
	tail := slices.Clone(a.Extra)
	for _, s := range a.Second {
		tail = append(tail, s.X, s.W)
	}
	return tail
}

// ViewMatmul returns the view of a matmul of a verified function.
func ViewMatmul(op *Op) MatmulView {
	a := op.Attrs.(MatmulAttrs)
	parts, x, err := a.parts(typesOf(op.In))
	if err != nil {
		panic(fmt.Sprintf("ir: %s: %v", op, err))
	}
	rows := a.rows()
	tail := len(op.In) - 2*len(a.Low)
	v := MatmulView{a, op.In[:rows], op.In[rows:][:a.Accs], op.In[rows+a.Accs : tail], parts, op.Results[len(parts):], x.DType, nil}
	for i, acc := range a.Low {
		v.Second = append(v.Second, Second{acc, op.In[tail+2*i], op.In[tail+2*i+1]})
	}
	for i := range parts {
		p := &parts[i]
		p.Weights, p.Result = v.Weights[p.First:][:p.Accs], op.Results[i]
		if s := a.scatter(i); s != (Scatter{}) {
			p.State, p.Positions = v.Extra[s.State], v.Extra[s.Positions]
		}
	}
	return v
}

// rows returns the number of operands of the prologue, or 1, for x, if there is none.
func (a MatmulAttrs) rows() int {
	n := 1
	for i := range refsOf(append(reduced(a.Reduce), a.Prologue...)...) {
		n = max(n, i+1)
	}
	return n
}

func reduced(rs []Reduction) []*Expr {
	exprs := make([]*Expr, len(rs))
	for i, r := range rs {
		exprs[i] = r.Expr
	}
	return exprs
}

// parts groups the expressions by the accumulators they share. It also returns the type of x as it is multiplied.
func (a MatmulAttrs) parts(in []Type) (parts []MatmulPart, x Type, err error) {
	rows := a.rows()
	if a.Accs < 1 || len(in) < rows+a.Accs+2*len(a.Low) {
		return nil, x, fmt.Errorf("has %s, but accs=%d", plural(len(in), "operand"), a.Accs)
	}
	if x, err = a.x(in[:rows]); err != nil {
		return nil, x, err
	}
	next := 0 // the first accumulator that belongs to no part yet
	for i, e := range a.Epilogue {
		first, last := a.Accs, -1
		e.Walk(func(l *Expr) {
			if l.Kind == ExprAcc {
				first, last = min(first, l.Index), max(last, l.Index)
			}
		})
		switch {
		case last < 0:
			return nil, x, fmt.Errorf("expression %d of the epilogue uses no accumulator", i)
		case last >= a.Accs:
			return nil, x, noLeaf(Acc(last), "accumulator", a.Accs)
		case first > next || len(parts) > 0 && first < parts[len(parts)-1].First:
			return nil, x, fmt.Errorf("expression %d of the epilogue uses accumulators out of order", i)
		case first == next:
			parts = append(parts, MatmulPart{First: next})
		}
		p := &parts[len(parts)-1]
		p.Exprs = append(p.Exprs, e)
		p.Accs = max(p.Accs, last+1-p.First)
		next = p.First + p.Accs
	}
	if next < a.Accs {
		return nil, x, fmt.Errorf("accumulator @%d is not used", next)
	}
	for i := range parts {
		p := &parts[i]
		ws := in[rows+p.First:][:p.Accs]
		for _, w := range ws {
			if r := w.Rank(); r < 2 || r > 3 || w.Last() != x.Shape[1] || !w.Equal(ws[0]) {
				return nil, x, fmt.Errorf("x is %s and w is %s, expected [M,K] and [N,K] or [B,I,K]", x, w)
			}
			if !w.DType.IsFloat() {
				return nil, x, fmt.Errorf("w is %s, expected floats", w)
			}
			if x.DType.IsQuantized() && w.DType.Activation() != x.DType {
				return nil, x, fmt.Errorf("x is %s and w is %s, expected groups of integers of one length", x, w)
			}
			if x.DType == BF16 && w.DType != BF16 && !w.DType.IsQuantized() {
				return nil, x, fmt.Errorf("x is %s and w is %s, expected bf16 or groups of integers", x, w)
			}
			for _, d := range w.Shape {
				if !d.IsConst() {
					return nil, x, fmt.Errorf("w is %s, expected constant dimensions", w)
				}
			}
		}
		p.Domain = append([]Dim{x.Shape[0]}, ws[0].Shape[:ws[0].Rank()-1]...)
	}
	return parts, x, nil
}

// x returns the type of x as it is multiplied.
func (a MatmulAttrs) x(in []Type) (Type, error) {
	x := in[0]
	for _, e := range a.Prologue {
		t, err := inferRow(in, RowAttrs{Reduce: a.Reduce, Out: e})
		if err != nil {
			return Type{}, fmt.Errorf("prologue: %w", err)
		}
		if x = t; x.DType != F32 {
			return Type{}, fmt.Errorf("prologue: x is %s, expected f32", x)
		}
	}
	if a.X != Invalid {
		if len(a.Prologue) == 0 || a.X != BF16 {
			return Type{}, fmt.Errorf("rounds x to %s, expected that of a prologue as bf16", a.X)
		}
		x.DType = BF16
	}
	if x.Rank() != 2 || x.DType != F32 && x.DType != BF16 && !x.DType.IsActivation() {
		return Type{}, fmt.Errorf("x is %s, expected f32, bf16 or groups of 8 bits of two dimensions", x)
	}
	if len(a.Prologue) == 0 && len(a.Reduce) > 0 {
		return Type{}, errors.New("has reductions without a prologue")
	}
	return x, nil
}

// format is the 16-bit format that the result of a part is stored in, or Invalid.
func (a MatmulAttrs) format(part int) DType {
	if a.DTypes != nil && a.DTypes[part] != F32 {
		return a.DTypes[part]
	}
	return a.DType
}

// scatter is where the result of a part is scattered to.
func (a MatmulAttrs) scatter(part int) Scatter {
	if a.Scatter == nil {
		return Scatter{}
	}
	return a.Scatter[part]
}

// scattered returns the type of a part's result, of type t by itself, where that is scattered.
func (a MatmulAttrs) scattered(part int, t Type, extra []Type) (Type, error) {
	s := a.scatter(part)
	if s == (Scatter{}) {
		return t, nil
	}
	if err := s.check(len(extra), refsOf(a.Epilogue...)); err != nil {
		return Type{}, err
	}
	for _, other := range a.Scatter[:part] {
		if other != (Scatter{}) && other.State == s.State {
			return Type{}, fmt.Errorf("two parts scatter to $%d, expected a state for each", s.State)
		}
	}
	state, elements := extra[s.State], 0
	if state.Rank() > 2 {
		elements = 1
		for _, d := range state.Shape[2:] {
			elements *= d.N // 0 for a symbol
		}
	}
	if elements != t.Shape[1].N {
		return Type{}, fmt.Errorf("%s is scattered to $%d, %s, expected a state [M,T,…] with rows of as many elements", t, s.State, state)
	}
	return OpScatter.InferType([]Type{state, {t.DType, rowOf(state, t.Shape[0])}, extra[s.Positions]}, nil)
}

// rowOf returns the shape of a row for each of m indices of the first dimension of a state.
func rowOf(state Type, m Dim) []Dim { return append([]Dim{m, D(1)}, state.Shape[2:]...) }

func inferMatmul(in []Type, attrs any) ([]Type, error) {
	a := attrs.(MatmulAttrs)
	if len(a.Epilogue) == 0 {
		return nil, errors.New("the epilogue has no expressions")
	}
	parts, x, err := a.parts(in)
	if err != nil {
		return nil, err
	}
	extra := in[a.rows()+a.Accs:]
	tail := extra[len(extra)-2*len(a.Low):]
	extra = extra[:len(extra)-len(tail)]
	for i, acc := range a.Low {
		if err := a.second(acc, in, x, tail[2*i], tail[2*i+1]); err != nil {
			return nil, err
		}
	}
	if a.DTypes != nil && (len(a.DTypes) != len(parts) || a.DType != Invalid || a.Argmax) {
		return nil, fmt.Errorf("dtypes has %d formats, expected %d, without dtype and argmax", len(a.DTypes), len(parts))
	}
	if a.Scatter != nil && (len(a.Scatter) != len(parts) || a.Argmax) {
		return nil, fmt.Errorf("scatter has %s, expected %d, without argmax", plural(len(a.Scatter), "pair"), len(parts))
	}
	var results []Type
	for i, p := range parts {
		d, err := p.infer(extra)
		if err == nil {
			d, err = storedAs(a.format(i), d)
		}
		if err != nil {
			return nil, err
		}
		t, err := a.scattered(i, T(d, p.Domain[0], D(p.Columns())), extra)
		if err != nil {
			return nil, err
		}
		results = append(results, t)
	}
	for range a.Prologue[min(1, len(a.Prologue)):] {
		results = append(results, T(F32, x.Shape...))
	}
	if !a.Argmax {
		return results, nil
	}
	if len(a.Epilogue) != 1 || len(results) > 1 || len(parts[0].Domain) != 2 || parts[0].Domain[0] != D(1) {
		return nil, fmt.Errorf("argmax of %s over %s, expected one row of one expression over matrices [N,K]",
			FormatTypes(results), FormatDims(parts[0].Domain))
	}
	return OpArgmax.InferTypes(results, nil)
}

// second checks the operands of a product that an accumulator goes on with.
func (a MatmulAttrs) second(acc int, in []Type, x, t, b Type) error {
	if acc < 0 || acc >= a.Accs {
		return noLeaf(Acc(acc), "accumulator", a.Accs)
	}
	w := in[a.rows()+acc]
	if a.Argmax || t.Rank() != 2 || t.DType != F32 || t.Shape[0] != x.Shape[0] || b.Rank() != w.Rank() || b.Last() != t.Last() || !b.Last().IsConst() ||
		!slices.Equal(b.Shape[:b.Rank()-1], w.Shape[:w.Rank()-1]) || !Plain.Has(b.DType) {
		return fmt.Errorf("accumulator @%d of %s rows goes on with %s and %s, expected f32[M,R] and floats of R a row of %s, without argmax", acc, x.Shape[0], t, b, w)
	}
	return nil
}

// infer returns the type of the part's expressions over the extra operands of the matmul.
func (p MatmulPart) infer(extra []Type) (DType, error) {
	out := Invalid
	for _, e := range p.Exprs {
		for i := range refsOf(e) {
			if i < 0 || i >= len(extra) {
				continue // scalarType reports it
			}
			if s, err := Broadcast(extra[i].Shape, p.Domain); err != nil || FormatDims(s) != FormatDims(p.Domain) {
				return Invalid, fmt.Errorf("extra operand $%d is %s, which does not broadcast to %s", i, extra[i], FormatDims(p.Domain))
			}
		}
		d, err := e.scalarType(func(e *Expr) (DType, error) {
			if e.Kind != ExprAcc {
				return operandType(extra)(e)
			}
			return F32, nil
		})
		if err != nil {
			return Invalid, err
		}
		if out != Invalid && d != out {
			return Invalid, fmt.Errorf("expressions of one part are of types %s and %s, expected one type", out, d)
		}
		out = d
	}
	return out, nil
}

func expandMatmul(b *Builder, op *Op) []*Value {
	a := ViewMatmul(op)
	x := b.readable(op.In[0])
	var others []*Value // results of the prologue besides x
	for i, e := range a.Prologue {
		v := expandRowOf(b, a.Row, RowAttrs{Reduce: a.Reduce, Out: e})
		switch {
		case i > 0:
			others = append(others, v)
		case a.X != Invalid:
			x = b.readable(b.Convert(v, a.X))
		default:
			x = v
		}
	}
	accs := make([]*Value, a.Accs)
	for i, w := range a.Weights {
		spec := "ab,cb->ac"
		if w.Type.Rank() == 3 {
			spec = "ab,cdb->acd"
		}
		accs[i] = b.Op(OpEinsum, EinsumAttrs{spec}, x, b.readable(w))
		for _, s := range a.Second {
			if s.Acc == i {
				accs[i] = b.Op(OpAdd, nil, accs[i], b.Op(OpEinsum, EinsumAttrs{spec}, s.X, b.readable(s.W)))
			}
		}
	}
	var results []*Value
	for n, p := range a.Parts {
		outs := make([]*Value, len(p.Exprs))
		for i, e := range p.Exprs {
			v := b.Expr(e, func(l *Expr) *Value {
				if l.Kind == ExprAcc {
					return accs[l.Index]
				}
				return b.readable(a.Extra[l.Index])
			})
			outs[i] = b.Broadcast(v, p.Domain)
		}
		v := b.Reshape(b.Concat(len(p.Domain)-1, outs...), []Dim{p.Domain[0], D(p.Columns())})
		switch {
		case a.format(n) != Invalid:
			v = b.Convert(v, a.format(n))
		case a.Argmax:
			v = b.Op(OpArgmax, nil, v)
		}
		if p.State != nil {
			v = b.Op(OpScatter, nil, p.State, b.Reshape(v, rowOf(p.State.Type, p.Domain[0])), p.Positions)
		}
		results = append(results, v)
	}
	return append(results, others...)
}
