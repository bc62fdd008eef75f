package kernels

import (
	"slices"

	"pgc/ir/tile"
)

const (
	// fewRows is the maximum of rows for the schedules that stream panels: a batch of sequences decoded together.
	fewRows = 8

	// vectorTasks is about the number of tasks of one row where each computes a prologue again; fewTasks where each
	// copies all rows.
	vectorTasks = 128
	fewTasks    = 32

	// streamBytes is the minimum that a task with integers reads in one stream: it takes memory some microseconds, so
	// that the stream's start does not count.
	streamBytes = 128 << 10
)

// stream reads the panels of a product once for all rows.
type stream struct {
	*product
	side    int         // panels of each matrix that are read side by side
	unit    int64       // panels of each matrix of which a task has a number
	perTask *tile.Value // panels of each matrix that it has
	sums    *tile.Value // scratch: of few rows, on their way to the epilogue
}

// buildStreams schedules one row (GEMV) and few rows. A task streams panels, several side by side so that enough
// multiply-adds are in flight, in the same order of k as everywhere. Where the sums of all rows do not fit the
// registers, blocks of rows take turns on a block of k, which stays in the first-level cache.
func (m *mmBuild) buildStreams() {
	b, rows := m.g.b, m.M.N
	parts := make([]*stream, len(m.Parts))
	copied, staged, sums := int64(0), int64(0), int64(0)
	for i := range parts {
		s := &stream{product: m.product(i)}
		parts[i] = s
		if s.plain() {
			sums = max(sums, rows*dotsWidth)
			continue
		}
		if s.side = s.one.Side; rows > 1 {
			s.MR, s.Vecs, s.side = s.few.MR, s.few.Vecs, s.few.Side
			sums = max(sums, rows*int64(s.vectors(max(1, s.side/s.Accs))*m.g.lanes))
		}
		s.side = max(1, s.side/s.Accs)
		copied = max(copied, s.copiesLen(rows, s.units))
		if s.unpacks() {
			staged = max(staged, s.stagedLen(s.Group.Len, s.vectors(s.side)))
		}
	}
	counts := m.share(parts, copied > 0)
	m.rows(b.Int(0), b.Int(rows), rows, b.Compare(tile.EQ, b.Task(), b.Int(0)))
	c, staging, copies := m.scratch(sums), m.scratch(staged), m.scratch(copied)
	products := make([]*product, len(parts))
	for i, s := range parts {
		products[i] = s.product
	}
	sets, setCounts := m.sets(products, counts, (*Part).sameDots)
	m.each(b.Task(), setCounts, func(set int, task *tile.Value) {
		of := sets[set]
		s := parts[of[0].number]
		if s.plain() {
			m.dotsOf(of, counts[s.number:][:len(of)], task).ofFew(c, rows)
			return
		}
		s.sums, s.staging, s.copies = c, staging, copies
		s.panels(task, s.rowsOfX(b.Int(0), b.Int(s.units), b.Int(rows), s.units))
	})
}

// scratch returns scratch for n floats, nil for none.
func (m *mmBuild) scratch(n int64) *tile.Value {
	if n == 0 {
		return nil
	}
	return m.g.b.Scratch(int(n))
}

// unpacks reports whether groups are unpacked before they are multiplied, for sums of floats.
func (s *stream) unpacks() bool { return s.Group.Len > 0 && !s.grouped() }

// vectors counts the vectors of columns of n panels of all matrices.
func (s *stream) vectors(n int) int { return s.Accs * n * PanelWidth / s.g.lanes }

