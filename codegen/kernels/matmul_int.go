package kernels

import "pgc/ir/tile"

// schedule adapts the blocking of a part whose products are of integers: the microkernel fills the register file with sums of
// vecs vectors of columns; kc, whole groups, keeps the unpacked weights of its columns in L1. Measured with BenchmarkMatmul.
func (d dots) schedule(s mmSchedule) mmSchedule {
	s.kc, s.nb = 512, 128
	switch {
	case d.g.lanes == 4: // loads of six rows' words spill
		s.mr = 4
	case d.way == pairs: // sums come in two halves, x is widened
		s.vecs, s.kc = 1, 256
	case d.way == bytes: // a sum in i16 and four vectors of weights want registers, too
		s.vecs, s.mr = 1, 8
	}
	return s
}

// intScratch is how many floats of scratch the weights of kc × vecs vectors of columns take, unpacked, with their scales and
// minima, and how many the widened x of a task takes.
func (d dots) intScratch(s mmSchedule) (weights, x int64) {
	vecs, lanes := int64(s.vecs), int64(d.g.lanes)
	weights = s.kc/chunk*int64(d.vectors())*vecs*lanes + s.kc/d.group.Len*2*vecs*lanes
	if d.way == pairs {
		x = s.kc * s.mb / 2
	}
	return weights, x
}

// tileInt computes the columns from n0 on of one part for a block of rows with integer products. A vector or two of columns at
// a time, kc of k: the weights are unpacked once for all rows, then every few rows pass over them, group by group.
func (m *mmBuild) tileInt(part int, s mmSchedule, c, wide, copies, m0, n0, rows *tile.Value) {
	p, b := &m.Parts[part], m.g.b
	q, nr := p.Group, int64(s.vecs*m.g.lanes)
	unit := max(nr, PanelWidth) // whole panels
	blocks, size := s.nb/nr, s.mb*nr
	cols := b.Min(b.Int(s.nb), b.Sub(b.Int(roundUp(p.columns(), unit)), n0))
	m.clear(c, rows, b.Div(cols, b.Int(nr)), blocks, int64(p.Accs), size)
	b.Range(b.Int(0), b.Int(m.K), b.Int(s.kc), func(k0 *tile.Value) {
		steps := b.Int(s.kc)
		if m.K%s.kc != 0 {
			steps = b.Min(steps, b.Sub(b.Int(roundUp(m.K, chunk)), k0))
		}
		x, from := m.quantRows(q, m.x), k0
		if x.way == pairs {
			x.widened(copies, k0, rows, steps, s.kc)
			from = b.Int(0)
		}
		b.Range(b.Int(0), cols, b.Int(unit), func(col *tile.Value) {
			panel := b.Div(b.Add(n0, col), b.Int(PanelWidth))
			for j, w := range m.weights[part] {
				acc := b.PtrAdd(c, b.Add(b.Mul(col, b.Int(s.mb)), b.Int(int64(j)*blocks*size)))
				for first := int64(0); first < unit; first += nr {
					g := intColumns{quantRows: x, mmSchedule: s, k: m.K, wide: wide, acc: b.PtrAdd(acc, b.Int(first*s.mb)),
						group: b.Div(k0, b.Int(q.Len)), from: from, steps: steps, rows: rows}
					g.unpack(func(group *tile.Value, v int) (*tile.Value, int) {
						return m.weightsAt(q, w, panel, group)(int(first)/m.g.lanes + v)
					})
					next := b.Add(panel, b.Int(unit/PanelWidth))
					g.multiply(func(row *tile.Value) {
						if first > 0 {
							return
						}
						for v := 0; v < int(unit)/m.g.lanes; v += PanelWidth / m.g.lanes {
							block, _ := m.weightsAt(q, w, next, g.group)(v)
							s.prefetch(b, block, 0, s.kc/q.Len*q.BlockBytes(), row)
						}
					})
				}
			}
		})
	})
	m.epilogue(part, c, m0, n0, rows, cols, nr, size, blocks)
}

