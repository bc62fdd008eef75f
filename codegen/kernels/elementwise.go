package kernels

import (
	"slices"

	"pgc/codegen/packing"
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// Map computes one or more expressions over a domain; result i goes to Outs[i] (pieces of one buffer). The arguments of
// the expressions are the operands. With a Scatter, the domain has three dimensions or more.
type Map struct {
	Dims    []Size
	In      []Operand
	Exprs   []*scalar.Expr
	Outs    []Out
	Scatter Scatter
}

func (s *Map) build(g *gen) {
	b := g.b
	last := len(s.Dims) - 1
	lanes := g.rowLanes(s.In, last)
	for _, o := range s.In {
		if l := o.Rows; l != nil && (l.Group.Len > 0 || l.VNNI2 || l.Fragments || s.In[l.Index].Strides[last] != 0) {
			lanes = 1
		}
	}
	for _, o := range s.Outs {
		if o.Strides[last] != 1 {
			lanes = 1
		}
	}
	ptrs := g.operandPtrs(s.In)
	out := g.resultOf(0, s.Outs[0])
	exprs := lowered(s.Exprs)
	row := func(out *tile.Value, outer []*tile.Value, lo, n *tile.Value) {
		g.vectors(n, lanes, func(i, count *tile.Value) {
			index := append(slices.Clone(outer), b.Add(lo, i))
			args := g.fragments(s.In, ptrs, index, lanes, count)
			for j, e := range exprs {
				g.write(out, s.Outs[j], index, b.Expr(e, args, lanes), count)
			}
		})
	}
	g.domain(s.Dims, lanes, func(outer []*tile.Value, lo, n *tile.Value) {
		g.moved(s.Scatter, s.In, ptrs, outer, out, func(out *tile.Value) { row(out, outer, lo, n) })
	})
}

// finest is how many times less than target.Target's Task a task has at least, where threads are many.
const finest = 4

// enoughRows are so many rows that most threads have one; fewer are cut if they are long.
const enoughRows = 32

// domain splits the outermost dimension into tasks and runs body for every row of the innermost one: n elements from
// lo. A row may be cut at multiples of so many elements, or not at all if that is 0: few long ones are, and for a target
// of many threads every row is.
func (g *gen) domain(dims []Size, piece int, body func(outer []*tile.Value, lo, n *tile.Value)) {
	if g.target.Threads {
		g.flat(dims, piece, body)
		return
	}
	b := g.b
	sizes := make([]*tile.Value, len(dims))
	inner := int64(1)
	for d, s := range dims {
		sizes[d] = g.size(s)
		if d > 0 {
			inner *= s.N
		}
	}
	unit := max(1, int64(g.target.Task)/finest/inner)
	if len(dims) == 1 {
		unit = roundUp(unit, 64)
	}
	block := b.Mul(g.grain(Share{dims[0], unit, max(1, int64(g.target.Task)/inner/unit)})[0], b.Int(unit))
	if len(dims) == 1 {
		first := b.Mul(b.Task(), block)
		body(nil, first, b.Sub(b.Min(b.Add(first, block), sizes[0]), first))
		return
	}
	task, lo, n := g.cut(dims, piece, b.Task())
	first := b.Mul(task, block)
	end := b.Min(b.Add(first, block), sizes[0])
	var nest func(outer []*tile.Value)
	nest = func(outer []*tile.Value) {
		d := len(outer)
		if d == len(dims)-1 {
			body(outer, lo, n)
			return
		}
		from, to := b.Int(0), sizes[d]
		if d == 0 {
			from, to = first, end
		}
		b.Range(from, to, b.Int(1), func(i *tile.Value) {
			nest(append(slices.Clone(outer), i))
		})
	}
	nest(nil)
}

// cut cuts the rows of a domain that has few and long ones at multiples of piece elements. It returns which task along the
// outermost dimension a task belongs to, and its part of the rows: n elements from lo.
func (g *gen) cut(dims []Size, piece int, task *tile.Value) (outer, lo, n *tile.Value) {
	b, last := g.b, dims[len(dims)-1]
	rows, length := int64(1), roundUp(int64(g.target.Task)/finest, max(1, int64(piece)))
	for _, s := range dims[:len(dims)-1] {
		rows *= s.N
	}
	symbolic := slices.ContainsFunc(dims, func(s Size) bool { return s.Sym != "" })
	if piece == 0 || symbolic || rows >= enoughRows || last.N < 2*length {
		return task, b.Int(0), g.size(last)
	}
	each := b.Mul(g.grain(Share{last, length, max(1, int64(g.target.Task)/length)})[0], b.Int(length))
	pieces := g.over(b.Int(last.N), each)
	lo = b.Mul(b.Rem(task, pieces), each)
	return b.Div(task, pieces), lo, b.Min(each, b.Sub(b.Int(last.N), lo))
}

// flat makes tasks of a row of the innermost dimension, or of some fragments of it.
func (g *gen) flat(dims []Size, lanes int, body func(outer []*tile.Value, lo, n *tile.Value)) {
	b, last := g.b, len(dims)-1
	size := func(d int) *tile.Value { return g.size(dims[d]) }
	n := size(last)
	task, lo := b.Task(), b.Int(0)
	if lanes > 0 && (dims[last].Sym != "" || dims[last].N > 2*int64(lanes)) {
		each := int64(lanes) * max(1, min(4, dims[last].N/int64(4*lanes)))
		if lanes == 1 {
			each = 1
		}
		pieces := b.Div(b.Add(n, b.Int(each-1)), b.Int(each))
		lo = b.Mul(b.Rem(task, pieces), b.Int(each))
		task = b.Div(task, pieces)
		if c, ok := tile.ConstInt(n); ok && c%each == 0 {
			n = b.Int(each)
		} else {
			n = b.Min(b.Int(each), b.Sub(n, lo))
		}
		g.out.Tasks = []Factor{{dims[last], each}}
	}
	outer := make([]*tile.Value, last)
	for d := last - 1; d >= 0; d-- {
		outer[d] = task
		if d > 0 {
			outer[d] = b.Rem(task, size(d))
			task = b.Div(task, size(d))
		}
		g.out.Tasks = append(g.out.Tasks, Factor{dims[d], 1})
	}
	body(outer, lo, n)
}

// lowered returns expressions in the operations that kernels have.
func lowered(exprs []*scalar.Expr) []*scalar.Expr {
	out := make([]*scalar.Expr, len(exprs))
	for i, e := range exprs {
		out[i] = scalar.Lower(e)
	}
	return out
}

// memory returns the element type of e in memory: booleans are i32, 0 or 1.
func memory(e tile.Elem) tile.Elem {
	if e == tile.I1 {
		return tile.I32
	}
	return e
}

// operandPtrs declares the parameters of the operands; those that are not in memory have none.
func (g *gen) operandPtrs(in []Operand) []*tile.Value {
	return collect(len(in), func(i int) *tile.Value { return g.operandPtr(i, in[i]) })
}

func (g *gen) operandPtr(i int, o Operand) *tile.Value {
	switch o.Kind {
	case Tensor:
		p := g.in(i, memory(o.Elem))
		g.out.Args[len(g.out.Args)-1].Aligned = o.Aligned
		return p
	case Symbol:
		return g.sym(o.Sym)
	}
	return nil
}

func (g *gen) fragments(in []Operand, ptrs, index []*tile.Value, lanes int, count *tile.Value) []*tile.Value {
	return collect(len(in), func(i int) *tile.Value {
		o, ptr := in[i], ptrs[i]
		if o.Rows == nil {
			return g.fragment(o, ptr, index, lanes, count)
		}
		row := g.b.Cast(tile.Widen, g.b.Lane(g.fragment(in[o.Rows.Index], ptrs[o.Rows.Index], index, 1, nil), 0))
		switch {
		case o.Rows.Fragments:
			return element(Fragments{K: o.Rows.Panel, Group: o.Rows.Group}, g.b, ptr, row, g.column(o, index))
		case o.Rows.Group.Len > 0:
			return g.code(o, ptr, row, index)
		case o.Rows.VNNI2:
			return g.half(o, ptr, row, index)
		}
		return g.fragment(o, g.b.PtrAdd(ptr, g.tableRow(o.Rows, row)), index, lanes, count)
	})
}

// code reads one element of a quantized table.
func (g *gen) code(o Operand, table, row *tile.Value, index []*tile.Value) *tile.Value {
	b, q := g.b, o.Rows.Group
	k := g.column(o, index)
	n := b.Rem(row, b.Int(PanelWidth))
	block := b.Add(b.Mul(b.Div(row, b.Int(PanelWidth)), b.Int(q.Blocks(o.Rows.Panel))), b.Div(k, b.Int(q.Len)))
	table = b.PtrAdd(table, b.Mul(block, b.Int(q.BlockBytes())))
	k = b.Rem(k, b.Int(q.Len))
	// The place of (n, k) is linear in n and in the parts of k, as Group.At has it.
	at := b.Add(b.Add(b.Int(packing.HeaderBytes), b.Mul(n, b.Int(4))), b.Rem(k, b.Int(4)))
	at = b.Add(at, b.Mul(b.Div(k, b.Int(q.WordCodes())), b.Int(4*PanelWidth)))
	x := b.WidenTo(b.Load(table, at, 1), tile.I32)
	if q.WordCodes() > 4 {
		upper := b.Compare(tile.LE, b.Int(4), b.Rem(k, b.Int(q.WordCodes())))
		x = b.Select(upper, b.Logic(tile.Shr, x, b.Int32(q.Bits(), 1)), x)
	}
	scale, low := header(q, b, table, n, 1, PanelWidth)
	return scaled(q, b, decoded(q, b, x, 0), scale, low)
}

// column returns the index in its row of the element that a packed table's operand reads at an index.
func (g *gen) column(o Operand, index []*tile.Value) *tile.Value {
	strides := make([]int64, len(o.Strides))
	for d, s := range o.Strides {
		strides[d] = s / PanelWidth
	}
	return g.at(index, strides)
}

// half reads one element of a table packed in pairs.
func (g *gen) half(o Operand, table, row *tile.Value, index []*tile.Value) *tile.Value {
	b, w, two := g.b, g.b.Int(PanelWidth), g.b.Int(2)
	k := g.column(o, index)
	word := b.Add(b.Mul(b.Add(b.Mul(b.Div(row, w), b.Int((o.Rows.Panel+1)/2)), b.Div(k, two)), w), b.Rem(row, w))
	return b.Load(table, b.Add(b.Mul(word, two), b.Rem(k, two)), 1)
}

// tableRow returns where a row of a table begins.
func (g *gen) tableRow(l *Lookup, row *tile.Value) *tile.Value {
	b := g.b
	if l.Panel == 0 {
		return b.Mul(row, b.Int(l.Stride))
	}
	w := b.Int(PanelWidth)
	return b.Add(b.Mul(b.Div(row, w), b.Int(l.Panel*PanelWidth)), b.Rem(row, w))
}

// fragment loads lanes elements of an operand along the last dimension of its domain.
func (g *gen) fragment(o Operand, ptr *tile.Value, index []*tile.Value, lanes int, count *tile.Value) *tile.Value {
	b := g.b
	last := len(index) - 1
	switch o.Kind {
	case Symbol:
		return b.Splat(b.Cast(tile.Narrow, ptr), lanes)
	case Index:
		if o.Dim < 0 {
			return b.Int32(0, lanes)
		}
		v := b.Splat(b.Cast(tile.Narrow, index[o.Dim]), lanes)
		if o.Dim == last && lanes > 1 {
			v = b.Add(v, b.Iota(lanes))
		}
		return v
	}
	off := g.at(index, o.Strides)
	var v *tile.Value
	if o.Strides[last] == 0 || lanes == 1 {
		v = b.Splat(b.Load(ptr, off, 1), lanes)
	} else {
		v = g.load(ptr, off, lanes, count)
	}
	if o.Elem == tile.I1 {
		v = b.Compare(tile.LT, b.Int32(0, lanes), v)
	}
	return v
}

// moved runs body with where a result lies that a scatter moves: for an index of the domain, of which the outer part will
// do, unless that is outside.
func (g *gen) moved(s Scatter, in []Operand, ptrs, index []*tile.Value, out *tile.Value, body func(out *tile.Value)) {
	if s == (Scatter{}) {
		body(out)
		return
	}
	b := g.b
	by := b.Cast(tile.Widen, b.Load(ptrs[s.Positions], b.Mul(index[0], b.Int(in[s.Positions].Strides[0])), 1))
	at := by
	if s.Along > 0 {
		at = b.Add(by, index[s.Along])
	}
	inside := b.Logic(tile.And, b.Compare(tile.LE, b.Int(0), at), b.Compare(tile.LT, at, b.Int(s.Rows)))
	b.When(inside, func() { body(b.PtrAdd(out, b.Mul(by, b.Int(s.Stride)))) })
}

// write stores a fragment of a result from an index of its domain on; booleans become i32.
func (g *gen) write(p *tile.Value, o Out, index []*tile.Value, v, count *tile.Value) {
	if o.Elem == tile.I1 {
		v = g.b.Select(v, g.b.Int32(1, v.Type.Lanes), g.b.Int32(0, v.Type.Lanes))
	}
	g.store(p, g.b.Add(g.at(index, o.Strides), g.b.Int(o.Offset)), v, count)
}
