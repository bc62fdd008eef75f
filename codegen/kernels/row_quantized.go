package kernels

import (
	"pgc/ir/quant"
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// buildQuantized writes the result in symmetric 8-bit groups, with the arithmetic of quant.Symmetric8. Groups are independent of
// each other: a row without reductions may be cut between them.
func (s *Row) buildQuantized(g *gen) {
	b := g.b
	r := g.rowBody(s.In, s.Reduce, len(s.Outer))
	out := b.PtrCast(g.result(0, tile.F32), tile.I8)
	values := b.Scratch(int(s.Group.Len))
	e := scalar.Lower(s.Expr)
	k, lanes := s.C.N, r.lanes
	lay := quant.RowLayout(k, s.Group.Len)
	piece := 0
	if len(s.Reduce) == 0 {
		piece = int(s.Group.Len)
	}
	g.domain(s.dims(), piece, func(outer []*tile.Value, lo, n *tile.Value) {
		reduced := r.reductions(outer, n)
		row := b.Int(0)
		for d, i := range outer {
			row = b.Add(b.Mul(row, b.Int(s.Outer[d].N)), i)
		}
		row = b.PtrAdd(out, b.Mul(row, b.Int(lay.Bytes)))
		floats := b.PtrCast(row, tile.F32)
		end, length := b.Add(lo, n), b.Int(s.Group.Len)
		b.Range(b.Div(lo, length), g.over(end, length), b.Int(1), func(group *tile.Value) {
			first, count := b.Mul(group, length), length
			if k%s.Group.Len != 0 {
				count = b.Min(count, b.Sub(end, first))
			}
			top := b.Reduce(tile.Max, g.accumulate(count, lanes, scalar.Monoid{Join: scalar.Max, Identity: 0}, func(i, tail *tile.Value) *tile.Value {
				v := b.Expr(e, r.args(outer, b.Add(first, i), tail, reduced, lanes), lanes)
				g.store(values, i, v, tail)
				return b.Unary(tile.Abs, v)
			}))
			scale, inverse := b.Div(top, b.Float(127, 1)), b.Div(b.Float(127, 1), top)
			none := b.Compare(tile.LT, top, b.Float(quant.Smallest, 1))
			scale, inverse = b.Select(none, b.Float(0, 1), scale), b.Select(none, b.Float(0, 1), inverse)
			total := b.Reduce(tile.Add, g.accumulate(count, lanes, scalar.Sum, func(i, tail *tile.Value) *tile.Value {
				q := b.Unary(tile.Rint, b.Mul(g.load(values, i, lanes, tail), b.Splat(inverse, lanes)))
				g.store(row, b.Add(first, i), b.Cast(tile.Narrow, b.Cast(tile.FToI, q)), tail)
				return q
			}))
			b.Store(floats, b.Add(b.Int(lay.Scales/4), group), scale)
			b.Store(floats, b.Add(b.Int(lay.Sums/4), group), b.Mul(total, scale))
			b.Store(b.PtrCast(row, tile.I32), b.Add(b.Int(lay.Offsets/4), group), b.Cast(tile.FToI, b.Mul(total, b.Float(-quant.Offset, 1))))
		})
		if lay.Scales == k {
			return
		}
		b.When(b.Compare(tile.EQ, end, b.Int(k)), func() {
			b.Range(b.Int(k), b.Int(lay.Scales), b.Int(1), func(i *tile.Value) { // products read whole chunks
				b.Store(row, i, b.Cast(tile.Narrow, b.Int32(0, 1)))
			})
		})
	})
}
