package kernels

import (
	"math/bits"
	"reflect"
	"slices"

	"pgc/ir/tile"
)

// buildBlocked schedules many rows (GEMM): a task is a block of rows by a block of columns of one part, as many of either
// as grains say. Parts that are alike share the code that multiplies; each has an epilogue of its own.
func (m *mmBuild) buildBlocked() {
	b := m.g.b
	parts := make([]*product, len(m.Parts))
	columns := make([]Share, len(m.Parts))
	sums, staged, copied, tiled, dotted := int64(0), int64(0), int64(0), int64(0), int64(0)
	for i := range parts {
		p := m.product(i)
		p.paired, p.pack = p.mma.rows == 2, p.Pack
		parts[i] = p
		if p.plain() {
			columns[i], sums, dotted = Share{p.Plain, PanelPad, 1}, max(sums, roundUp(p.N, PanelWidth)*p.MC), max(dotted, p.vectorsLen())
			continue
		}
		unit := p.columnUnit()
		columns[i] = Share{Const((p.columns() + unit - 1) / unit), 1, p.NC / unit}
		sums = max(sums, int64(p.Accs)*p.NC*p.MC)
		copied = max(copied, p.copiesLen(p.MC, p.KC))
		if !p.inPlace {
			staged = max(staged, p.stagedLen(p.KC, p.Vecs))
		}
		tiled = max(tiled, p.tiledLen())
	}
	rowsOf, all := parts[0].MC, m.g.size(m.M)
	c, staging, copies, registers := m.scratch(sums), m.scratch(staged), m.scratch(copied), m.scratch(tiled)
	vectors := m.scratch(dotted)
	grains := m.g.grain(columns...)
	counts, tasks := make([]*tile.Value, len(parts)), b.Int(0)
	for i, s := range columns {
		units := b.Int(s.Size.N)
		if parts[i].plain() { // one task, or none without rows
			units = b.Div(b.Add(m.g.size(s.Size), b.Int(s.Unit-1)), b.Int(s.Unit))
		}
		counts[i] = m.g.over(units, grains[i])
		tasks = b.Add(tasks, counts[i])
	}
	perTask := b.Mul(m.g.grain(Share{m.M, parts[0].rowUnit(), rowsOf / parts[0].rowUnit()})[0], b.Int(parts[0].rowUnit()))
	m0 := b.Mul(b.Div(b.Task(), tasks), perTask)
	rows := b.Min(perTask, b.Sub(all, m0))
	col := b.Rem(b.Task(), tasks)
	m.rows(m0, rows, rowsOf, b.Compare(tile.EQ, col, b.Int(0)))
	sets, setCounts := m.sets(parts, counts, (*Part).alike)
	m.each(col, setCounts, func(set int, task *tile.Value) {
		of := sets[set]
		first := of[0].number
		if of[0].plain() {
			m.dotsOf(of, counts[first:][:len(of)], task).ofMany(c, vectors, m0, rows)
			return
		}
		t := blocked{product: of[0], c: c, m0: m0, rows: rows, registers: registers, rowUnit: parts[0].rowUnit()}
		t.staging, t.copies = staging, copies
		for _, p := range of {
			t.room = max(t.room, p.NC*p.MC)
		}
		which := m.pick(task, counts[first:][:len(of)], func(i int, task *tile.Value) []*tile.Value {
			p := of[i]
			perTask := b.Mul(grains[p.number], b.Int(p.columnUnit()))
			n0 := b.Mul(task, perTask)
			columns := b.Min(perTask, b.Sub(b.Int(roundUp(p.Part.columns(), t.span())), n0))
			return append([]*tile.Value{b.Int(int64(i)), n0, columns}, m.weights[p.number]...)
		})
		t.n0, t.columns, t.matrices = which[1], which[2], which[3:]
		t.build()
		ones := slices.Repeat([]*tile.Value{b.Int(1)}, len(of))
		m.each(which[0], ones, func(i int, _ *tile.Value) {
			t.addSecond(of[i])
			t.epilogue(of[i])
		})
	})
}

// alike reports whether parts are multiplied by the same code, and plain ones end in the same code, too.
func (p *Part) alike(o *Part) bool {
	if p.plain() || o.plain() {
		return p.sameDots(o)
	}
	return p.Elem == o.Elem && p.Group == o.Group && p.Accs == o.Accs
}

// sameDots reports whether parts are plain and of the same code, which their matrices may have any number of rows for.
func (p *Part) sameDots(o *Part) bool {
	one, other := *p, *o
	one.Plain, other.Plain = Size{}, Size{}
	return p.plain() && o.plain() && reflect.DeepEqual(one, other)
}

