package passes

import (
	"slices"

	"pgc/ir"
)

// scatterResults lets matmuls write rows of a state to their places: where a result, perhaps in another shape, is only
// scattered, one row for every index of the state's first dimension.
func scatterResults(f *ir.Func, budget *Budget) int {
	n, uses := 0, f.Uses()
	for _, op := range slices.Clone(f.Ops) {
		if op.Def != ir.OpMatmul {
			continue
		}
		a := ir.ViewMatmul(op)
		attrs, extra := a.MatmulAttrs, slices.Clone(a.Extra)
		attrs.Scatter = make([]ir.Scatter, len(a.Parts))
		ends := map[int]*ir.Value{} // what the results that are scattered become
		for i, v := range op.Results[:len(a.Parts)] {
			end := scatterOf(v, uses)
			if end == nil || dependsOn(end.In[2], op) || !budget.Take(end) {
				continue
			}
			ends[i] = end.Result()
			attrs.Scatter[i].State, extra = operandIn(extra, end.In[0])
			attrs.Scatter[i].Positions, extra = operandIn(extra, end.In[2])
		}
		if len(ends) == 0 {
			continue
		}
		in := slices.Concat(a.Row, a.Weights, extra, a.Tail()[len(a.Extra):])
		with := map[*ir.Value]*ir.Value{}
		for i, v := range ir.Before(f, op).Add(ir.OpMatmul, attrs, in...).Results {
			old := op.Results[i]
			if ends[i] != nil {
				old = ends[i]
			}
			with[old] = v
		}
		f.Replace(with)
		n += len(ends)
	}
	f.Sort()
	f.RemoveDead()
	return n
}

// scatterOf returns the scatter that alone reads v, perhaps in another shape, as a row for every index of the first
// dimension of a state, which nothing else reads: whoever computes v can overwrite it. Else it returns nil.
func scatterOf(v *ir.Value, uses ir.Uses) *ir.Op {
	rows := v.Type.Shape[0]
	for len(uses.Of(v)) == 1 && uses.Of(v)[0].Op != nil && uses.Of(v)[0].Op.Def == ir.OpReshape {
		v = uses.Of(v)[0].Op.Result()
	}
	if len(uses.Of(v)) != 1 || uses.Of(v)[0].Op == nil || uses.Of(v)[0].Op.Def != ir.OpScatter || uses.Of(v)[0].Index != 1 {
		return nil
	}
	op := uses.Of(v)[0].Op
	if state := op.In[0]; v.Type.Shape[0] != rows || v.Type.Shape[1] != ir.D(1) || state.Kind != ir.State || len(uses.Of(state)) != 1 {
		return nil
	}
	return op
}

// dependsOn reports whether v follows from a result of op.
func dependsOn(v *ir.Value, op *ir.Op) bool {
	seen := map[*ir.Op]bool{nil: true}
	var reaches func(d *ir.Op) bool
	reaches = func(d *ir.Op) bool {
		if seen[d] {
			return false
		}
		seen[d] = true
		return d == op || slices.ContainsFunc(d.In, func(v *ir.Value) bool { return reaches(v.Def) })
	}
	return reaches(v.Def)
}

// operandIn returns the place of v among operands, and these with v behind them if it is not there.
func operandIn(operands []*ir.Value, v *ir.Value) (int, []*ir.Value) {
	if i := slices.Index(operands, v); i >= 0 {
		return i, operands
	}
	return len(operands), append(operands, v)
}