// weightsAt returns where a block of weights begins, by vector of columns from a panel on, and which vector of its panel that is.
func (m *mmBuild) weightsAt(q Group, w, panel, group *tile.Value) func(v int) (block *tile.Value, in int) {
	b, perPanel := m.g.b, PanelWidth/m.g.lanes
	return func(v int) (*tile.Value, int) {
		at := b.Add(b.Mul(b.Add(panel, b.Int(int64(v/perPanel))), b.Int(q.Blocks(m.K))), group)
		return b.PtrAdd(w, b.Mul(at, b.Int(q.BlockBytes()))), v % perPanel
	}
}

// intColumns is the work of a task on vecs vectors of columns and kc of k.
type intColumns struct {
	quantRows
	mmSchedule
	k           int64
	wide, acc   *tile.Value
	group, from *tile.Value // the first group, and where it begins in the words of x
	steps, rows *tile.Value
}

// place is where vector i of the weights of columns v lies in the unpacked chunk k, in elements.
func (p *intColumns) place(k *tile.Value, v, i int) *tile.Value {
	b, width, count := p.g.b, int64(p.width()), int64(p.vectors())
	return b.Add(b.Mul(k, b.Int(int64(p.vecs)*count*width/chunk)), b.Int((int64(v)*count+int64(i))*width))
}

// scale is where the scales of a group, counted from the first one, lie behind the unpacked weights, in floats; minima follow.
func (p *intColumns) scale(group *tile.Value, v int) *tile.Value {
	b, lanes := p.g.b, int64(p.g.lanes)
	behind := p.kc / chunk * int64(p.vectors()*p.vecs) * lanes
	return b.Add(b.Mul(group, b.Int(2*int64(p.vecs)*lanes)), b.Int(behind+int64(2*v)*lanes))
}

// groups runs body for every group: its number from the first one on, where it begins in steps, and how many it has.
func (p *intColumns) groups(body func(group, first, n *tile.Value)) {
	b, each := p.g.b, p.quantRows.group.Len
	b.Range(b.Int(0), p.steps, b.Int(each), func(first *tile.Value) {
		n := b.Int(each)
		if p.k%each != 0 {
			n = b.Min(n, b.Sub(p.steps, first))
		}
		body(b.Div(first, b.Int(each)), first, n)
	})
}

func (p *intColumns) unpack(weights func(group *tile.Value, v int) (block *tile.Value, in int)) {
	b, to := p.g.b, p.g.b.PtrCast(p.wide, p.elem())
	p.groups(func(group, first, n *tile.Value) {
		for v := range p.vecs {
			block, in := weights(b.Add(p.group, group), v)
			scale, least := p.quantRows.group.header(p.g, block, in)
			at := p.scale(group, v)
			b.Store(p.wide, at, scale)
			if least != nil {
				b.Store(p.wide, b.Add(at, b.Int(int64(p.g.lanes))), least)
			}
			b.Range(b.Int(0), n, b.Int(chunk), func(k *tile.Value) {
				w := p.unpacked(block, k, in)
				for i := range p.vectors() {
					b.Store(to, p.place(b.Add(first, k), v, i), w(i))
				}
			})
		}
	})
}