// share gives panels to tasks, as many as a grain says: counts are the tasks of every part.
func (m *mmBuild) share(parts []*stream, copies bool) (counts []*tile.Value) {
	b, total, minBytes := m.g.b, int64(0), int64(1)<<62
	for _, s := range parts {
		if s.plain() {
			continue
		}
		total += (s.columns()/PanelWidth + int64(s.side) - 1) / int64(s.side)
		if s.Group.Len > 0 {
			minBytes = min(minBytes, s.Group.Blocks(m.K)*s.Group.BlockBytes()*int64(s.Accs))
		}
	}
	times := int64(1) // side by side
	switch one := m.M.N == 1; {
	case m.Parts[0].Argmax > 0:
		times = m.Parts[0].Argmax / PanelWidth / int64(parts[0].side)
	case one && m.Prologue != nil:
		times = max(1, total/vectorTasks)
	case !one && (m.Prologue != nil || copies):
		times = max(1, total/fewTasks)
	case m.X.Len > 0:
		times = max(total/(2*vectorTasks), (streamBytes+minBytes-1)/minBytes, 1)
	}
	shares := make([]Share, len(parts))
	for i, s := range parts {
		if s.plain() {
			s.unit, shares[i] = 1, Share{s.Plain, dotTask, 1}
			continue
		}
		s.unit = int64(s.side)
		if m.M.N == 1 { // reads memory, and no core has its bandwidth to itself where tasks are so small
			s.unit = 1
		}
		units := (s.columns()/PanelWidth + s.unit - 1) / s.unit
		shares[i] = Share{Const(units), 1, times * int64(s.side) / s.unit}
		if s.Argmax > 0 { // whose results are memory that is planned
			s.unit = times * int64(s.side)
			shares[i] = Share{Const(s.Partials()), 1, 1}
		}
	}
	for i, grain := range m.g.grain(shares...) {
		parts[i].perTask = b.Mul(grain, b.Int(parts[i].unit))
		units := b.Int(shares[i].Size.N)
		if parts[i].plain() {
			units = b.Div(b.Add(m.g.size(shares[i].Size), b.Int(dotTask-1)), b.Int(dotTask))
		}
		counts = append(counts, m.g.over(units, grain))
	}
	return counts
}

// panels computes the columns of a task.
func (s *stream) panels(task *tile.Value, x lhs) {
	b, side, panels := s.g.b, int64(s.side), s.columns()/PanelWidth
	first := b.Mul(task, s.perTask)
	end := b.Min(b.Add(first, s.perTask), b.Int(panels))
	if s.Argmax > 0 {
		s.best = argmaxIdentity(b, s.g.lanes).carried()
		defer s.storePartial(s.number, task)
	}
	whole := end
	if panels%side != 0 || s.unit%side != 0 {
		whole = b.Add(first, b.Mul(b.Div(b.Sub(end, first), b.Int(side)), b.Int(side)))
	}
	s.overPanels(first, whole, b.Int(side), func(at *tile.Value) { s.results(at, s.side, s.addSecond(at, s.side, s.multiply(at, s.side, x))) })
	if whole != end {
		s.overPanels(whole, end, b.Int(1), func(at *tile.Value) { s.results(at, 1, s.addSecond(at, 1, s.multiply(at, 1, x))) })
	}
}

// multiply returns C for n panels from panel `at` on and all rows.
func (s *stream) multiply(at *tile.Value, n int, x lhs) []*tile.Value {
	b, vectors := s.g.b, s.vectors(n)
	s.askForSecond(at, n)
	if s.flushes {
		b.Flush(true)
		defer b.Flush(false)
	}
	c := zeros(b, int(s.M.N)*vectors, s.g.lanes)
	units := b.Int(s.units)
	count, from, size := units, int64(1), s.KC // a loop over k, or over groups of it
	switch q := s.Group; {
	case q.Len > 0:
		count, from, size = b.Int(q.Blocks(s.K)), q.Len, q.Len
	case s.apart == 0 && (s.M.N == 1 || int(s.M.N) <= s.MR && vectors <= s.Vecs): // nothing is read twice
		return s.pass(at, n, b.Int(0), b.Int(0), units, x, c)
	}
	return b.For(b.Int(0), count, b.Int(size/from), c, func(index *tile.Value, c []*tile.Value) []*tile.Value {
		k0, k := b.Mul(index, b.Int(from)), b.Int(size)
		if s.units%size != 0 {
			k = b.Min(k, b.Sub(units, k0))
		}
		return s.pass(at, n, index, k0, k, x, c)
	})
}

