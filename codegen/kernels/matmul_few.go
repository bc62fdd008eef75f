package kernels

import "pgc/ir/tile"

// fewRows is the most rows of the schedule for few rows, a constant number of them: a batch of sequences that are decoded together.
const fewRows = 8

// fewTasks is about how many tasks there are at least where each of them copies all rows of x first.
const fewTasks = 32

// fewAhead is how many bytes before they are needed the lines of a panel are asked for. Between two lines of one stream there is much
// work, so that the processor alone, which looks ahead by instructions and not beyond a page, waits for each: measured with
// BenchmarkMatmul on Zen 5, 8 rows of int4 run at 14 GB/s without, at 20 with 2 KiB, and at 27, which the products take, from 8 KiB on.
const fewAhead = 8 << 10

// few reports whether the rows of a matmul are few.
func (s *Matmul) few() bool { return s.M.Sym == "" && s.M.N > 1 && s.M.N <= fewRows }

// few is one part of a matmul of few rows, and the scratch of a task.
type few struct {
	*mmBuild
	part    int
	d       mmSchedule
	side    int         // panels of each matrix that are read side by side
	x       quantRows   // of integers
	wide, c *tile.Value // a group of weights as floats; sums on their way to the epilogue
}

// buildFew is the schedule for few rows: each panel is streamed once for all of them, in the same order of k as everywhere. Where the
// sums of all rows do not fit the registers, blocks of rows take turns on a block of k, which stays in the first-level cache.
func (m *mmBuild) buildFew() {
	b := m.g.b
	rows := m.M.N
	parts := make([]*few, len(m.Parts))
	counts, each := make([]int64, len(m.Parts)), make([]int64, len(m.Parts))
	total, copied, wide, sums := int64(0), int64(0), int64(0), int64(0)
	for i := range m.Parts {
		p := &m.Parts[i]
		f := &few{mmBuild: m, part: i, d: m.g.schedule(m.Matmul, p), side: 1}
		if m.X.Bits == 0 {
			f.side = max(1, f.d.vecs*m.g.lanes/PanelWidth/p.Accs)
		}
		parts[i] = f
		switch {
		case m.Pairs:
			_, x := m.bfloats.scratch(mmSchedule{kc: m.steps(), mb: rows}, 0)
			copied = max(copied, x)
		case p.Group.Bits > 0 && m.X.Bits > 0:
			if m.g.dots(p.Group).way == pairs {
				copied = max(copied, rows*roundUp(m.K, chunk)/2)
			}
		case p.Group.Bits > 0:
			wide = max(wide, p.Group.Len*PanelWidth*int64(p.Accs*f.side))
		}
		sums = max(sums, rows*int64(f.vectors(f.side)*m.g.lanes))
		total += (p.columns() / PanelWidth) / int64(f.side)
	}
	for i, f := range parts {
		panels := m.Parts[i].columns() / PanelWidth
		each[i] = int64(f.side)
		switch {
		case m.Prologue != nil || copied > 0:
			each[i] *= max(1, total/fewTasks)
		case m.X.Bits > 0:
			each[i] *= m.panelsPerTask(total)
		}
		counts[i] = (panels + each[i] - 1) / each[i]
	}
	tasks := int64(0)
	for _, n := range counts {
		tasks += n
	}
	m.g.out.Tasks = []Factor{{Const(tasks), 1}}
	m.rows(b.Int(0), b.Int(rows), rows, b.Compare(tile.EQ, b.Task(), b.Int(0)))
	scratch := func(n int64) *tile.Value {
		if n == 0 {
			return nil
		}
		return b.Scratch(int(n))
	}
	c, floats, copies := scratch(sums), scratch(wide), scratch(copied)
	if m.Pairs {
		m.x, m.xStride = m.bfloats.block(m, copies, b.Int(0), b.Int(m.steps()), b.Int(rows), 2*m.steps())
	}
	m.each(b.Task(), counts, func(part int, task *tile.Value) {
		f := parts[part]
		f.c, f.wide = c, floats
		if q := m.Parts[part].Group; q.Bits > 0 && m.X.Bits > 0 {
			if f.x = m.quantRows(q, m.x); f.x.way == pairs {
				f.x.widened(copies, b.Int(0), b.Int(rows), b.Int(roundUp(m.K, chunk)), roundUp(m.K, chunk))
			}
		}
		side := int64(f.side)
		panels := m.Parts[part].columns() / PanelWidth
		first := b.Mul(task, b.Int(each[part]))
		end := b.Min(b.Add(first, b.Int(each[part])), b.Int(panels))
		whole := end
		if panels%side != 0 {
			whole = b.Add(first, b.Mul(b.Div(b.Sub(end, first), b.Int(side)), b.Int(side)))
		}
		b.Range(first, whole, b.Int(side), func(at *tile.Value) { f.stream(at, f.side) })
		if whole != end {
			b.Range(whole, end, b.Int(1), func(at *tile.Value) { f.stream(at, 1) })
		}
	})
}

