package passes

import (
	"slices"

	"pgc/ir"
)

// fuseArgmax fuses an argmax into the matmul of one row that it alone reads: greedy decoding needs the index of the
// largest logit only. It leaves matmuls that cannot be an argmax (ir.MatmulAttrs.Argmax) as they are.
func fuseArgmax(f *ir.Func, budget *Budget) int {
	n := 0
	for _, op := range slices.Clone(f.Ops) {
		if op.Def != ir.OpArgmax || !is(op.In[0], ir.OpMatmul) || len(f.Uses().Of(op.In[0])) > 1 {
			continue
		}
		product := op.In[0].Def
		attrs := product.Attrs.(ir.MatmulAttrs)
		attrs.Argmax = true
		fused, err := ir.NewOp(ir.OpMatmul, attrs, product.In...)
		if err != nil || !budget.Take(op) {
			continue
		}
		f.Insert(op, fused)
		f.ReplaceAllUses(op.Result(), fused.Result())
		n++
	}
	f.RemoveDead()
	return n
}
