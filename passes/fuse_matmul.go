package passes

import (
	"slices"

	"pgc/ir"
)

// fuseMatmul fuses products with weights and the elementwise operations behind them (bias, residual, activation, soft
// cap) into matmuls with an epilogue. Two products of one operand whose results meet, as in a gated linear unit, become
// one matmul with two accumulators.
func fuseMatmul(f *ir.Func, budget *Budget) int {
	return fuseRegions(f, budget, fusion{
		sink:  func(op *ir.Op) bool { return isProduct(op) || isElementwise(op) && op.Result().Type.Rank() == 2 },
		also:  func(_, op *ir.Op) bool { return isProduct(op) },
		core:  isProductLike,
		build: func(r *region) *ir.Value { return buildMatmul(f, r) },
	})
}

// isProduct reports whether op is x·wᵀ with a weight w.
func isProduct(op *ir.Op) bool { return einsumSpec(op) == "ab,cb->ac" && isWeight(op.In[1]) }

// isProductLike reports whether op is a product with a weight, of the shape of a sink.
func isProductLike(sink, op *ir.Op) bool {
	return isProduct(op) && slices.Equal(op.Result().Type.Shape, sink.Result().Type.Shape)
}

func buildMatmul(f *ir.Func, r *region) *ir.Value {
	// Take the product of the sink's shape that sums up most elements, the last of equals, and those that share its
	// operand. The others stay outside: a smaller product that is added, as an adapter's, splits no gated linear unit.
	var first *ir.Op
	for _, op := range r.ops {
		if isProductLike(r.sink, op) && (first == nil || op.In[1].Type.Last().N >= first.In[1].Type.Last().N) {
			first = op
		}
	}
	products := []*ir.Op{first}
	for _, op := range slices.Backward(r.ops) {
		if isProductLike(r.sink, op) && op != first && op.In[0] == first.In[0] && op.In[1].Type.Equal(first.In[1].Type) && len(products) < 2 &&
			unconverted(op.In[1]).Type.DType == unconverted(first.In[1]).Type.DType {
			products = append(products, op)
		}
	}
	slices.Reverse(products)
	b := newBody(r, nil)
	b.special = func(op *ir.Op) *ir.Expr {
		if !isProduct(op) {
			return nil
		}
		if i := slices.Index(products, op); i >= 0 {
			return ir.Acc(i)
		}
		return b.operand(op.Result())
	}
	e := b.expr(r.sink.Result())
	in := []*ir.Value{storedOperand(products[0].In[0], unconverted(products[0].In[1]))}
	for _, p := range products {
		in = append(in, unconverted(p.In[1]))
	}
	// Products left outside become sinks of their own later, with everything that only they need.
	for op := range r.in {
		if isProduct(op) && !slices.Contains(products, op) {
			delete(r.in, op)
		}
	}
	op, err := ir.NewOp(ir.OpMatmul, ir.MatmulAttrs{Accs: len(products), Epilogue: []*ir.Expr{e}}, append(in, b.operands...)...)
	if err != nil {
		return nil
	}
	f.Insert(nil, op)
	return op.Result()
}
