package kernels

import "pgc/ir/tile"

// vectorTasks is about how many tasks a matmul with a prologue has, each of which computes the prologue again.
const vectorTasks = 128

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
	if m.Prologue != nil {
		perTask = max(1, total/vectorTasks)
		total = 0
		for i, n := range counts {
			counts[i] = (n + perTask - 1) / perTask
			total += counts[i]
		}
	}
	m.g.out.Tasks = []Factor{{Const(total), 1}}
	m.rows(b.Int(0), b.Int(1), 1, b.Compare(tile.EQ, b.Task(), b.Int(0)))
	m.each(b.Task(), counts, func(part int, task *tile.Value) {
		side := int64(m.sideBySide(part))
		panels := m.Parts[part].columns() / PanelWidth
		first := b.Mul(task, b.Int(perTask*side))
		end := b.Min(b.Add(first, b.Int(perTask*side)), b.Int(panels))
		if panels%side == 0 {
			b.Range(first, end, b.Int(side), func(at *tile.Value) { m.stream(part, at, int(side)) })
			return
		}
		whole := b.Add(first, b.Mul(b.Div(b.Sub(end, first), b.Int(side)), b.Int(side)))
		b.Range(first, whole, b.Int(side), func(at *tile.Value) { m.stream(part, at, int(side)) })
		b.Range(whole, end, b.Int(1), func(at *tile.Value) { m.stream(part, at, 1) })
	})
}

// sideBySide is how many panels of each matrix of a part are read together.
func (m *mmBuild) sideBySide(part int) int {
	return max(1, 8/(PanelWidth/m.g.lanes)/m.Parts[part].Accs)
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
	mk := micro{rows: 1, lanes: lanes, aK: 1, bK: PanelWidth}
	for _, w := range m.weights[part] {
		mk.b = append(mk.b, m.sources(b.PtrAdd(w, b.Mul(at, b.Int(m.K*PanelWidth))), vecs, lanes)...)
	}
	accs := mk.run(b, m.x, b.Int(m.K), zeros(b, len(mk.b), lanes))
	for v := range vecs {
		one := make([]*tile.Value, m.Parts[part].Accs)
		for j := range one {
			one[j] = accs[j*vecs+v]
		}
		m.finish(part, one, b.Int(0), b.Add(b.Mul(at, b.Int(PanelWidth)), b.Int(int64(v*lanes))))
	}
}