// sets puts neighbouring parts that are alike together; counts are the tasks of every part, and of every set.
func (m *mmBuild) sets(parts []*product, counts []*tile.Value, alike func(p, o *Part) bool) (sets [][]*product, of []*tile.Value) {
	for i, p := range parts {
		if i > 0 && alike(parts[i-1].Part, p.Part) {
			last := len(sets) - 1
			sets[last], of[last] = append(sets[last], p), m.g.b.Add(of[last], counts[i])
			continue
		}
		sets, of = append(sets, []*product{p}), append(of, counts[i])
	}
	return sets, of
}

// blocked does a task: columns from n0 on of one part for rows from m0 on. C is scratch, by matrix, by nr columns, by
// row.
type blocked struct {
	*product            // the part, or one that is alike
	room          int64 // elements of C for each matrix
	matrices      []*tile.Value
	c, m0, n0     *tile.Value
	rows, columns *tile.Value
	registers     *tile.Value // scratch for tile registers
	rowUnit       int64       // of which tasks have a number of rows, but for the last ones
}

// rest returns the binary digits of how many rows of a task may lie behind whole microkernels: tasks begin at multiples of
// the first part's unit of rows.
func (t *blocked) rest() int64 {
	if t.M.Sym != "" || t.rowUnit%int64(t.MR) != 0 {
		return anyRest
	}
	return t.M.N % int64(t.MR)
}

// span returns how many columns are multiplied before those behind them: whole panels.
func (t *blocked) span() int64 { return max(t.nr(), PanelWidth) }

// at returns where C of a matrix begins for nr columns from `column` on.
func (t *blocked) at(matrix, column *tile.Value) *tile.Value {
	b := t.g.b
	return b.PtrAdd(t.c, b.Add(b.Mul(column, b.Int(t.MC)), b.Mul(matrix, b.Int(t.room))))
}

// matrix returns where the weights of a matrix begin.
func (t *blocked) matrix(number *tile.Value) *tile.Value {
	b, w := t.g.b, t.matrices[0]
	for j, other := range t.matrices[1:] {
		w = b.If(b.Compare(tile.EQ, number, b.Int(int64(j+1))), func() []*tile.Value { return []*tile.Value{other} },
			func() []*tile.Value { return []*tile.Value{w} })[0]
	}
	return w
}

func (t *blocked) build() {
	t.clear()
	switch {
	case t.tiles != 0:
		t.inTiles()
	case t.flushes:
		t.g.b.Flush(true)
		defer t.g.b.Flush(false)
		fallthrough
	default:
		t.blocks(t.panel)
	}
}

// blocks goes through k and columns in blocks, and multiplies each by panel.
func (t *blocked) blocks(panel func(w, n, first, k0, k *tile.Value, x lhs, c *tile.Value)) {
	b := t.g.b
	b.Range(b.Int(0), b.Int(t.units), b.Int(t.KC), func(k0 *tile.Value) {
		k := b.Int(t.KC)
		if t.units%t.KC != 0 {
			k = b.Min(k, b.Sub(b.Int(t.units), k0))
		}
		x := t.rowsOfX(k0, k, t.rows, t.KC)
		b.Range(b.Int(0), t.columns, b.Int(t.span()), func(column *tile.Value) {
			t.g.steps(int64(t.Accs), 1, func(j *tile.Value) {
				w, c := t.matrix(j), t.at(j, column)
				t.g.steps(t.span(), t.nr(), func(first *tile.Value) {
					panel(w, b.Add(t.n0, column), first, k0, k, x, b.PtrAdd(c, b.Mul(first, b.Int(t.MC))))
				})
			})
		})
	})
}

// panel multiplies all rows by nr columns, those from `first` behind column n on, and k units from k0 on. B is unpacked
// once for all rows; each block of them asks for a share of the next columns.
func (t *blocked) panel(w, n, first, k0, k *tile.Value, x lhs, c *tile.Value) {
	b, lanes := t.g.b, int64(t.g.lanes)
	panel, at := b.Div(n, b.Int(PanelWidth)), k0
	if t.Group.Len > 0 {
		at = b.Div(k0, b.Int(t.Group.Len))
	}
	columns := func(panel, at, first *tile.Value, n int) []column {
		out := make([]column, n)
		for v := range out {
			out[v] = t.column(w, panel, at, v)
			out[v].in = b.Add(out[v].in, first)
		}
		return out
	}
	if !t.inPlace {
		t.groups(k, func(group, from, n *tile.Value) {
			of := columns(panel, b.Add(at, group), first, t.Vecs)
			t.stage(from, n, of)
			for v, c := range of {
				t.stageHeader(group, v, c)
			}
		})
	}
	weights := func(from *tile.Value) vectors {
		if t.inPlace {
			return t.inMemory(columns(panel, at, first, t.Vecs))
		}
		return t.fromStage(t.Vecs, from)
	}
	rest := t.rest()
	most := min(int64(t.MR)-1, t.M.N)
	largest := 1 << bits.Len64(uint64(rest&(1<<bits.Len64(uint64(most))-1))) / 2 // those behind it lie in the same share of what is asked for
	rowBlocks(b, t.rows, t.M.N, t.MR, rest, func(row *tile.Value, n int) {
		if n == t.MR || n == largest {
			t.g.atFirst(first, func() {
				t.prefetchNext(columns(b.Add(panel, b.Int(t.span()/PanelWidth)), at, b.Int(0), int(t.span()/lanes)), row)
			})
		}
		units := t.half()
		if n < t.MR { // there are few such blocks
			units = t.step
		}
		to := b.PtrAdd(c, b.Mul(row, b.Int(t.nr())))
		multiply := func(group, from, k *tile.Value) {
			t.accumulate(block{micro: micro{mma: t.mma, rows: n, vecs: t.Vecs, chains: 1, x: x.at(b, row, from), w: weights(from),
				whole: t.wholeBodies(), units: units},
				row: row, group: b.Add(at, group),
				header: func(v int) (scale, low *tile.Value) { return t.stagedHeader(group, v) },
				get:    func(i int) *tile.Value { return b.Load(to, b.Int(int64(i)*lanes), int(lanes)) },
				put:    func(i int, x *tile.Value) { b.Store(to, b.Int(int64(i)*lanes), x) }}, k)
		}
		if t.grouped() {
			t.groups(k, multiply)
		} else {
			multiply(b.Int(0), b.Int(0), k)
		}
	})
}

