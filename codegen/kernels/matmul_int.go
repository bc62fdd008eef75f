package kernels

import (
	"pgc/ir/quant"
	"pgc/ir/tile"
)

// quantRows are rows of quantized x: their integers as the dots want them, and the scale and the sum of every group.
type quantRows struct {
	g         *gen
	group     Group       // of the weights
	words     *tile.Value // *i32: fours of i8, or pairs of i16
	perRow    int64       // words from one row to the next
	x         *tile.Value // *i8: the rows in memory
	row       int64       // bytes from one row to the next
	scales    int64
	sums      int64
	wordBytes int64 // integers in a word
}

func (m *mmBuild) quantRows(q Group, x *tile.Value) quantRows {
	row, scales, sums := quant.RowLayout(m.K, m.X.Len)
	r := quantRows{g: m.g, group: q, x: x, row: row, scales: scales, sums: sums, wordBytes: 4,
		words: m.g.b.PtrCast(x, tile.I32), perRow: row / 4}
	if q.Bits == 8 {
		r.wordBytes = 2
	}
	return r
}

// word loads the word of row r, step k.
func (r *quantRows) word(row, k *tile.Value) *tile.Value {
	b := r.g.b
	return b.Load(r.words, b.Add(b.Mul(row, b.Int(r.perRow)), b.Div(k, b.Int(r.wordBytes))), 1)
}

// factors are the scale of a row's group and the sum of the group times it.
func (r *quantRows) factors(row, group *tile.Value) (scale, sum *tile.Value) {
	b, lanes := r.g.b, r.g.lanes
	p := b.PtrCast(b.PtrAdd(r.x, b.Mul(row, b.Int(r.row))), tile.F32)
	scale = b.Splat(b.Load(p, b.Add(b.Int(r.scales/4), group), 1), lanes)
	if r.group.Bits == 4 {
		sum = b.Splat(b.Load(p, b.Add(b.Int(r.sums/4), group), 1), lanes)
	}
	return scale, sum
}

// widened makes r read i16 copies in scratch of n integers from `from` on of `rows` rows; a row of the copy has room for most.
func (r *quantRows) widened(scratch, from, rows, n *tile.Value, most int64) {
	b := r.g.b
	copies := b.PtrCast(scratch, tile.I16)
	step := b.Int(chunk)
	b.Range(b.Int(0), rows, b.Int(1), func(i *tile.Value) {
		src := b.PtrAdd(r.x, b.Add(b.Mul(i, b.Int(r.row)), from))
		b.Range(b.Int(0), n, step, func(k *tile.Value) {
			b.Store(copies, b.Add(b.Mul(i, b.Int(most)), k), b.WidenTo(b.Load(src, k, chunk), tile.I16))
		})
	})
	r.words, r.perRow = b.PtrCast(scratch, tile.I32), most/2
}

// tileInt computes the columns from n0 on of one part for a block of rows with integer products: group by group of k, a
// panel of weights at a time, whose integers are unpacked once for all rows.
func (m *mmBuild) tileInt(part int, d mmSchedule, c, wide, copies, m0, n0, rows *tile.Value) {
	p, b, lanes := &m.Parts[part], m.g.b, m.g.lanes
	q := p.Group
	panels := d.nb / PanelWidth
	cols := b.Min(b.Int(d.nb), b.Sub(b.Int(p.columns()), n0))
	used := b.Div(cols, b.Int(PanelWidth))
	perPanel := d.mb * PanelWidth
	m.clear(c, rows, used, panels, int64(p.Accs), perPanel)
	vecs := PanelWidth / lanes
	b.Range(b.Int(0), b.Int(q.Blocks(m.K)), b.Int(1), func(group *tile.Value) {
		k0 := b.Mul(group, b.Int(q.Len))
		steps := b.Int(q.Len)
		if m.K%q.Len != 0 {
			steps = b.Min(steps, b.Sub(b.Int(roundUp(m.K, chunk)), k0))
		}
		x := m.quantRows(q, m.x)
		from := k0
		if q.Bits == 8 {
			x.widened(copies, k0, rows, steps, q.Len)
			from = b.Int(0)
		}
		b.Range(b.Int(0), used, b.Int(1), func(panel *tile.Value) {
			at := b.Add(b.Div(n0, b.Int(PanelWidth)), panel)
			for j, w := range m.weights[part] {
				block := b.PtrAdd(w, b.Mul(b.Add(b.Mul(at, b.Int(q.Blocks(m.K))), group), b.Int(q.BlockBytes())))
				acc := b.PtrAdd(c, b.Mul(b.Add(b.Int(int64(j)*panels), panel), b.Int(perPanel)))
				for v := range vecs {
					m.column(q, block, v, wide, acc, x, from, group, steps, rows)
				}
			}
		})
	})
	m.epilogue(part, c, m0, n0, rows, cols, PanelWidth, perPanel, panels)
}

