package passes

import (
	"slices"

	"pgc/ir"
)

// mostJoined is the most numbers that a product which another goes on with sums up: more are worth a kernel of their own.
const mostJoined = 128

// joinProducts lets accumulators go on with a small product that is added to theirs, such as the second of a low-rank
// update, which then is neither written nor read: the sum in an epilogue, x·wᵀ + t·bᵀ, and the sum of two products with
// equal epilogues that are linear, such as rotary embeddings.
func joinProducts(f *ir.Func, budget *Budget) int {
	n, uses := 0, f.Uses()
	for _, op := range slices.Clone(f.Ops) {
		joined := 0
		switch {
		case op.Def == ir.OpMatmul:
			joined = joinOperands(f, op, uses, budget)
		case op.Def == ir.OpAdd && joinSum(f, op, uses, budget):
			joined = 1
		}
		if joined > 0 {
			n, uses = n+joined, f.Uses()
		}
	}
	if n > 0 {
		f.Sort()
		f.RemoveDead()
	}
	return n
}

// small returns the view of the matmul that v is the result of and nothing else reads, if another can go on with it.
func small(v *ir.Value, uses ir.Uses) (ir.MatmulView, bool) {
	if !is(v, ir.OpMatmul) || len(uses.Of(v)) != 1 || len(v.Def.Results) > 1 || v.Type.DType != ir.F32 {
		return ir.MatmulView{}, false
	}
	a := ir.ViewMatmul(v.Def)
	x := a.Row[0].Type
	ok := len(a.Prologue) == 0 && !a.Argmax && len(a.Second) == 0 && x.DType == ir.F32 && x.Last().N <= mostJoined &&
		!slices.ContainsFunc(a.Weights, func(w *ir.Value) bool { return w.Type.DType.IsQuantized() })
	return a, ok
}

// joinOperands joins the products that the epilogue of op adds to an accumulator.
func joinOperands(f *ir.Func, op *ir.Op, uses ir.Uses, budget *Budget) int {
	a := ir.ViewMatmul(op)
	if a.Argmax || len(a.Parts) > 1 || len(a.Prologue) > 0 || len(a.Parts[0].Domain) != 2 {
		return 0
	}
	joined := map[int]bool{} // operands
	attrs, seconds := a.MatmulAttrs, a.Tail()[len(a.Extra):]
	product := func(acc, e *ir.Expr) bool {
		if acc.Kind != ir.ExprAcc || e.Kind != ir.ExprOperand || joined[e.Index] || mentions(a.Epilogue, acc) > 1 {
			return false
		}
		v := a.Extra[e.Index]
		s, ok := small(v, uses)
		if !ok || len(s.Epilogue) != 1 || s.Epilogue[0].Kind != ir.ExprAcc || !slices.Equal(v.Type.Shape, op.Result().Type.Shape) || !budget.Take(op) {
			return false
		}
		joined[e.Index] = true
		attrs.Low, seconds = append(slices.Clip(attrs.Low), acc.Index), append(seconds, s.Row[0], s.Weights[0])
		return true
	}
	var walk func(e *ir.Expr) *ir.Expr
	walk = func(e *ir.Expr) *ir.Expr {
		if len(e.Args) == 0 {
			return e
		}
		c := *e
		c.Args = nil
		for _, x := range e.Args {
			c.Args = append(c.Args, walk(x))
		}
		if e.Def == ir.OpAdd {
			switch {
			case product(c.Args[0], c.Args[1]):
				return c.Args[0]
			case product(c.Args[1], c.Args[0]):
				return c.Args[1]
			}
		}
		return &c
	}
	e := walk(a.Epilogue[0])
	if len(joined) == 0 {
		return 0
	}
	var extra []*ir.Value
	place := map[int]int{}
	for i, v := range a.Extra {
		if !joined[i] {
			place[i] = len(extra)
			extra = append(extra, v)
		}
	}
	attrs.Epilogue = []*ir.Expr{e.Rewrite(func(leaf *ir.Expr) *ir.Expr {
		if leaf.Kind == ir.ExprOperand {
			return ir.Operand(place[leaf.Index])
		}
		return leaf
	})}
	in := slices.Concat(a.Row, a.Weights, extra, seconds)
	f.ReplaceResults(op, ir.Before(f, op).Add(ir.OpMatmul, attrs, in...).Results)
	return len(joined)
}

// mentions counts the leaves of expressions that are an accumulator: a subtree that is shared counts once.
func mentions(exprs []*ir.Expr, acc *ir.Expr) (n int) {
	for _, e := range exprs {
		e.Walk(func(l *ir.Expr) {
			if l.Kind == ir.ExprAcc && l.Index == acc.Index {
				n++
			}
		})
	}
	return n
}

// joinSum makes the sum of two products with equal linear epilogues one product.
func joinSum(f *ir.Func, op *ir.Op, uses ir.Uses, budget *Budget) bool {
	under := func(v *ir.Value) *ir.Value {
		for is(v, ir.OpReshape) && len(uses.Of(v)) == 1 {
			v = v.Def.In[0]
		}
		return v
	}
	big, little := under(op.In[0]), under(op.In[1])
	s, ok := small(little, uses)
	if !ok || !is(big, ir.OpMatmul) || len(uses.Of(big)) != 1 || !slices.Equal(op.In[0].Type.Shape, op.Result().Type.Shape) ||
		!slices.Equal(op.In[1].Type.Shape, op.Result().Type.Shape) {
		return false
	}
	a := ir.ViewMatmul(big.Def)
	if len(a.Parts) != 1 || len(big.Def.Results) > 1 || len(a.Prologue) > 0 || a.Argmax || big.Type.DType != ir.F32 || a.Accs != s.Accs ||
		!slices.Equal(a.Extra, s.Extra) || len(a.Epilogue) != len(s.Epilogue) || !big.Type.Equal(little.Type) {
		return false
	}
	for i, e := range a.Epilogue {
		if !isLinear(e) || e.String() != s.Epilogue[i].String() {
			return false
		}
	}
	for i, w := range a.Weights {
		if of := s.Weights[i].Type; !slices.Equal(of.Shape[:of.Rank()-1], w.Type.Shape[:w.Type.Rank()-1]) {
			return false
		}
	}
	if !budget.Take(op) {
		return false
	}
	attrs, in := a.MatmulAttrs, slices.Concat(a.Row, a.Weights, a.Tail())
	attrs.Low = slices.Clone(attrs.Low)
	for i, w := range s.Weights {
		attrs.Low, in = append(attrs.Low, i), append(in, s.Row[0], w)
	}
	b := ir.Before(f, op)
	f.ReplaceAllUses(op.Result(), b.Reshape(b.Add(ir.OpMatmul, attrs, in...).Results[0], op.Result().Type.Shape))
	return true
}

// isLinear reports whether e is a sum of accumulators times what does not depend on them.
func isLinear(e *ir.Expr) bool {
	free := func(e *ir.Expr) bool {
		none := true
		e.Walk(func(l *ir.Expr) { none = none && l.Kind != ir.ExprAcc })
		return none
	}
	switch {
	case e.Kind == ir.ExprAcc:
		return true
	case e.Kind != ir.ExprCall:
		return false
	case e.Def == ir.OpAdd || e.Def == ir.OpSub:
		return isLinear(e.Args[0]) && isLinear(e.Args[1])
	case e.Def == ir.OpMul:
		return isLinear(e.Args[0]) && free(e.Args[1]) || free(e.Args[0]) && isLinear(e.Args[1])
	}
	return e.Def == ir.OpNeg && isLinear(e.Args[0])
}