// groups runs body for every group of k units, or once for all where there are none: its number, its first unit and how
// many it has.
func (t *blocked) groups(k *tile.Value, body func(group, from, n *tile.Value)) {
	b, q := t.g.b, t.Group
	if q.Len == 0 {
		body(b.Int(0), b.Int(0), k)
		return
	}
	b.Range(b.Int(0), k, b.Int(q.Len), func(from *tile.Value) {
		n := b.Int(q.Len)
		if t.units%q.Len != 0 {
			n = b.Min(n, b.Sub(k, from))
		}
		body(b.Div(from, b.Int(q.Len)), from, n)
	})
}

// headerAt locates the scales of vector v of a group behind the staged columns; minima follow them.
func (t *blocked) headerAt(group *tile.Value, v int) *tile.Value {
	b, lanes := t.g.b, int64(t.g.lanes)
	behind := t.KC * int64(t.loader.vecs) / t.loader.units * t.nr()
	return b.Add(b.Mul(group, b.Int(2*t.nr())), b.Int(behind+int64(2*v)*lanes))
}

func (t *blocked) stageHeader(group *tile.Value, v int, c column) {
	if !t.grouped() {
		return
	}
	b, at := t.g.b, t.headerAt(group, v)
	scale, low := c.header(t.g)
	b.Store(t.staging, at, scale)
	if low != nil {
		b.Store(t.staging, b.Add(at, b.Int(int64(t.g.lanes))), low)
	}
}

func (t *blocked) stagedHeader(group *tile.Value, v int) (scale, low *tile.Value) {
	b, lanes, at := t.g.b, t.g.lanes, t.headerAt(group, v)
	scale = b.Load(t.staging, at, lanes)
	if t.Group.Affine() {
		low = b.Load(t.staging, b.Add(at, b.Int(int64(lanes))), lanes)
	}
	return scale, low
}

// prefetchNext asks for the share of a block of rows of a block of k of the next columns.
func (t *blocked) prefetchNext(columns []column, row *tile.Value) {
	b, n := t.g.b, t.KC*PanelWidth
	if q := t.Group; q.Len > 0 {
		n = t.KC / q.Len * q.BlockBytes()
	}
	share := func(n, of int64) int64 { return (n + of - 1) / of }
	line := lineElems(columns[0].p)
	elems := line * share(share(n, line), share(t.MC, int64(t.MR)))
	t.prefetch(columns, b.Mul(b.Div(row, b.Int(int64(t.MR))), b.Int(elems)), 0, elems, 2)
}

// clear sets C to zero.
func (t *blocked) clear() {
	b := t.g.b
	t.g.steps(int64(t.Accs), 1, func(j *tile.Value) {
		b.Range(b.Int(0), t.columns, b.Int(t.nr()), func(column *tile.Value) {
			t.g.clear(t.at(j, column), b.Mul(t.rows, b.Int(t.nr())))
		})
	})
}

// epilogue reads C of a part back and writes the results once.
func (t *blocked) epilogue(p *product) {
	b, lanes, nr := t.g.b, t.g.lanes, t.g.b.Int(t.nr())
	b.Range(b.Int(0), t.rows, b.Int(1), func(r *tile.Value) {
		b.Range(b.Int(0), t.columns, b.Int(int64(lanes)), func(i *tile.Value) {
			in := b.Rem(i, nr)
			accs := collect(t.Accs, func(j int) *tile.Value {
				return b.Load(t.at(b.Int(int64(j)), b.Sub(i, in)), b.Add(b.Mul(r, nr), in), lanes)
			})
			t.finish(p.number, accs, b.Add(t.m0, r), b.Add(t.n0, i))
		})
	})
}