// multiply does all rows; each is called for every block of them.
func (p *intColumns) multiply(each func(row *tile.Value)) {
	b, lanes, q := p.g.b, p.g.lanes, p.quantRows.group
	nr := int64(p.vecs * lanes)
	from := b.PtrCast(p.wide, p.elem())
	rowBlocks(b, p.rows, p.mr, func(row *tile.Value, n int) {
		each(row)
		at := func(r int) *tile.Value { return b.Add(row, b.Int(int64(r))) }
		p.groups(func(group, first, steps *tile.Value) {
			number := b.Add(p.group, group)
			var init []*tile.Value
			for r := range n {
				init = append(init, p.starts(at(r), number, p.vecs)...)
			}
			sums := b.For(b.Int(0), steps, b.Int(chunk), init, func(i *tile.Value, sums []*tile.Value) []*tile.Value {
				k := b.Add(first, i)
				w := make([]func(int) *tile.Value, p.vecs)
				for v := range w {
					w[v] = once(func(i int) *tile.Value { return b.Load(from, p.place(k, v, i), p.width()) })
				}
				return p.add(sums, n, p.vecs, func(v, i int) *tile.Value { return w[v](i) }, func(r, i int) *tile.Value {
					return p.at(at(r), b.Add(b.Add(p.from, k), b.Int(int64(4*i))))
				})
			})
			scale, least := make([]*tile.Value, p.vecs), make([]*tile.Value, p.vecs)
			for v := range p.vecs {
				scale[v] = b.Load(p.wide, p.scale(group, v), lanes)
				if q.Bits == 4 {
					least[v] = b.Load(p.wide, b.Add(p.scale(group, v), b.Int(int64(lanes))), lanes)
				}
			}
			for r := range n {
				sx, xs := p.factors(at(r), number)
				for v := range p.vecs {
					sum := p.total(sums[(r*p.vecs+v)*p.halves():][:p.halves()])
					to := b.Add(b.Mul(at(r), b.Int(nr)), b.Int(int64(v*lanes)))
					b.Store(p.acc, to, p.scaled(b.Load(p.acc, to, lanes), sum, sx, xs, scale[v], least[v]))
				}
			}
		})
	})
}

// streamInt computes the columns of n panels from panel `at` on for one row. The processor itself asks for the weights in time: in
// streams this long, doing so by instructions made every one of them slower.
func (m *mmBuild) streamInt(part int, at *tile.Value, n int, x quantRows) {
	p, b, lanes := &m.Parts[part], m.g.b, m.g.lanes
	q := p.Group
	vecs := n * PanelWidth / lanes
	all, chains := vecs*p.Accs, x.chains()
	zero := b.Int(0)
	accs := b.For(zero, b.Int(q.Blocks(m.K)), b.Int(1), zeros(b, all, lanes), func(group *tile.Value, accs []*tile.Value) []*tile.Value {
		k0 := b.Mul(group, b.Int(q.Len))
		steps := b.Int(q.Len)
		if m.K%q.Len != 0 {
			steps = b.Min(steps, b.Sub(b.Int(roundUp(m.K, chunk)), k0))
		}
		block := func(v int) (*tile.Value, int) { return m.weightsAt(q, m.weights[part][v/vecs], at, group)(v % vecs) }
		init := make([]*tile.Value, 0, all*chains)
		for range all {
			one := x.starts(zero, group, 1)
			for len(one) < chains {
				one = append(one, b.Int32(0, lanes))
			}
			init = append(init, one...)
		}
		sums := b.For(zero, steps, b.Int(chunk), init, func(k *tile.Value, sums []*tile.Value) []*tile.Value {
			word := once(func(i int) *tile.Value { return x.at(zero, b.Add(b.Add(k0, k), b.Int(int64(4*i)))) })
			w := make([]func(int) *tile.Value, all)
			for v := range w {
				from, in := block(v)
				w[v] = once(x.unpacked(from, k, in))
			}
			return x.addOne(sums, all, func(v, i int) *tile.Value { return w[v](i) }, func(_, i int) *tile.Value { return word(i) })
		})
		sx, xs := x.factors(zero, group)
		out := make([]*tile.Value, all)
		for v := range out {
			from, in := block(v)
			scale, least := q.header(m.g, from, in)
			out[v] = x.scaled(accs[v], x.total(sums[v*chains:][:chains]), sx, xs, scale, least)
		}
		return out
	})
	m.finishPanels(part, at, accs, vecs)
}
