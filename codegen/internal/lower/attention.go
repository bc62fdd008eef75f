package lower

import (
	"pgc/codegen/kernels"
	"pgc/ir"
)

func (l *lowerer) lowerAttention(op *ir.Op) ([]Launch, error) {
	a := op.Attrs.(ir.AttentionAttrs)
	n := op.In[0].Type.Rank() - 4 // dimensions of a batch
	q, k := op.In[0].Type.Shape[n:], op.In[1].Type.Shape[n:]
	spec := &kernels.Attention{S: l.size(q[0]), T: l.size(k[0]), G: int64(q[1].N), R: int64(q[2].N), H: int64(q[3].N),
		KV: elem(op.In[1].Type.DType), Scale: a.Scale, Softcap: a.Softcap, Causal: a.Causal, Window: int64(a.Window),
		Prefix: l.size(a.Prefix), Offset: l.size(a.Offset), Elem: elem(op.Result().Type.DType)}
	strides := make([][]int64, 4)
	spec.Aligned = true
	for i, v := range []*ir.Value{op.In[0], op.In[1], op.In[2], op.Result()} {
		strides[i] = l.strides(v)
		spec.Aligned = spec.Aligned && startsAligned(v)
	}
	copy(spec.Q[:], strides[0][n:])
	copy(spec.K[:], strides[1][n:])
	copy(spec.V[:], strides[2][n:])
	copy(spec.Out[:], strides[3][n:])
	positions := op.In[3:]
	if n > 0 {
		spec.Batch = kernels.Batch{N: l.size(op.In[0].Type.Shape[0]), Q: strides[0][0], K: strides[1][0], V: strides[2][0], Out: strides[3][0]}
	}
	if len(positions) > 0 {
		spec.Batch.Positions, spec.Batch.Position = true, l.strides(positions[0])[0]
	}
	return []Launch{to(op, spec, op.In)}, nil
}
