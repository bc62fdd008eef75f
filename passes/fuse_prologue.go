package passes

import (
	"slices"

	"pgc/ir"
)

// fusePrologue fuses the norm of a single row into the matmul that reads it; for one row it costs next to nothing that
// every task of the matmul computes the norm again. A row that the norm reads, such as the residual stream after a norm
// and an addition, is fused as well and becomes another result. So is the rounding of a row to bfloat16.
func fusePrologue(f *ir.Func, budget *Budget) int {
	return fusePrologues(f, budget, func(rows ir.Dim) bool { return rows == ir.D(1) })
}

// fuseRowsPrologue does the same for any number of rows, where the tasks of a product share what a prologue computes.
func fuseRowsPrologue(f *ir.Func, budget *Budget) int {
	return fusePrologues(f, budget, func(rows ir.Dim) bool { return rows != ir.D(1) })
}

func fusePrologues(f *ir.Func, budget *Budget, takes func(rows ir.Dim) bool) int {
	n, uses := 0, f.Uses()
	for _, op := range slices.Clone(f.Ops) {
		if op.Def != ir.OpMatmul || len(op.Attrs.(ir.MatmulAttrs).Prologue) > 0 || !takes(op.In[0].Type.Shape[0]) {
			continue
		}
		if x := op.In[0]; is(x, ir.OpRow) && (x.Type.DType == ir.F32 || x.Type.DType == ir.BF16) && len(uses.Of(x)) == 1 && budget.Take(op) {
			takeNorm(f, op, uses)
			n, uses = n+1, f.Uses()
		} else if x.Def != nil && rounds(x.Def) && x.Type.DType == ir.BF16 && len(uses.Of(x)) == 1 && budget.Take(op) {
			takeRounding(f, op)
			n, uses = n+1, f.Uses()
		}
	}
	f.RemoveDead()
	return n
}

// takeRounding replaces a matmul by one that rounds its first operand itself.
func takeRounding(f *ir.Func, op *ir.Op) {
	a := ir.ViewMatmul(op)
	attrs, round := a.MatmulAttrs, op.In[0].Def
	attrs.Prologue, attrs.X = []*ir.Expr{ir.Operand(0)}, ir.BF16
	operands := append(append([]*ir.Value{round.In[0]}, a.Weights...), a.Tail()...)
	f.ReplaceResults(op, ir.Before(f, op).Add(ir.OpMatmul, attrs, operands...).Results)
}

// takeNorm replaces a matmul by one that computes its first operand, a norm, itself.
func takeNorm(f *ir.Func, op *ir.Op, uses ir.Uses) {
	a, row := ir.ViewMatmul(op), op.In[0].Def
	attrs, in, stream := a.MatmulAttrs, row.In, (*ir.Value)(nil)
	r := row.Attrs.(ir.RowAttrs)
	attrs.Reduce, attrs.Prologue, attrs.X = r.Reduce, []*ir.Expr{r.Out}, r.DType
	for i, v := range row.In {
		if is(v, ir.OpRow) && v.Type.Equal(ir.T(ir.F32, row.Result().Type.Shape...)) && ahead(f, op, row, uses.Of(v)) {
			attrs.Reduce, attrs.Prologue, in = inlined(row, i)
			if stream = v; len(uses.Of(v)) == 1 { // nothing else reads it
				attrs.Prologue, stream = attrs.Prologue[:1], nil
			}
			break
		}
	}
	b := ir.Before(f, op)
	operands := append(append(slices.Clone(in), a.Weights...), a.Tail()...)
	results := b.Add(ir.OpMatmul, attrs, operands...).Results
	n := len(op.Results)
	f.ReplaceResults(op, results[:n])
	if stream != nil {
		f.ReplaceAllUses(stream, results[n])
	}
}

// ahead reports whether op precedes every user of a value except row.
func ahead(f *ir.Func, op, row *ir.Op, uses []ir.Use) bool {
	order := positions(f)
	return !slices.ContainsFunc(uses, func(u ir.Use) bool { return u.Op != nil && u.Op != row && order[u.Op] <= order[op] })
}

// inlined returns the reductions, results and operands of a row into which the row that makes operand i is inlined. The
// results are the outer row's and that of operand i.
func inlined(row *ir.Op, i int) (reduce []ir.Reduction, exprs []*ir.Expr, in []*ir.Value) {
	inner := row.In[i].Def
	first, second := inner.Attrs.(ir.RowAttrs), row.Attrs.(ir.RowAttrs)
	operand := func(v *ir.Value) *ir.Expr {
		at := slices.Index(in, v)
		if at < 0 {
			at = len(in)
			in = append(in, v)
		}
		return ir.Operand(at)
	}
	inside := func(e *ir.Expr) *ir.Expr {
		return e.Rewrite(func(leaf *ir.Expr) *ir.Expr {
			if leaf.Kind == ir.ExprOperand {
				return operand(inner.In[leaf.Index])
			}
			return leaf
		})
	}
	for _, r := range first.Reduce {
		reduce = append(reduce, ir.Reduction{Kind: r.Kind, Expr: inside(r.Expr)})
	}
	stream := inside(first.Out)
	outside := func(e *ir.Expr) *ir.Expr {
		return e.Rewrite(func(leaf *ir.Expr) *ir.Expr {
			switch {
			case leaf.Kind == ir.ExprOperand && leaf.Index == i:
				return stream
			case leaf.Kind == ir.ExprOperand:
				return operand(row.In[leaf.Index])
			case leaf.Kind == ir.ExprReduce:
				return ir.Reduced(len(first.Reduce) + leaf.Index)
			}
			return leaf
		})
	}
	for _, r := range second.Reduce {
		reduce = append(reduce, ir.Reduction{Kind: r.Kind, Expr: outside(r.Expr)})
	}
	return reduce, []*ir.Expr{outside(second.Out), stream}, in
}
