package passes

import "pgc/ir"

// storeResults lets norms, attentions and matmuls write their results in bf16 or f16 directly if those are only rounded
// to it, as the operand of a bf16 product is.
func storeResults(f *ir.Func, budget *Budget) int {
	with := map[*ir.Value]*ir.Value{}
	uses := f.Uses()
	for _, op := range append([]*ir.Op(nil), f.Ops...) {
		if !rounds(op) || len(uses[op.In[0]]) != 1 || op.In[0].Def == nil {
			continue
		}
		from := op.In[0].Def
		if len(from.Results) > 1 {
			continue
		}
		attrs := stored16(from, op.Result().Type.DType)
		if attrs == nil || !budget.Take(op) {
			continue
		}
		with[op.Result()] = ir.Before(f, from).Op(from.Def, attrs, from.In...)
	}
	f.Replace(with)
	f.RemoveDead()
	return len(with)
}

// stored16 returns the attributes with which op writes its result as d, or nil if it cannot.
func stored16(op *ir.Op, d ir.DType) any {
	switch a := op.Attrs.(type) {
	case ir.RowAttrs:
		a.DType = d
		return a
	case ir.AttentionAttrs:
		a.DType = d
		return a
	case ir.MatmulAttrs:
		a.DType = d
		return a
	}
	return nil
}
