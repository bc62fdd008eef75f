package passes

import (
	"slices"

	"pgc/ir"
)

// fuseRow fuses norms and softmax into one row each: reductions of the last axis, the elementwise operations before,
// between and after them, a residual added to a norm's result, and quantizing the result.
func fuseRow(f *ir.Func, budget *Budget) int {
	return fuseRegions(f, budget, fusion{
		sink: func(op *ir.Op) bool { return (isElementwise(op) || quantizes(op)) && op.Result().Type.Rank() > 0 },
		also: func(sink, op *ir.Op) bool {
			return op.Def.Reduces() && slices.Equal(op.In[0].Type.Shape, sink.Result().Type.Shape)
		},
		core:  func(_, op *ir.Op) bool { return op.Def.Reduces() || quantizes(op) },
		build: func(r *region) *ir.Value { return buildRow(f, r) },
	})
}

func buildRow(f *ir.Func, r *region) *ir.Value {
	b := newBody(r, nil)
	var reduce []ir.Reduction
	results := map[*ir.Op]*ir.Expr{} // of the reductions
	b.special = func(op *ir.Op) *ir.Expr { return results[op] }
	// Members are in order, so a reduction comes after those it uses.
	for _, op := range r.ops {
		if !op.Def.Reduces() {
			continue
		}
		folds, x, first := op.Def.Folds, op.In[0], len(reduce)
		if folds.CountsElements() && !x.Type.Last().IsConst() {
			return nil
		}
		inRow := func(e *ir.Expr) *ir.Expr {
			return e.Rewrite(func(leaf *ir.Expr) *ir.Expr {
				switch {
				case leaf.Kind == ir.ExprReduce:
					return ir.Reduced(first + leaf.Index)
				case leaf.Kind == ir.ExprOperand && leaf.Index == 0:
					return b.expr(x)
				case leaf.Kind == ir.ExprOperand:
					return ir.Num(float64(x.Type.Last().N))
				}
				return leaf
			})
		}
		for _, step := range folds.Reduce {
			reduce = append(reduce, ir.Reduction{Kind: step.Kind, Expr: inRow(step.Expr)})
		}
		results[op] = inRow(folds.Out)
	}
	if quantizes(r.sink) {
		return fused(f, r, ir.OpRow, ir.RowAttrs{Reduce: reduce, Out: b.expr(r.sink.In[0]), DType: r.sink.Result().Type.DType}, b.operands)
	}
	return fused(f, r, ir.OpRow, ir.RowAttrs{Reduce: reduce, Out: b.expr(r.sink.Result())}, b.operands)
}

// fused adds an operation that replaces a region and returns its result, or nil if its type is not the sink's.
func fused(f *ir.Func, r *region, def *ir.OpDef, attrs any, operands []*ir.Value) *ir.Value {
	op, err := ir.NewOp(def, attrs, operands...)
	if err != nil || !op.Result().Type.Equal(r.sink.Result().Type) {
		return nil
	}
	f.Insert(nil, op)
	return op.Result()
}