// vectors is how many vectors of columns n panels of all matrices of the part have.
func (f *few) vectors(n int) int { return f.Parts[f.part].Accs * n * PanelWidth / f.g.lanes }

// stream computes the columns of n panels from panel `at` on, for all rows.
func (f *few) stream(at *tile.Value, n int) {
	var accs []*tile.Value
	switch q := f.Parts[f.part].Group; {
	case q.Bits > 0 && f.X.Bits > 0:
		accs = f.integers(at, n)
	case q.Bits > 0:
		accs = f.widened(at, n)
	default:
		accs = f.floats(at, n)
	}
	f.results(at, n, accs)
}

// blocks runs body for blocks of rows and of vectors whose sums fit the registers.
func (f *few) blocks(vectors int, body func(row, rows, first, vecs int)) {
	all := int(f.M.N)
	count := (all + f.d.mr - 1) / f.d.mr
	for i := range count {
		row, end := i*all/count, (i+1)*all/count
		for v := 0; v < vectors; v += f.d.vecs {
			body(row, end-row, v, min(f.d.vecs, vectors-v))
		}
	}
}

// single reports whether the sums of all rows fit the registers, so that nothing is read twice.
func (f *few) single(vectors int) bool { return int(f.M.N) <= f.d.mr && vectors <= f.d.vecs }

// block does k steps of some rows of x, from p on, and some vectors, of all that accs hold.
func (f *few) block(mk micro, p, k *tile.Value, accs []*tile.Value, row, rows, first, vecs int) {
	b, all := f.g.b, len(mk.b)
	mk.rows, mk.b = rows, mk.b[first:first+vecs]
	var init []*tile.Value
	for r := range rows {
		init = append(init, accs[(row+r)*all+first:][:vecs]...)
	}
	out := mk.run(b, b.PtrAdd(p, b.Int(int64(row)*mk.aRow)), k, init)
	for r := range rows {
		copy(accs[(row+r)*all+first:], out[r*vecs:][:vecs])
	}
}

// floats are the sums of products with weights that are floats.
func (f *few) floats(at *tile.Value, n int) []*tile.Value {
	b, lanes, steps := f.g.b, f.g.lanes, f.steps()
	mk := micro{lanes: lanes, aRow: f.xStride, aK: 1, bK: PanelWidth}
	ahead := fewAhead / PanelWidth / int64(f.weights[f.part][0].Type.Elem.Bytes())
	pace := int64(1) // elements of a row of x in a step
	if f.Pairs {
		mk.way, pace = f.bfloats.stream(), 2
	}
	vectors := f.vectors(n)
	sources := func(k0 *tile.Value) (out []source) {
		for _, w := range f.weights[f.part] {
			from := b.PtrAdd(w, b.Mul(b.Add(b.Mul(at, b.Int(steps)), k0), b.Int(PanelWidth)))
			out = append(out, f.sources(from, n*PanelWidth/lanes, lanes)...)
		}
		return out
	}
	accs := zeros(b, int(f.M.N)*vectors, lanes)
	if f.single(vectors) {
		mk.b, mk.ahead = sources(b.Int(0)), ahead
		f.block(mk, f.mmBuild.x, b.Int(steps), accs, 0, int(f.M.N), 0, vectors)
		return accs
	}
	kc := f.d.kc
	return b.For(b.Int(0), b.Int(steps), b.Int(kc), accs, func(k0 *tile.Value, accs []*tile.Value) []*tile.Value {
		accs = append([]*tile.Value{}, accs...)
		k := b.Int(kc)
		if steps%kc != 0 {
			k = b.Min(k, b.Sub(b.Int(steps), k0))
		}
		mk.b = sources(k0)
		f.blocks(vectors, func(row, rows, first, vecs int) {
			if mk.ahead = 0; row == 0 {
				mk.ahead = ahead
			}
			f.block(mk, b.PtrAdd(f.mmBuild.x, b.Mul(k0, b.Int(pace))), k, accs, row, rows, first, vecs)
		})
		return accs
	})
}

