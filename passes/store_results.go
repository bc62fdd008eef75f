package passes

import (
	"slices"

	"pgc/ir"
)

// storeResults lets norms, attentions and matmuls write their results in bf16 or f16 directly if those are only rounded
// to it, as the operand of a bf16 product is.
func storeResults(f *ir.Func, budget *Budget) int {
	with := map[*ir.Value]*ir.Value{}
	uses := f.Uses()
	for _, op := range append([]*ir.Op(nil), f.Ops...) {
		if !rounds(op) || len(uses.Of(op.In[0])) != 1 || op.In[0].Def == nil {
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
	storeParts(f, with, uses, budget)
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

// storeParts lets matmuls of several parts write some of their results in 16 bits, such as keys and values for a cache. A
// result may be reshaped before it is rounded.
func storeParts(f *ir.Func, with map[*ir.Value]*ir.Value, uses ir.Uses, budget *Budget) {
	for _, from := range append([]*ir.Op(nil), f.Ops...) {
		if from.Def != ir.OpMatmul || len(from.Results) < 2 {
			continue
		}
		a := ir.ViewMatmul(from)
		attrs := a.MatmulAttrs
		if attrs.DType != ir.Invalid || attrs.DTypes != nil {
			continue
		}
		rounded := map[int]*ir.Op{}
		formats := slices.Repeat([]ir.DType{ir.F32}, len(a.Parts))
		for i := range a.Parts {
			v := from.Results[i]
			for len(uses.Of(v)) == 1 && uses.Of(v)[0].Op != nil && uses.Of(v)[0].Op.Def == ir.OpReshape {
				v = uses.Of(v)[0].Op.Result()
			}
			if len(uses.Of(v)) == 1 && uses.Of(v)[0].Op != nil && rounds(uses.Of(v)[0].Op) {
				rounded[i], formats[i] = uses.Of(v)[0].Op, uses.Of(v)[0].Op.Result().Type.DType
			}
		}
		if len(rounded) == 0 || !budget.Take(from) {
			continue
		}
		attrs.DTypes = formats
		b := ir.Before(f, from)
		results := b.Add(ir.OpMatmul, attrs, from.In...).Results
		for i, v := range from.Results {
			if op := rounded[i]; op != nil {
				with[op.Result()] = b.Reshape(results[i], op.Result().Type.Shape)
			} else {
				with[v] = results[i]
			}
		}
	}
}
