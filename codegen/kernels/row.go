package kernels

import (
	"slices"

	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// Reduction is one reduction along the last axis: the values of Expr, whose arguments are the operands and then the
// results of the reductions before it, folded by a monoid.
type Reduction struct {
	Kind scalar.Monoid
	Expr *scalar.Expr
}

// Row reduces along the last axis C and then computes Expr, whose arguments are the operands and then the reductions.
// With Out's last stride 0 it writes one element a row, and Expr depends on the reductions only.
type Row struct {
	Outer  []Size
	C      Size
	In     []Operand
	Reduce []Reduction
	Expr   *scalar.Expr
	Out    Out
	Group  Group // of the result, if it is quantized; rows lie as quant.RowLayout has them
}

func (s *Row) build(g *gen) {
	if s.Group.Len > 0 {
		s.buildQuantized(g)
		return
	}
	b, last := g.b, len(s.Outer)
	r := g.rowBody(s.In, s.Reduce, last)
	single := s.Out.Strides[last] == 0
	if !single && s.Out.Strides[last] != 1 {
		r.lanes = 1
	}
	out := g.resultOf(0, s.Out)
	e := scalar.Lower(s.Expr)
	g.domain(s.dims(), 0, func(outer []*tile.Value, _, n *tile.Value) {
		reduced := r.reductions(outer, n)
		write := func(i, count *tile.Value, lanes int) {
			v := b.Expr(e, r.args(outer, i, count, reduced, lanes), lanes)
			g.write(out, s.Out, append(slices.Clone(outer), i), v, count)
		}
		if single {
			write(b.Int(0), nil, 1)
			return
		}
		g.vectors(n, r.lanes, func(i, count *tile.Value) { write(i, count, r.lanes) })
	})
}

// dims returns the domain.
func (s *Row) dims() []Size { return append(slices.Clone(s.Outer), s.C) }

// rowLanes returns how many elements of a row are computed at a time: operands that are not dense allow only one.
func (g *gen) rowLanes(in []Operand, last int) int {
	for _, o := range in {
		if o.Kind == Tensor && o.Strides[last] > 1 {
			return 1
		}
	}
	return g.lanes
}

// rowBody computes what rows and the prologues of products share: operands and reductions.
type rowBody struct {
	g      *gen
	in     []Operand
	ptrs   []*tile.Value
	reduce []Reduction
	lanes  int
}

// rowBody declares the operands of rows whose elements are dimension `last`.
func (g *gen) rowBody(in []Operand, reduce []Reduction, last int) rowBody {
	return rowBody{g: g, in: in, ptrs: g.operandPtrs(in), reduce: reduce, lanes: g.rowLanes(in, last)}
}

// args returns the operands at element i of a row, and the reductions.
func (r *rowBody) args(outer []*tile.Value, i, count *tile.Value, reduced []*tile.Value, lanes int) []*tile.Value {
	v := r.g.fragments(r.in, r.ptrs, append(slices.Clone(outer), i), lanes, count)
	for _, x := range reduced {
		v = append(v, r.g.b.Splat(x, lanes))
	}
	return v
}

// reductions reduces a row of n elements.
func (r *rowBody) reductions(outer []*tile.Value, n *tile.Value) []*tile.Value {
	var reduced []*tile.Value
	for _, red := range r.reduce {
		reduced = append(reduced, r.g.reduce(red, n, r.lanes, func(i, count *tile.Value) []*tile.Value {
			return r.args(outer, i, count, reduced, r.lanes)
		}))
	}
	return reduced
}

// reduce folds one reduction over n elements: lane by lane first, then the lanes by halves.
func (g *gen) reduce(r Reduction, n *tile.Value, lanes int, args func(i, count *tile.Value) []*tile.Value) *tile.Value {
	e := scalar.Lower(r.Expr)
	return g.b.Fold(r.Kind, g.accumulate(n, lanes, r.Kind, func(i, count *tile.Value) *tile.Value {
		return g.b.Expr(e, args(i, count), lanes)
	}))
}

// accumulate folds the values of f lane by lane; the identity also stands for the lanes beyond n.
func (g *gen) accumulate(n *tile.Value, lanes int, m scalar.Monoid, f func(i, tail *tile.Value) *tile.Value) *tile.Value {
	b, l, neutral := g.b, g.b.Int(int64(lanes)), g.b.Float(m.Identity, lanes)
	full := b.Mul(b.Div(n, l), l)
	acc := b.For(b.Int(0), full, l, []*tile.Value{neutral}, func(i *tile.Value, c []*tile.Value) []*tile.Value {
		return []*tile.Value{b.Join(m, c[0], f(i, nil))}
	})[0]
	if c, ok := tile.ConstInt(n); lanes == 1 || ok && c%int64(lanes) == 0 {
		return acc
	}
	return b.If(b.Compare(tile.LT, full, n), func() []*tile.Value {
		count := b.Sub(n, full)
		inside := b.Compare(tile.LT, b.Iota(lanes), b.Splat(b.Cast(tile.Narrow, count), lanes))
		return []*tile.Value{b.Join(m, acc, b.Select(inside, f(full, count), neutral))}
	}, func() []*tile.Value { return []*tile.Value{acc} })[0]
}