// widened are the sums of products of floats with weights that are integers: every group becomes floats first.
func (f *few) widened(at *tile.Value, n int) []*tile.Value {
	p, b, lanes := &f.Parts[f.part], f.g.b, f.g.lanes
	q, vectors := p.Group, f.vectors(n)
	row := int64(p.Accs * n * PanelWidth)
	return b.For(b.Int(0), b.Int(q.Blocks(f.K)), b.Int(1), zeros(b, int(f.M.N)*vectors, lanes), func(group *tile.Value, accs []*tile.Value) []*tile.Value {
		accs = append([]*tile.Value{}, accs...)
		k0, steps := b.Mul(group, b.Int(q.Len)), b.Int(q.Len)
		if f.K%q.Len != 0 {
			steps = b.Min(steps, b.Sub(b.Int(f.K), k0))
		}
		mk := micro{lanes: lanes, aRow: f.xStride, aK: 1, bK: row}
		for j, w := range f.weights[f.part] {
			for i := range n {
				block, _ := f.weightsAt(q, w, b.Add(at, b.Int(int64(i))), group)(0)
				q.widen(f.g, block, steps, b.PtrAdd(f.wide, b.Int(int64((j*n+i)*PanelWidth))), row)
			}
		}
		for v := range vectors {
			mk.b = append(mk.b, source{f.wide, int64(v * lanes)})
		}
		f.blocks(vectors, func(row, rows, first, vecs int) {
			f.block(mk, b.PtrAdd(f.mmBuild.x, k0), steps, accs, row, rows, first, vecs)
		})
		return accs
	})
}

// integers are the sums of products of integers, group by group.
func (f *few) integers(at *tile.Value, n int) []*tile.Value {
	p, b, lanes, x := &f.Parts[f.part], f.g.b, f.g.lanes, &f.x
	q, each, all := p.Group, n*PanelWidth/f.g.lanes, f.vectors(n)
	return b.For(b.Int(0), b.Int(q.Blocks(f.K)), b.Int(1), zeros(b, int(f.M.N)*all, lanes), func(group *tile.Value, accs []*tile.Value) []*tile.Value {
		accs = append([]*tile.Value{}, accs...)
		k0, steps := b.Mul(group, b.Int(q.Len)), b.Int(q.Len)
		if f.K%q.Len != 0 {
			steps = b.Min(steps, b.Sub(b.Int(roundUp(f.K, chunk)), k0))
		}
		block := func(v int) (*tile.Value, int) { return f.weightsAt(q, f.weights[f.part][v/each], at, group)(v % each) }
		f.blocks(all, func(row, rows, first, vecs int) {
			var init []*tile.Value
			for r := range rows {
				init = append(init, x.starts(b.Int(int64(row+r)), group, vecs)...)
			}
			sums := b.For(b.Int(0), steps, b.Int(chunk), init, func(k *tile.Value, sums []*tile.Value) []*tile.Value {
				w := make([]func(int) *tile.Value, vecs)
				for v := range w {
					from, in := block(first + v)
					if row == 0 && in == 0 {
						size := PanelWidth * int64(q.Bits) / 8
						for at := int64(0); at < chunk*size; at += 64 {
							b.Prefetch(from, b.Add(b.Mul(k, b.Int(size)), b.Int(at+fewAhead)), 1)
						}
					}
					w[v] = once(x.unpacked(from, k, in))
				}
				return x.add(sums, rows, vecs, func(v, i int) *tile.Value { return w[v](i) }, func(r, i int) *tile.Value {
					return x.at(b.Int(int64(row+r)), b.Add(b.Add(k0, k), b.Int(int64(4*i))))
				})
			})
			scale, least := make([]*tile.Value, vecs), make([]*tile.Value, vecs)
			for v := range vecs {
				from, in := block(first + v)
				scale[v], least[v] = q.header(f.g, from, in)
			}
			for r := range rows {
				sx, xs := x.factors(b.Int(int64(row+r)), group)
				for v := range vecs {
					sum := x.total(sums[(r*vecs+v)*x.halves():][:x.halves()])
					acc := &accs[(row+r)*all+first+v]
					*acc = x.scaled(*acc, sum, sx, xs, scale[v], least[v])
				}
			}
		})
		return accs
	})
}

// results applies the epilogue to the sums of n panels from `at` on, row by row.
func (f *few) results(at *tile.Value, n int, accs []*tile.Value) {
	b, lanes := f.g.b, f.g.lanes
	all := f.vectors(n)
	for i, acc := range accs {
		b.Store(f.c, b.Int(int64(i*lanes)), acc)
	}
	each := n * PanelWidth / lanes // vectors of a matrix
	b.Range(b.Int(0), b.Int(f.M.N), b.Int(1), func(r *tile.Value) {
		row := b.Mul(r, b.Int(int64(all*lanes)))
		for v := range each {
			one := make([]*tile.Value, f.Parts[f.part].Accs)
			for j := range one {
				one[j] = b.Load(f.c, b.Add(row, b.Int(int64((j*each+v)*lanes))), lanes)
			}
			f.finish(f.part, one, r, b.Add(b.Mul(at, b.Int(PanelWidth)), b.Int(int64(v*lanes))))
		}
	})
}
