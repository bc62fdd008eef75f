package kernels

import "pgc/ir/tile"

// buildBlocked is the schedule for many rows: a task is a block of rows by a block of columns of one part.
func (m *mmBuild) buildBlocked() {
	b, lanes := m.g.b, m.g.lanes
	d := make([]mmSchedule, len(m.Parts))
	counts, total := make([]int64, len(m.Parts)), int64(0)
	scratch, deq, copied := int64(0), int64(0), int64(0)
	for i := range m.Parts {
		p := &m.Parts[i]
		d[i] = m.g.schedule(m.Matmul, p)
		nr := int64(d[i].vecs * lanes)
		counts[i] = (p.columns() + d[i].nb - 1) / d[i].nb
		total += counts[i]
		scratch = max(scratch, int64(p.Accs)*d[i].nb*d[i].mb)
		switch {
		case m.X.Bits > 0:
			weights, x := m.g.dots(p.Group).intScratch(d[i])
			deq, copied = max(deq, weights), max(copied, x)
		case m.Pairs:
			weights, x := m.bfloats.scratch(d[i], nr)
			deq, copied = max(deq, weights), max(copied, x)
		case p.Elem != tile.F32:
			deq = max(deq, d[i].kc*nr)
		}
	}
	rowsOf := b.Int(d[0].mb)
	all := m.g.size(m.M)
	c := b.Scratch(int(scratch))
	var wide, copies *tile.Value
	if deq > 0 {
		wide = b.Scratch(int(deq))
	}
	if copied > 0 {
		copies = b.Scratch(int(copied))
	}
	m.g.out.Tasks = []Factor{{m.M, d[0].mb}, {Const(total), 1}}
	m0 := b.Mul(b.Div(b.Task(), b.Int(total)), rowsOf)
	rows := b.Min(rowsOf, b.Sub(all, m0))
	col := b.Rem(b.Task(), b.Int(total))
	m.rows(m0, rows, d[0].mb, b.Compare(tile.EQ, col, b.Int(0)))
	m.each(col, counts, func(part int, task *tile.Value) {
		n0 := b.Mul(task, b.Int(d[part].nb))
		if m.X.Bits > 0 {
			m.tileInt(part, d[part], c, wide, copies, m0, n0, rows)
		} else {
			m.tile(part, d[part], c, wide, copies, m0, n0, rows)
		}
	})
}

// tile computes the columns from n0 on of one part for a block of rows; c, wide and copies are scratch.
func (m *mmBuild) tile(part int, d mmSchedule, c, wide, copies, m0, n0, rows *tile.Value) {
	p, b, lanes := &m.Parts[part], m.g.b, m.g.lanes
	nr := int64(d.vecs * lanes)
	groups := d.nb / nr
	cols := b.Min(b.Int(d.nb), b.Sub(b.Int(roundUp(p.columns(), nr)), n0))
	used := b.Div(cols, b.Int(nr))

	m.clear(c, rows, used, groups, int64(p.Accs), d.mb*nr)
	kn := d.kc
	b.Range(b.Int(0), b.Int(m.steps()), b.Int(kn), func(k0 *tile.Value) {
		steps := b.Min(b.Int(kn), b.Sub(b.Int(m.steps()), k0))
		if m.steps()%kn == 0 {
			steps = b.Int(kn)
		}
		x, stride := m.x, m.xStride
		if m.Pairs {
			x, stride = m.bfloats.block(m, copies, k0, steps, rows, 2*kn)
		} else {
			x = b.PtrAdd(x, k0)
		}
		b.Range(b.Int(0), used, b.Int(1), func(grp *tile.Value) {
			for j, w := range m.weights[part] {
				m.panel(d, panel{x: x, stride: stride, w: w, elem: p.Elem, group: p.Group, wide: wide, k0: k0, steps: steps,
					n: b.Add(n0, b.Mul(grp, b.Int(nr))), rows: rows,
					c: b.PtrAdd(c, b.Mul(b.Add(b.Int(int64(j)*groups), grp), b.Int(d.mb*nr)))})
			}
		})
	})
	m.epilogue(part, c, m0, n0, rows, cols, nr, d.mb*nr, groups)
}

// clear sets the accumulators of a task to zero: accs matrices of `groups` groups of columns, of which `used` are, size apart.
func (m *mmBuild) clear(c, rows, used *tile.Value, groups, accs, size int64) {
	b, lanes := m.g.b, m.g.lanes
	for j := range accs {
		b.Range(b.Int(0), used, b.Int(1), func(grp *tile.Value) {
			base := b.Mul(b.Add(b.Int(j*groups), grp), b.Int(size))
			b.Range(b.Int(0), b.Mul(rows, b.Int(size/m.blockRows())), b.Int(int64(lanes)), func(i *tile.Value) {
				b.Store(c, b.Add(base, i), b.Float(0, lanes))
			})
		})
	}
}