// column is the work of one vector of columns of a block: unpack it, then all rows.
func (m *mmBuild) column(q Group, block *tile.Value, v int, wide, acc *tile.Value, x quantRows, from, group, steps, rows *tile.Value) {
	b, lanes := m.g.b, m.g.lanes
	per := int64(q.vectors())
	to, elem := b.PtrCast(wide, tile.I16), tile.I16
	if q.Bits == 4 {
		to, elem = b.PtrCast(wide, tile.I8), tile.I8
	}
	width := int64(4 * lanes / elem.Bytes())
	place := func(k *tile.Value, i int) *tile.Value {
		return b.Add(b.Mul(k, b.Int(per*width/chunk)), b.Int(int64(i)*width))
	}
	scale, least := q.header(m.g, block, v)
	b.Range(b.Int(0), steps, b.Int(chunk), func(k *tile.Value) {
		w := q.unpacked(m.g, block, k, v)
		for i := range q.vectors() {
			b.Store(to, place(k, i), w(i))
		}
	})
	rowBlocks(b, rows, 8, func(first *tile.Value, n int) {
		init := make([]*tile.Value, n)
		for r := range init {
			init[r] = b.Int32(0, lanes)
		}
		sums := b.For(b.Int(0), steps, b.Int(chunk), init, func(k *tile.Value, sums []*tile.Value) []*tile.Value {
			w := once(func(i int) *tile.Value { return b.Load(to, place(k, i), int(width)) })
			return q.dots(m.g, sums, func(_, i int) *tile.Value { return w(i) }, func(r, i int) *tile.Value {
				return x.word(b.Add(first, b.Int(int64(r))), b.Add(b.Add(from, k), b.Int(int64(i)*x.wordBytes)))
			})
		})
		for r := range n {
			row := b.Add(first, b.Int(int64(r)))
			sx, xs := x.factors(row, group)
			at := b.Add(b.Mul(row, b.Int(PanelWidth)), b.Int(int64(v*lanes)))
			b.Store(acc, at, q.scaled(m.g, b.Load(acc, at, lanes), sums[r], sx, xs, scale, least))
		}
	})
}

// streamInt computes the columns of n panels from panel `at` on for one row.
func (m *mmBuild) streamInt(part int, at *tile.Value, n int, x quantRows) {
	p, b, lanes := &m.Parts[part], m.g.b, m.g.lanes
	q := p.Group
	perPanel := PanelWidth / lanes
	vecs := n * perPanel
	zero := b.Int(0)
	accs := b.For(zero, b.Int(q.Blocks(m.K)), b.Int(1), zeros(b, p.Accs*vecs, lanes), func(group *tile.Value, accs []*tile.Value) []*tile.Value {
		k0 := b.Mul(group, b.Int(q.Len))
		steps := b.Int(q.Len)
		if m.K%q.Len != 0 {
			steps = b.Min(steps, b.Sub(b.Int(roundUp(m.K, chunk)), k0))
		}
		block := func(i int) *tile.Value { // of vector i
			panel := b.Add(at, b.Int(int64(i%vecs/perPanel)))
			return b.PtrAdd(m.weights[part][i/vecs], b.Mul(b.Add(b.Mul(panel, b.Int(q.Blocks(m.K))), group), b.Int(q.BlockBytes())))
		}
		init := make([]*tile.Value, len(accs))
		for i := range init {
			init[i] = b.Int32(0, lanes)
		}
		sums := b.For(zero, steps, b.Int(chunk), init, func(k *tile.Value, sums []*tile.Value) []*tile.Value {
			word := once(func(i int) *tile.Value { return x.word(zero, b.Add(b.Add(k0, k), b.Int(int64(i)*x.wordBytes))) })
			w := make([]func(int) *tile.Value, len(sums))
			for a := range w {
				w[a] = q.unpacked(m.g, block(a), k, a%perPanel)
			}
			return q.dots(m.g, sums, func(a, i int) *tile.Value { return w[a](i) }, func(_, i int) *tile.Value { return word(i) })
		})
		sx, xs := x.factors(zero, group)
		out := make([]*tile.Value, len(accs))
		for i := range out {
			scale, least := q.header(m.g, block(i), i%perPanel)
			out[i] = q.scaled(m.g, accs[i], sums[i], sx, xs, scale, least)
		}
		return out
	})
	m.finishPanels(part, at, accs, vecs)
}

// once remembers what f gives.
func once(f func(i int) *tile.Value) func(i int) *tile.Value {
	made := map[int]*tile.Value{}
	return func(i int) *tile.Value {
		if made[i] == nil {
			made[i] = f(i)
		}
		return made[i]
	}
}
