package passes

import (
	"slices"

	"pgc/ir"
)

// fuseArgmax gives a matmul of one row the argmax that alone reads its result: greedy decoding wants one number of all the logits.
// A matmul whose form cannot (ir.MatmulAttrs.Argmax) keeps its result.
func fuseArgmax(f *ir.Func, budget *Budget) int {
	n := 0
	for _, op := range slices.Clone(f.Ops) {
		if op.Def != ir.OpArgmax || !is(op.In[0], ir.OpMatmul) || len(f.Uses()[op.In[0]]) > 1 {
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
