package passes

import "pgc/ir"

// storeResults makes operations store their results in 16 bits where that is all that becomes of them, as of what a product of
// bfloat16 multiplies: norms, attentions, and products with their activation.
func storeResults(f *ir.Func, budget *Budget) int {
	with := map[*ir.Value]*ir.Value{}
	uses := f.Uses()
	for _, op := range append([]*ir.Op(nil), f.Ops...) {
		if !stores(op) || len(uses[op.In[0]]) != 1 || op.In[0].Def == nil {
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

// stored16 returns the attributes of op with its result stored as d, or nil if it cannot store it so.
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
