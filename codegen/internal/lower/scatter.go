package lower

import (
	"pgc/codegen/kernels"
	"pgc/ir"
	"pgc/ir/tile"
)

// positions reads v, where a scatter moves rows to, over a domain of n dimensions.
func (l *lowerer) positions(v *ir.Value, n int) kernels.Operand {
	strides := make([]int64, n)
	strides[0] = l.strides(v)[0]
	return kernels.Operand{Elem: tile.I32, Strides: strides}
}

// scatter moves rows of a state to the positions that an operand holds.
func (l *lowerer) scatter(state *ir.Value, positions int) kernels.Scatter {
	return kernels.Scatter{Positions: positions, Stride: l.strides(state)[1], Rows: int64(state.Type.Shape[1].N)}
}