// blockRows is the most rows of a task.
func (m *mmBuild) blockRows() int64 { return m.g.schedule(m.Matmul, &m.Parts[0]).mb }

// epilogue reads the accumulators of a task back, nr columns a group, and writes the results once.
func (m *mmBuild) epilogue(part int, c, m0, n0, rows, cols *tile.Value, nr, size, groups int64) {
	p, b, lanes := &m.Parts[part], m.g.b, m.g.lanes
	b.Range(b.Int(0), rows, b.Int(1), func(r *tile.Value) {
		b.Range(b.Int(0), cols, b.Int(int64(lanes)), func(i *tile.Value) {
			grp, in := b.Div(i, b.Int(nr)), b.Rem(i, b.Int(nr))
			accs := make([]*tile.Value, p.Accs)
			for j := range accs {
				at := b.Add(b.Mul(b.Add(b.Int(int64(j)*groups), grp), b.Int(size)), b.Add(b.Mul(r, b.Int(nr)), in))
				accs[j] = b.Load(c, at, lanes)
			}
			m.finish(part, accs, b.Add(m0, r), b.Add(n0, i))
		})
	})
}

// panel is the work of one column group over one block of k.
type panel struct {
	x, w, wide, c      *tile.Value
	stride             int64 // between rows of x
	elem               tile.Elem
	group              Group
	k0, steps, n, rows *tile.Value
}

func (m *mmBuild) panel(d mmSchedule, p panel) {
	b, lanes := m.g.b, m.g.lanes
	nr := int64(d.vecs * lanes)
	// The first column's place in the packed matrix, and where each vector of a row of B lies from there.
	w := p.w
	if p.group.Bits == 0 {
		w = b.PtrAdd(p.w, b.Add(b.Mul(p.n, b.Int(m.steps())), b.Mul(p.k0, b.Int(PanelWidth))))
	}
	mk := micro{lanes: lanes, aRow: p.stride, aK: 1, b: m.sources(w, d.vecs, lanes), bK: PanelWidth}
	k, widened := p.steps, p.elem != tile.F32
	switch {
	case m.Pairs && m.bfloats.dot:
		mk.way, widened = dotted, false
	case m.Pairs:
		m.bfloats.widen(mk.b, p.wide, k, nr)
		mk.way, k = swapped, b.Mul(k, b.Int(2))
	case p.group.Bits > 0:
		m.widen(p, nr)
	case p.elem != tile.F32:
		// Widen the panel once; all rows of the task use it.
		b.Range(b.Int(0), p.steps, b.Int(1), func(k *tile.Value) {
			for v, src := range mk.b {
				x := b.Load(src.p, b.Add(b.Mul(k, b.Int(PanelWidth)), b.Int(src.off)), lanes)
				b.Store(p.wide, b.Add(b.Mul(k, b.Int(nr)), b.Int(int64(v*lanes))), x)
			}
		})
	}
	if widened {
		mk.bK = nr
		for v := range mk.b {
			mk.b[v] = source{p.wide, int64(v * lanes)}
		}
	}
	next := m.sources(b.PtrAdd(w, b.Int(nr*m.steps())), d.vecs, lanes)
	rowBlocks(b, p.rows, d.mr, func(first *tile.Value, n int) {
		mk := mk
		for v := 0; v < d.vecs; v += max(1, PanelWidth/lanes) {
			d.prefetch(b, next[v].p, next[v].off, d.kc*PanelWidth, first)
		}
		mk.rows = n
		c := b.PtrAdd(p.c, b.Mul(first, b.Int(nr)))
		init := make([]*tile.Value, n*d.vecs)
		for i := range init {
			init[i] = b.Load(c, b.Int(int64(i*lanes)), lanes)
		}
		for i, v := range mk.run(b, b.PtrAdd(p.x, b.Mul(first, b.Int(p.stride))), k, init) {
			b.Store(c, b.Int(int64(i*lanes)), v)
		}
	})
}

// widen makes floats of the groups of a quantized panel's block of k.
func (m *mmBuild) widen(p panel, nr int64) {
	b, q := m.g.b, p.group
	first := b.Div(p.k0, b.Int(q.Len))
	b.Range(b.Int(0), p.steps, b.Int(q.Len), func(k *tile.Value) {
		group := b.Add(first, b.Div(k, b.Int(q.Len)))
		steps := b.Min(b.Int(q.Len), b.Sub(p.steps, k))
		for i := range nr / PanelWidth {
			at := b.Add(b.Div(p.n, b.Int(PanelWidth)), b.Int(i))
			block := b.PtrAdd(p.w, b.Mul(b.Add(b.Mul(at, b.Int(q.Blocks(m.K))), group), b.Int(q.BlockBytes())))
			q.widen(m.g, block, steps, b.PtrAdd(p.wide, b.Add(b.Mul(k, b.Int(nr)), b.Int(i*PanelWidth))), nr)
		}
	})
}
