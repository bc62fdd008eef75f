package passes

import (
	"slices"

	"pgc/ir"
)

// fuseRow makes norms and softmax one row each: reductions of the last axis, the elementwise operations before, between
// and after them, a residual added to a norm's result, and storing the result in groups of integers.
func fuseRow(f *ir.Func, budget *Budget) int {
	return fuseRegions(f, budget,
		func(op *ir.Op) bool { return (joins(op) || quantizes(op)) && op.Result().Type.Rank() > 0 },
		func(sink, op *ir.Op) bool {
			return isReduction(op) && slices.Equal(op.In[0].Type.Shape, sink.Result().Type.Shape)
		},
		func(r *region) *ir.Value { return buildRow(f, r) })
}

func buildRow(f *ir.Func, r *region) *ir.Value {
	b := newBody(r, nil)
	var reduce []ir.Reduction
	place := map[*ir.Op]int{}
	// Members are in order, so a reduction comes after those it uses.
	b.special = func(op *ir.Op) *ir.Expr {
		if !isReduction(op) {
			return nil
		}
		e := ir.Reduced(place[op])
		if op.Def == ir.OpReduceMean {
			e = ir.Call(ir.OpDiv, e, ir.Num(float64(op.In[0].Type.Last().N)))
		}
		return e
	}
	for _, op := range r.ops {
		if !isReduction(op) {
			continue
		}
		if op.Def == ir.OpReduceMean && !op.In[0].Type.Last().IsConst() {
			return nil
		}
		kind := ir.ReduceSum
		if op.Def == ir.OpReduceMax {
			kind = ir.ReduceMax
		}
		place[op] = len(reduce)
		reduce = append(reduce, ir.Reduction{Kind: kind, Expr: b.expr(op.In[0])})
	}
	if quantizes(r.sink) {
		return fused(f, r, ir.OpRow, ir.RowAttrs{Reduce: reduce, Out: b.expr(r.sink.In[0]), DType: r.sink.Result().Type.DType}, b.operands)
	}
	if len(reduce) == 0 {
		return nil
	}
	return fused(f, r, ir.OpRow, ir.RowAttrs{Reduce: reduce, Out: b.expr(r.sink.Result())}, b.operands)
}

// fused adds an operation in place of a region, or returns nil if its type is not the sink's.
func fused(f *ir.Func, r *region, def *ir.OpDef, attrs any, operands []*ir.Value) *ir.Value {
	op, err := ir.NewOp(def, attrs, operands...)
	if err != nil || !op.Result().Type.Equal(r.sink.Result().Type) {
		return nil
	}
	f.Insert(nil, op)
	return op.Result()
}
