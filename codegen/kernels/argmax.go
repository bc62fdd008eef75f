package kernels

import (
	"errors"
	"math"

	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// Argmax is the index of the greatest column of a matmul of one row, one part, one block and one expression: the first
// of equals, -1 where a column is NaN. Operands are those of the matmul; the result is one i32. It is not one kernel: a
// backend builds others that hand on the greatest of some columns, such as those of Partials.
type Argmax struct{ Matmul *Matmul }

func (s *Argmax) build(g *gen) {
	g.err = errors.New("an argmax of a product is several kernels: expected a backend that builds those of Partials, or that goes without the pass fuse-argmax")
}

// Partials returns a product whose tasks find the greatest of some columns each, and the row that finds the greatest of
// these. The product's result, n values (f32) and behind them their indices (i32), are the row's operands.
func (s *Argmax) Partials() (product *Matmul, row *Row, n int64) {
	m := *s.Matmul
	part := m.Parts[0]
	part.Argmax = ArgmaxColumns(part.N)
	part.Outs = []Out{{Elem: tile.F32}}
	m.Parts = []Part{part}
	n = part.Partials()
	values, indices := Operand{Elem: tile.F32, Strides: []int64{n, 1}}, Operand{Elem: tile.I32, Strides: []int64{n, 1}}
	return &m, ArgmaxRow(values, indices, []Size{Const(1)}, Const(n), []int64{1, 1}), n
}

// ArgmaxRow returns a row that finds the least index of the greatest value, or -1 where a value is NaN or there is
// none. Indices are below scalar.ExactInts.
func ArgmaxRow(values, indices Operand, outer []Size, n Size, out []int64) *Row {
	c, fn := scalar.C, scalar.Fn
	x, index := scalar.X(0, scalar.F32), scalar.Convert(scalar.X(1, scalar.I32), scalar.F32)
	top, first := scalar.X(2, scalar.F32), scalar.X(3, scalar.F32)
	number := fn(scalar.EQ, x, x)
	s := append([]int64{}, out...)
	s[len(s)-1] = 0
	return &Row{Outer: outer, C: n, In: []Operand{values, indices},
		Reduce: []Reduction{
			{Kind: scalar.Maximum, Expr: fn(scalar.Select, number, x, c(math.Inf(1)))},
			// Negated, so that the greatest is the least.
			{Kind: scalar.Maximum, Expr: fn(scalar.Select, number, fn(scalar.Select, fn(scalar.EQ, x, top), fn(scalar.Neg, index), c(math.Inf(-1))), c(1))}},
		Expr: scalar.Convert(fn(scalar.Neg, fn(scalar.Select, fn(scalar.LT, first, c(-scalar.ExactInts)), c(1), first)), scalar.I32),
		Out:  Out{Elem: tile.I32, Strides: s}}
}
