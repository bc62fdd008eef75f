package kernels

import (
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// PanelWidth is the number of matrix rows (output columns) that a packed panel interleaves; a packed matrix is padded
// with zero rows to a multiple of PanelPad. Element (n, k) of an N×K matrix lies at (n/16)·K·16 + k·16 + n%16.
const (
	PanelWidth = 16
	PanelPad   = 32
)

// PackedLen returns the number of elements of a packed N×K matrix.
func PackedLen(n, k int64) int64 { return (n + PanelPad - 1) / PanelPad * PanelPad * k }

// Matmul is out[m,n] = Epilogue(acc_0, …, extra…) with acc_j = Σ_k x[m,k]·w_j[n,k]. Operand 0 is x, then come the
// packed weights, then the extra operands over the domain (M, N). The epilogue's arguments are the accumulators and
// then the extra operands.
type Matmul struct {
	M        Size
	N, K     int64
	Elem     tile.Elem // of the weights
	Accs     int
	XStride  int64 // elements between rows of x
	Extra    []Operand
	Epilogue *scalar.Expr
	Out      Out
}

// Kind is "matmul".
func (s *Matmul) Kind() string { return "matmul" }

// mmSchedule is the blocking of a matmul; the names are those of BLIS.
type mmSchedule struct {
	mr, vecs int   // microkernel: rows and vectors
	kc       int64 // steps of k for which B's panel is kept in the first-level cache
	mb       int64 // rows of a task
	nb       int64 // columns of a task, over all accumulators
}

// schedule: the microkernel fills the register file (6×16 of 16 ymm, 12×32 of 32 zmm); kc keeps kc×nr floats of B in
// 16–32 KiB of L1; mb×kc floats of A stay in L2 while the columns of a task pass by.
func (g *gen) schedule(s *Matmul) mmSchedule {
	d := mmSchedule{mr: 6, vecs: 2, kc: 256, mb: 192, nb: 128}
	if g.lanes == 16 {
		d.mr = 12
	}
	nr := int64(d.vecs * g.lanes)
	d.nb /= int64(s.Accs)
	// At least eight tasks where the matrix is small, so that threads share it.
	for d.nb > nr && (s.N+d.nb-1)/d.nb < 8 {
		d.nb /= 2
	}
	d.nb = max(d.nb, nr)
	if s.M.N < d.mb {
		d.mb = (s.M.N + int64(d.mr) - 1) / int64(d.mr) * int64(d.mr)
	}
	return d
}

func (s *Matmul) build(g *gen) {
	if s.M.Sym == "" && s.M.N == 1 {
		s.buildVector(g)
		return
	}
	b, d, lanes := g.b, g.schedule(s), g.lanes
	nr := int64(d.vecs * lanes)
	x, ws, extra, out := s.params(g)
	m := g.size(s.M)
	groups := d.nb / nr
	c := b.Scratch(int(int64(s.Accs) * groups * d.mb * nr))
	var deq *tile.Value
	if s.Elem != tile.F32 {
		deq = b.Scratch(int(d.kc * nr))
	}
	blocks := (s.N + d.nb - 1) / d.nb
	g.out.Tasks = []Factor{{s.M, d.mb}, {Const(s.N), d.nb}}
	task := b.Task()
	m0 := b.Mul(b.Div(task, b.Int(blocks)), b.Int(d.mb))
	n0 := b.Mul(b.Rem(task, b.Int(blocks)), b.Int(d.nb))
	rows := b.Min(b.Int(d.mb), b.Sub(m, m0))
	padded := (s.N + nr - 1) / nr * nr
	cols := b.Min(b.Int(d.nb), b.Sub(b.Int(padded), n0))
	used := b.Div(cols, b.Int(nr))
	x = b.PtrAdd(x, b.Mul(m0, b.Int(s.XStride)))

	// C starts at zero.
	for j := int64(0); j < int64(s.Accs); j++ {
		b.Range(b.Int(0), used, b.Int(1), func(grp *tile.Value) {
			base := b.Mul(b.Add(b.Int(j*groups), grp), b.Int(d.mb*nr))
			b.Range(b.Int(0), b.Mul(rows, b.Int(nr)), b.Int(int64(lanes)), func(i *tile.Value) {
				b.Store(c, b.Add(base, i), b.Float(0, lanes))
			})
		})
	}
	kn := d.kc
	b.Range(b.Int(0), b.Int(s.K), b.Int(kn), func(k0 *tile.Value) {
		steps := b.Min(b.Int(kn), b.Sub(b.Int(s.K), k0))
		if s.K%kn == 0 {
			steps = b.Int(kn)
		}
		b.Range(b.Int(0), used, b.Int(1), func(grp *tile.Value) {
			for j := range ws {
				s.panel(g, d, panel{x: b.PtrAdd(x, k0), w: ws[j], deq: deq, k0: k0, steps: steps,
					n: b.Add(n0, b.Mul(grp, b.Int(nr))), rows: rows,
					c: b.PtrAdd(c, b.Mul(b.Add(b.Int(int64(j)*groups), grp), b.Int(d.mb*nr)))})
			}
		})
	})
	// The epilogue reads the accumulators back and writes the result once.
	b.Range(b.Int(0), rows, b.Int(1), func(r *tile.Value) {
		g.vectors(b.Min(cols, b.Sub(b.Int(s.N), n0)), lanes, func(i, count *tile.Value) {
			grp, in := b.Div(i, b.Int(nr)), b.Rem(i, b.Int(nr))
			accs := make([]*tile.Value, s.Accs)
			for j := range accs {
				at := b.Add(b.Mul(b.Add(b.Int(int64(j)*groups), grp), b.Int(d.mb*nr)), b.Add(b.Mul(r, b.Int(nr)), in))
				accs[j] = b.Load(c, at, lanes)
			}
			s.finish(g, accs, extra, out, b.Add(m0, r), b.Add(n0, i), count)
		})
	})
}

// panel is the work of one column group over one block of k.
type panel struct {
	x, w, deq, c       *tile.Value
	k0, steps, n, rows *tile.Value
}

func (s *Matmul) panel(g *gen, d mmSchedule, p panel) {
	b, lanes := g.b, g.lanes
	nr := int64(d.vecs * lanes)
	// The first column's place in the packed matrix, and where each vector of a row of B lies from there.
	w := b.PtrAdd(p.w, b.Add(b.Mul(p.n, b.Int(s.K)), b.Mul(p.k0, b.Int(PanelWidth))))
	m := micro{lanes: lanes, aRow: s.XStride, aK: 1, b: s.sources(w, d.vecs, lanes), bK: PanelWidth}
	if s.Elem != tile.F32 {
		// Widen the panel once; all rows of the task use it.
		b.Range(b.Int(0), p.steps, b.Int(1), func(k *tile.Value) {
			for v, src := range m.b {
				x := b.Load(src.p, b.Add(b.Mul(k, b.Int(PanelWidth)), b.Int(src.off)), lanes)
				b.Store(p.deq, b.Add(b.Mul(k, b.Int(nr)), b.Int(int64(v*lanes))), x)
			}
		})
		m.bK = nr
		for v := range m.b {
			m.b[v] = source{p.deq, int64(v * lanes)}
		}
	}
	rowBlocks(b, p.rows, d.mr, func(first *tile.Value, n int) {
		mk := m
		mk.rows = n
		c := b.PtrAdd(p.c, b.Mul(first, b.Int(nr)))
		init := make([]*tile.Value, n*d.vecs)
		for i := range init {
			init[i] = b.Load(c, b.Int(int64(i*lanes)), lanes)
		}
		for i, v := range mk.run(b, b.PtrAdd(p.x, b.Mul(first, b.Int(s.XStride))), p.steps, init) {
			b.Store(c, b.Int(int64(i*lanes)), v)
		}
	})
}

// sources lists the vectors of a row of B from the packed columns at p on.
func (s *Matmul) sources(p *tile.Value, vecs, lanes int) []source {
	out := make([]source, vecs)
	for v := range out {
		col := int64(v * lanes)
		out[v] = source{p, col/PanelWidth*s.K*PanelWidth + col%PanelWidth}
	}
	return out
}

// params declares the parameters: x, the weights, the extra operands, the result.
func (s *Matmul) params(g *gen) (x *tile.Value, ws []*tile.Value, extra []*tile.Value, out *tile.Value) {
	x = g.in(0, tile.F32)
	for j := 0; j < s.Accs; j++ {
		ws = append(ws, g.in(1+j, s.Elem))
	}
	for i, o := range s.Extra {
		extra = append(extra, g.operandPtr(1+s.Accs+i, o))
	}
	return x, ws, extra, g.result(memory(s.Out.Elem))
}

// finish applies the epilogue to one fragment of a row and stores it.
func (s *Matmul) finish(g *gen, accs, extra []*tile.Value, out, m, n, count *tile.Value) {
	args := append([]*tile.Value{}, accs...)
	for i, o := range s.Extra {
		args = append(args, g.fragment(o, extra[i], []*tile.Value{m, n}, g.lanes, count))
	}
	v := g.stored(s.Out.Elem, g.b.Expr(scalar.Lower(s.Epilogue), args, g.lanes))
	g.store(out, g.b.Add(g.at([]*tile.Value{m, n}, s.Out.Strides), g.b.Int(s.Out.Offset)), v, count)
}

// buildVector is the schedule for one row: it streams each panel once, several side by side so that enough
// multiply-adds are in flight, in the same order of k as the blocked schedule.
func (s *Matmul) buildVector(g *gen) {
	b, lanes := g.b, g.lanes
	x, ws, extra, out := s.params(g)
	perPanel := PanelWidth / lanes
	panels := max(1, 8/perPanel/s.Accs)
	total := (s.N + PanelWidth - 1) / PanelWidth
	g.out.Tasks = []Factor{{Const(total), int64(panels)}}
	first := b.Mul(b.Task(), b.Int(int64(panels)))
	run := func(at *tile.Value, n int) {
		vecs := n * perPanel
		m := micro{rows: 1, lanes: lanes, aK: 1, bK: PanelWidth}
		for _, w := range ws {
			m.b = append(m.b, s.sources(b.PtrAdd(w, b.Mul(at, b.Int(s.K*PanelWidth))), vecs, lanes)...)
		}
		accs := m.run(b, x, b.Int(s.K), zeros(b, len(m.b), lanes))
		for v := 0; v < vecs; v++ {
			one := make([]*tile.Value, s.Accs)
			for j := range one {
				one[j] = accs[j*vecs+v]
			}
			col := b.Add(b.Mul(at, b.Int(PanelWidth)), b.Int(int64(v*lanes)))
			whole := b.Compare(tile.LE, b.Add(col, b.Int(int64(lanes))), b.Int(s.N))
			b.If(whole, func() []*tile.Value {
				s.finish(g, one, extra, out, b.Int(0), col, nil)
				return nil
			}, func() []*tile.Value {
				if s.N%int64(lanes) != 0 {
					b.When(b.Compare(tile.LT, col, b.Int(s.N)), func() {
						s.finish(g, one, extra, out, b.Int(0), col, b.Sub(b.Int(s.N), col))
					})
				}
				return nil
			})
		}
	}
	if total%int64(panels) == 0 {
		run(first, panels)
		return
	}
	b.If(b.Compare(tile.LE, b.Add(first, b.Int(int64(panels))), b.Int(total)), func() []*tile.Value {
		run(first, panels)
		return nil
	}, func() []*tile.Value {
		b.Range(first, b.Int(total), b.Int(1), func(p *tile.Value) { run(p, 1) })
		return nil
	})
}
