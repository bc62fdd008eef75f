package lower

import (
	"math"

	"pgc/codegen/kernels"
	"pgc/ir"
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// lowerArgmax is an argmax of values in memory.
func (l *lowerer) lowerArgmax(op *ir.Op) ([]Launch, error) {
	domain := op.In[0].Type.Shape
	last := len(domain) - 1
	at := kernels.Operand{Kind: kernels.Index, Dim: last, Elem: tile.I32, Strides: make([]int64, len(domain))}
	spec := argmaxRow(l.operand(op.In[0], domain), at, l.strides(op.Result()))
	l.rowDims(spec, domain)
	return []Launch{to(op, spec, op.In)}, nil
}

// argmaxRow is a row that finds the least place of the greatest value, or -1 where a value is NaN or there is none. Places are
// numbers of float32 (ir.MaxPlaces).
func argmaxRow(values, places kernels.Operand, out []int64) *kernels.Row {
	c, fn := scalar.C, scalar.Fn
	x, at, top, least := scalar.X(0, scalar.F32), scalar.Convert(scalar.X(1, scalar.I32), scalar.F32), scalar.X(2, scalar.F32), scalar.X(3, scalar.F32)
	number := fn(scalar.EQ, x, x)
	s := append([]int64{}, out...)
	s[len(s)-1] = 0
	return &kernels.Row{In: []kernels.Operand{values, places},
		Reduce: []kernels.Reduction{
			{Kind: scalar.Maximum, Expr: fn(scalar.Select, number, x, c(math.Inf(1)))},
			// Negated, so that the greatest is the least.
			{Kind: scalar.Maximum, Expr: fn(scalar.Select, number, fn(scalar.Select, fn(scalar.EQ, x, top), fn(scalar.Neg, at), c(math.Inf(-1))), c(1))}},
		Expr: scalar.Convert(fn(scalar.Neg, fn(scalar.Select, fn(scalar.LT, least, c(-ir.MaxPlaces)), c(1), least)), scalar.I32),
		Out:  kernels.Out{Elem: tile.I32, Strides: s}}
}

// argmaxOfProduct makes two launches of a matmul whose result is an argmax: each task of the product keeps one pair of a value and its
// place, and a row finds the place of the greatest. The pairs lie behind the planned arena, for no other operation's time.
func (l *lowerer) argmaxOfProduct(op *ir.Op, la Launch) []Launch {
	part := &la.Spec.(*kernels.Matmul).Parts[0]
	part.Argmax = kernels.ArgmaxColumns(part.N)
	n := part.Pairs()
	values, places := l.workspace(op, ir.F32, n, 0), l.workspace(op, ir.I32, n, 4*n)
	la.Outs = []*ir.Value{values}
	part.Outs = []kernels.Out{{Elem: tile.F32}}
	domain := values.Type.Shape
	spec := argmaxRow(l.operand(values, domain), l.operand(places, domain), l.strides(op.Result()))
	l.rowDims(spec, domain)
	return []Launch{la, to(op, spec, []*ir.Value{values, places})}
}
