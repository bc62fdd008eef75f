package kernels

import "pgc/ir/tile"

// vectorTasks is about how many tasks a matmul with a prologue, which each of them computes again, has.
const vectorTasks = 128

// streamBytes is the least that a task with integers reads in one stream, some microseconds of what memory gives one core, so
// that finding the stream's beginning does not count.
const streamBytes = 128 << 10

// streamAhead is how many steps of k before they are needed the lines of a float panel are asked for: the processor itself does
// not look beyond the page of 4 KiB that a stream is in.
const streamAhead = 32

// panelBytes is the least size of a panel of integers.
func (m *mmBuild) panelBytes() int64 {
	least := int64(1) << 62
	for _, p := range m.Parts {
		least = min(least, p.Group.Blocks(m.K)*p.Group.BlockBytes()*int64(p.Accs))
	}
	return least
}

// panelsPerTask is how many of `total` panels of integers a task streams.
func (m *mmBuild) panelsPerTask(total int64) int64 {
	return max(total/(2*vectorTasks), (streamBytes+m.panelBytes()-1)/m.panelBytes(), 1)
}

// buildVector is the schedule for one row: it streams each panel once, several side by side so that enough
// multiply-adds are in flight, in the same order of k as the blocked schedule.
func (m *mmBuild) buildVector() {
	b := m.g.b
	counts, total := make([]int64, len(m.Parts)), int64(0)
	for i := range m.Parts {
		counts[i] = m.streams(i)
		total += counts[i]
	}
	perTask := int64(1)
	if n := m.Parts[0].Argmax; n > 0 {
		perTask = n / PanelWidth / int64(m.sideBySide(0))
	} else if m.Prologue != nil {
		perTask = max(1, total/vectorTasks)
	} else if m.X.Bits > 0 {
		perTask = m.panelsPerTask(total)
	}
	if perTask > 1 {
		total = 0
		for i, n := range counts {
			counts[i] = (n + perTask - 1) / perTask
			total += counts[i]
		}
	}
	m.g.out.Tasks = []Factor{{Const(total), 1}}
	m.rows(b.Int(0), b.Int(1), 1, b.Compare(tile.EQ, b.Task(), b.Int(0)))
	var scratch *tile.Value // integers of x as i16, or a group of weights as floats
	if need := m.vectorScratch(); need > 0 {
		scratch = b.Scratch(int(need))
	}
	if m.Pairs {
		m.x, _ = m.bfloats.block(m, scratch, b.Int(0), b.Int(m.steps()), b.Int(1), 2*m.steps())
	}
	m.each(b.Task(), counts, func(part int, task *tile.Value) {
		side := int64(m.sideBySide(part))
		panels := m.Parts[part].columns() / PanelWidth
		first := b.Mul(task, b.Int(perTask*side))
		end := b.Min(b.Add(first, b.Int(perTask*side)), b.Int(panels))
		stream := func(at *tile.Value, n int) { m.stream(part, at, n) }
		switch q := m.Parts[part].Group; {
		case q.Bits > 0 && m.X.Bits > 0:
			x := m.quantRows(q, m.x)
			if x.way == pairs {
				x.widened(scratch, b.Int(0), b.Int(1), b.Int(roundUp(m.K, chunk)), roundUp(m.K, chunk))
			}
			stream = func(at *tile.Value, n int) { m.streamInt(part, at, n, x) }
		case q.Bits > 0:
			stream = func(at *tile.Value, n int) { m.streamWide(part, at, n, scratch) }
		}
		streams := func(first, end *tile.Value, n int64) {
			m.keeping(part, first, end, b.Int(n), func(at *tile.Value) { stream(at, int(n)) })
		}
		if m.Parts[part].Argmax > 0 {
			m.best = noneGreatest(b, m.g.lanes)
			defer m.kept(part, task)
		}
		whole := end
		if panels%side != 0 {
			whole = b.Add(first, b.Mul(b.Div(b.Sub(end, first), b.Int(side)), b.Int(side)))
		}
		streams(first, whole, side)
		if whole != end {
			streams(whole, end, 1)
		}
	})
}

