package passes

import "pgc/ir"

// sinkGather moves a gather of a constant number of rows above row-wise operations, so that only those rows are
// computed. In prefill one row is left of everything behind the last attention.
func sinkGather(f *ir.Func, budget *Budget) int {
	n := 0
	for changed := true; changed; {
		changed = false
		with := map[*ir.Value]*ir.Value{}
		uses := f.Uses()
		for _, op := range append([]*ir.Op(nil), f.Ops...) {
			if op.Def != ir.OpGather || op.In[1].Type.Rank() != 1 || !op.In[1].Type.Shape[0].IsConst() {
				continue
			}
			src := op.In[0].Def
			if src == nil || op.In[0].Type.Shape[0].IsConst() || !onlyPicked(uses.Of(op.In[0]), op.In[1]) {
				continue
			}
			if v := gatherOperands(ir.Before(f, op), src, op.In[1]); v != nil && budget.Take(op) {
				with[op.Result()] = v
				n++
				changed = true
			}
		}
		f.Replace(with)
		f.RemoveDead()
		cse(f, budget)
	}
	return n
}

// onlyPicked reports whether every use is a gather of the same rows.
func onlyPicked(uses []ir.Use, ids *ir.Value) bool {
	for _, u := range uses {
		if u.Op == nil || u.Op.Def != ir.OpGather || u.Index != 0 || u.Op.In[1] != ids {
			return false
		}
	}
	return true
}

// gatherOperands applies src to gathered operands, or returns nil if src is not row-wise.
func gatherOperands(b *ir.Builder, src *ir.Op, ids *ir.Value) *ir.Value {
	if len(src.Results) != 1 {
		return nil
	}
	rank, rows := src.Result().Type.Rank(), ids.Type.Shape[0]
	pick := func(v *ir.Value) *ir.Value {
		if v.Type.Rank() < rank || v.Type.Shape[0] == ir.D(1) {
			return v // the same for every row
		}
		return b.Op(ir.OpGather, nil, v, ids)
	}
	withRows := func(shape []ir.Dim) []ir.Dim { return append([]ir.Dim{rows}, shape[1:]...) }
	switch {
	case src.Def.Elementwise() || src.Def == ir.OpConvert || src.Def.Reduces() && rank > 1:
		in := make([]*ir.Value, len(src.In))
		for i, v := range src.In {
			in[i] = pick(v)
		}
		return b.Op(src.Def, src.Attrs, in...)
	case src.Def == ir.OpGather && src.In[1].Type.Rank() == 1: // rows of rows
		return b.Op(ir.OpGather, nil, src.In[0], b.Op(ir.OpGather, nil, src.In[1], ids))
	case einsumSpec(src) == "ab,cb->ac":
		return b.Op(src.Def, src.Attrs, b.Op(ir.OpGather, nil, src.In[0], ids), src.In[1])
	case src.Def == ir.OpReshape && src.In[0].Type.Rank() > 0 && src.In[0].Type.Shape[0] == src.Result().Type.Shape[0]:
		return b.Op(src.Def, ir.ShapeAttrs{Shape: withRows(src.Result().Type.Shape)}, b.Op(ir.OpGather, nil, src.In[0], ids))
	}
	return nil
}