// pass adds k units from k0 on, which `index` finds in the panels, a block of rows and of vectors that fit the
// registers at a time.
func (s *stream) pass(at *tile.Value, n int, index, k0, k *tile.Value, x lhs, c []*tile.Value) []*tile.Value {
	b, all := s.g.b, s.vectors(n)
	c = slices.Clone(c)
	var columns []column
	for _, w := range s.weights[s.number] {
		for v := range all / s.Accs {
			columns = append(columns, s.column(w, at, index, v))
		}
	}
	var w vectors
	if s.unpacks() {
		s.stage(b.Int(0), k, columns)
		w = s.fromStage(all, b.Int(0))
	} else {
		w = s.inMemory(columns)
	}
	s.blocks(all, func(row, rows, first, vecs int) {
		mk := micro{mma: s.mma, rows: rows, vecs: vecs, chains: 1, x: x.at(b, b.Int(int64(row)), k0), whole: s.wholeBodies(),
			units: s.body, w: func(k *tile.Value, v int) func(i int) *tile.Value { return w(k, first+v) }}
		if s.M.N == 1 {
			mk.chains, mk.units = s.one.Chains, s.half()
		}
		if ahead := s.lookahead(columns[0]); ahead > 0 && row == 0 {
			to := s.following(columns, n, index, ahead)
			mk.prefetch = func(k *tile.Value) {
				s.prefetch(to[first:first+vecs], b.Mul(k, b.Int(s.stepElems())), ahead, mk.units*s.stepElems(), 1)
			}
		}
		at := func(i int) int { return (row+i/vecs)*all + first + i%vecs }
		s.accumulate(block{micro: mk, row: b.Int(int64(row)), group: index,
			header: func(v int) (scale, low *tile.Value) { return columns[first+v].header(s.g) },
			get:    func(i int) *tile.Value { return c[at(i)] },
			put:    func(i int, x *tile.Value) { c[at(i)] = x }}, k)
	})
	return c
}

// following returns where columns go on that are read `ahead` elements before they are needed: behind the last groups of
// panels that are read n side by side, a panel's neighbour lies, which is read already, and the next ones come later.
func (s *stream) following(columns []column, n int, index *tile.Value, ahead int64) []column {
	q := s.Group
	if q.Len == 0 || s.M.N > 1 || n == 1 {
		return columns
	}
	b, blocks := s.g.b, q.Blocks(s.K)
	near := min((ahead+q.BlockBytes()-1)/q.BlockBytes(), blocks)
	jump := b.Mul(b.Div(b.Add(index, b.Int(near)), b.Int(blocks)), b.Int(int64(n-1)*blocks*q.BlockBytes()))
	columns = slices.Clone(columns)
	for i := range columns {
		columns[i].p = b.PtrAdd(columns[i].p, jump)
	}
	return columns
}

// lookahead returns how many elements ahead a column is asked for.
func (s *stream) lookahead(c column) int64 {
	switch {
	case s.unpacks():
		return 0
	case s.M.N == 1:
		return s.one.Ahead * s.stepElems()
	}
	return s.few.Ahead / int64(c.p.Type.Elem.Bytes())
}

// blocks runs body for blocks of rows and of vectors whose sums fit the registers; one row has all vectors of its
// panels there.
func (s *stream) blocks(vectors int, body func(row, rows, first, vecs int)) {
	rows, vecs := int(s.M.N), s.Vecs
	if rows == 1 {
		vecs = vectors
	}
	count := (rows + s.MR - 1) / s.MR
	for i := range count {
		row, end := i*rows/count, (i+1)*rows/count
		for v := 0; v < vectors; v += vecs {
			body(row, end-row, v, min(vecs, vectors-v))
		}
	}
}

// results applies the epilogue to C of n panels from panel `at` on. One row's goes on in registers, a loop over few
// rows reads it from scratch.
func (s *stream) results(at *tile.Value, n int, c []*tile.Value) {
	b, lanes := s.g.b, s.g.lanes
	vectors := s.vectors(n) / s.Accs
	row := func(r *tile.Value, acc func(i int) *tile.Value) {
		for v := range vectors {
			accs := collect(s.Accs, func(j int) *tile.Value { return acc(j*vectors + v) })
			col := b.Add(b.Mul(at, b.Int(PanelWidth)), b.Int(int64(v*lanes)))
			if s.Argmax > 0 {
				s.accumulateArgmax(s.number, accs, col)
			} else {
				s.finish(s.number, accs, r, col)
			}
		}
	}
	if s.M.N == 1 {
		row(b.Int(0), func(i int) *tile.Value { return c[i] })
		return
	}
	for i, acc := range c {
		b.Store(s.sums, b.Int(int64(i*lanes)), acc)
	}
	b.Range(b.Int(0), b.Int(s.M.N), b.Int(1), func(r *tile.Value) {
		first := b.Mul(r, b.Int(int64(s.vectors(n)*lanes)))
		row(r, func(i int) *tile.Value { return b.Load(s.sums, b.Add(first, b.Int(int64(i*lanes))), lanes) })
	})
}