// sideBySide is how many panels of each matrix of a part are read together: enough for multiply-adds not to wait for the ones
// before. Integers have other sums to do and read one stream, which memory likes best.
func (m *mmBuild) sideBySide(part int) int {
	if m.X.Bits > 0 {
		return 1
	}
	vectors := 64 / m.g.lanes
	if m.Parts[part].Group.Bits > 0 { // unpacking wants registers, too
		vectors = 4
	}
	return max(1, vectors/(PanelWidth/m.g.lanes)/m.Parts[part].Accs)
}

// streams is how many groups of panels a part has.
func (m *mmBuild) streams(part int) int64 {
	side := int64(m.sideBySide(part))
	return (m.Parts[part].columns()/PanelWidth + side - 1) / side
}

// stream computes the columns of n panels from panel `at` on.
func (m *mmBuild) stream(part int, at *tile.Value, n int) {
	b, lanes := m.g.b, m.g.lanes
	vecs := n * PanelWidth / lanes
	mk := micro{rows: 1, lanes: lanes, aK: 1, bK: PanelWidth, ahead: streamAhead}
	if m.Pairs {
		mk.way = m.bfloats.stream()
	}
	for _, w := range m.weights[part] {
		mk.b = append(mk.b, m.sources(b.PtrAdd(w, b.Mul(at, b.Int(m.steps()*PanelWidth))), vecs, lanes)...)
	}
	m.finishPanels(part, at, mk.run(b, m.x, b.Int(m.steps()), zeros(b, len(mk.b), lanes)), vecs)
}

// finishPanels applies the epilogue to the accumulators of panels from `at` on, vecs of each matrix.
func (m *mmBuild) finishPanels(part int, at *tile.Value, accs []*tile.Value, vecs int) {
	b, lanes := m.g.b, m.g.lanes
	for v := range vecs {
		one := make([]*tile.Value, m.Parts[part].Accs)
		for j := range one {
			one[j] = accs[j*vecs+v]
		}
		col := b.Add(b.Mul(at, b.Int(PanelWidth)), b.Int(int64(v*lanes)))
		if m.Parts[part].Argmax > 0 {
			m.keep(part, one, col)
		} else {
			m.finish(part, one, b.Int(0), col)
		}
	}
}

// vectorScratch is how many floats of scratch the schedule for one row needs for integer weights.
func (m *mmBuild) vectorScratch() int64 {
	most := int64(0)
	for i, p := range m.Parts {
		switch {
		case m.Pairs:
			_, x := m.bfloats.scratch(mmSchedule{kc: m.steps(), mb: 1}, 0)
			most = max(most, x)
		case p.Group.Bits > 0 && m.X.Bits > 0 && m.g.dots(p.Group).way == pairs:
			most = max(most, roundUp(m.K, chunk)/2)
		case p.Group.Bits > 0 && m.X.Bits == 0:
			most = max(most, p.Group.Len*PanelWidth*int64(p.Accs*m.sideBySide(i)))
		}
	}
	return most
}

// streamWide is stream for integer weights and float x: every group becomes floats first, as in the blocked schedule.
func (m *mmBuild) streamWide(part int, at *tile.Value, n int, wide *tile.Value) {
	p, b, lanes := &m.Parts[part], m.g.b, m.g.lanes
	q, perPanel := p.Group, PanelWidth/lanes
	vecs := n * perPanel
	row := int64(p.Accs * n * PanelWidth)
	accs := b.For(b.Int(0), b.Int(q.Blocks(m.K)), b.Int(1), zeros(b, p.Accs*vecs, lanes), func(group *tile.Value, accs []*tile.Value) []*tile.Value {
		k0 := b.Mul(group, b.Int(q.Len))
		steps := b.Int(q.Len)
		if m.K%q.Len != 0 {
			steps = b.Min(steps, b.Sub(b.Int(m.K), k0))
		}
		mk := micro{rows: 1, lanes: lanes, aK: 1, bK: row}
		for j, w := range m.weights[part] {
			for i := range n {
				panel := b.Add(at, b.Int(int64(i)))
				block := b.PtrAdd(w, b.Mul(b.Add(b.Mul(panel, b.Int(q.Blocks(m.K))), group), b.Int(q.BlockBytes())))
				q.widen(m.g, block, steps, b.PtrAdd(wide, b.Int(int64((j*n+i)*PanelWidth))), row)
			}
		}
		for i := range accs {
			mk.b = append(mk.b, source{wide, int64(i * lanes)})
		}
		return mk.run(b, b.PtrAdd(m.x, k0), steps, accs)
	})
	m.finishPanels(part, at, accs, vecs)
}
