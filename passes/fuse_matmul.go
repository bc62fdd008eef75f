package passes

import (
	"slices"

	"pgc/ir"
)

// fuseMatmul fuses products with weights and the elementwise operations behind them (bias, residual, activation, soft
// cap) into matmuls with an epilogue. Two products of one operand whose results meet, as in a gated linear unit, become
// one matmul with two accumulators.
func fuseMatmul(f *ir.Func, budget *Budget) int {
	uses := f.Uses()
	return fuseRegions(f, budget, fusion{
		sink:  func(op *ir.Op) bool { return isProduct(op) || isElementwise(op) && op.Result().Type.Rank() == 2 },
		also:  func(_, op *ir.Op) bool { return isProduct(op) },
		core:  isProductLike,
		build: func(r *region) *ir.Value { return buildMatmul(f, r, uses) },
	})
}

// isProduct reports whether op is x·wᵀ with a weight w.
func isProduct(op *ir.Op) bool { return einsumSpec(op) == "ab,cb->ac" && isWeight(op.In[1]) }

// isProductLike reports whether op is a product with a weight, of the shape of a sink.
func isProductLike(sink, op *ir.Op) bool {
	return isProduct(op) && slices.Equal(op.Result().Type.Shape, sink.Result().Type.Shape)
}

// grows reports whether a product that sums up fewer elements is added to that of op.
func grows(op *ir.Op, uses ir.Uses) bool {
	return slices.ContainsFunc(uses.Of(op.Result()), func(u ir.Use) bool {
		return u.Op != nil && u.Op.Def == ir.OpAdd && slices.ContainsFunc(u.Op.In, func(v *ir.Value) bool {
			return v.Def != nil && isProduct(v.Def) && v.Def.In[1].Type.Last().N < op.In[1].Type.Last().N
		})
	})
}

func buildMatmul(f *ir.Func, r *region, uses ir.Uses) *ir.Value {
	// Take the product of the sink's shape that sums up most elements, of equals one that a smaller product is added to, as an
	// adapter's, or else the last, and those that share its operand. The others stay outside: what is added splits no gated
	// linear unit, and a product that only replaces another for some rows does not part it from what is added to it.
	better := func(op, than *ir.Op) bool {
		n, of := op.In[1].Type.Last().N, than.In[1].Type.Last().N
		return n > of || n == of && (grows(op, uses) || !grows(than, uses))
	}
	var first *ir.Op
	for _, op := range r.ops {
		if isProductLike(r.sink, op) && (first == nil || better(op, first)) {
			first = op
		}
	}
	products := []*ir.Op{first}
	for _, growing := range []bool{true, false} {
		for _, op := range slices.Backward(r.ops) {
			if isProductLike(r.sink, op) && op != first && grows(op, uses) == growing && op.In[0] == first.In[0] && op.In[1].Type.Equal(first.In[1].Type) &&
				len(products) < 2 && unconverted(op.In[1]).Type.DType == unconverted(first.In[1]).Type.DType {
				products = append(products, op)
			}
		}
	}
	slices.SortFunc(products, func(a, b *ir.Op) int { return slices.Index(r.ops, a) - slices.Index(r.ops, b) })
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
