package lower

import (
	"pgc/codegen/kernels"
	"pgc/ir"
	"pgc/ir/tile"
)

// lowerArgmax lowers an argmax of values in memory.
func (l *lowerer) lowerArgmax(op *ir.Op) ([]Launch, error) {
	domain := op.In[0].Type.Shape
	last := len(domain) - 1
	at := kernels.Operand{Kind: kernels.Index, Dim: last, Elem: tile.I32, Strides: make([]int64, len(domain))}
	spec := kernels.ArgmaxRow(l.operand(op.In[0], domain), at, nil, kernels.Size{}, l.strides(op.Result()))
	l.rowDims(spec, domain)
	return []Launch{to(op, spec, op.In)}, nil
}
