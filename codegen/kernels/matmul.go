package kernels

import (
	"errors"
	"slices"

	"pgc/ir/scalar"
	"pgc/ir/tile"
)

func roundUp(n, step int64) int64 { return (n + step - 1) / step * step }

// Matmul is a set of parts that multiply the same x [M,K]. Operands are x, or those of the prologue, and then the weights, packed unless
// they are plain, the extra operands and the rows and matrices of second products of each part; results are the parts' and then the
// prologue's.
type Matmul struct {
	M        Size
	K        int64
	XStride  int64     // elements between rows of x
	Aligned  bool      // rows of x in memory begin at multiples of 16 bytes
	X        Group     // of x, if its rows are quantized; these are dense, as quant.RowLayout has them
	BF16     bool      // x is bfloat16, and so are weights that are not in groups, which lie in VNNI2 panels
	Prologue *Prologue // computes x; nil when x is in memory
	Parts    []Part
}

// Part is out_i[m,b,n] = Exprs_i(acc_0, …, extra…) with acc_j = Σ_k x[m,k]·w_j[b,n,k].
type Part struct {
	Blocks, N int64
	Elem      tile.Elem // of the weights; I8 for groups
	Group     Group     // of the weights, if they are quantized
	Plain     Size      // not zero: the matrix lies row by row, one of floats and of one block, and has so many rows, N at most
	Accs      int
	Extra     []Operand // over (M, Blocks, N)
	Second    []Second  // products that accumulators go on with
	Exprs     []*scalar.Expr
	Outs      []Out // pieces of the part's result, over (M, Blocks, N)
	Scatter   Scatter
	// Argmax, if not 0, reduces every so many columns to the greatest value and its index: the result is the values of
	// all such pairs (f32) and then their indices (i32). It takes one row, one part, one block and one expression.
	Argmax int64
}

// Second is a product acc += t·bᵀ of float32 rows t [M,K] and a matrix b of the part's rows, k ascending. The matrix lies in panels, or
// block by block and column by column without padding.
type Second struct {
	Acc     int
	K       Size
	XStride Size // elements between rows of t
	Elem    tile.Elem
	Columns bool
}

// Prologue computes rows over (M, K), as Row does: Exprs[0] is x, the others are results that Outs describe.
type Prologue struct {
	In     []Operand
	Reduce []Reduction
	Exprs  []*scalar.Expr
	Outs   []Out
}

// block counts the packed columns of a block, columns those of all blocks.
func (p *Part) block() int64   { return roundUp(p.N, PanelWidth) }
func (p *Part) columns() int64 { return p.Blocks * p.block() }

// plain reports whether the matrix lies row by row.
func (p *Part) plain() bool { return p.Plain != (Size{}) }

// mmBuild builds a matmul: its parameters and the row block that the task works on.
type mmBuild struct {
	*Matmul
	g         *gen
	x         *tile.Value
	weights   [][]*tile.Value // by part
	extra     [][]*tile.Value
	seconds   [][]second // by part
	outs      []*tile.Value
	pro       rowBody
	extraOuts []*tile.Value // results of the prologue
	best      []*tile.Value // the accumulator of an argmax
	xStride   int64
}

func (s *Matmul) build(g *gen) {
	m := &mmBuild{Matmul: s, g: g, xStride: s.XStride}
	g.out.LHS, g.out.RHS = s.LHS(), s.Parts[0].RHS()
	if slices.ContainsFunc(s.Parts, func(p Part) bool { return s.formOf(&p, g.target).flushes }) {
		g.b.KeepControl()
	}
	m.params()
	if s.M.Sym == "" && s.M.N <= fewRows {
		m.buildStreams()
	} else {
		m.buildBlocked()
	}
}

// params declares the parameters.
func (m *mmBuild) params() {
	g, next := m.g, 1
	if p := m.Prologue; p != nil {
		m.pro = g.rowBody(p.In, p.Reduce, 1)
		next = len(p.In)
	} else {
		x := tile.F32
		if m.BF16 {
			x = tile.BF16
		}
		m.x = g.in(0, x)
		if m.X.Len > 0 {
			m.x = g.b.PtrCast(m.x, tile.I8)
			m.xStride = m.rowLayout().Bytes
		}
	}
	for _, p := range m.Parts {
		if p.plain() && (p.Accs != 1 || p.Group.Len > 0 || len(p.Second) > 0 || len(p.Exprs) != 1 || p.Scatter != (Scatter{})) {
			m.g.err = errors.New("a plain part has several matrices or results, groups or second products, expected one matrix of floats")
		}
		g.size(p.Plain)
		var ws, extra []*tile.Value
		for range p.Accs {
			w := g.in(next, p.Elem)
			if m.BF16 && p.Group.Len == 0 && !p.plain() { // pairs of k
				w = g.b.PtrCast(w, tile.I32)
			}
			ws = append(ws, w)
			next++
		}
		for _, o := range p.Extra {
			extra = append(extra, g.operandPtr(next, o))
			next++
		}
		var seconds []second
		for _, s := range p.Second {
			seconds = append(seconds, second{g.in(next, tile.F32), g.in(next+1, s.Elem), g.size(s.K), g.size(s.XStride)})
			next += 2
		}
		m.weights, m.extra, m.seconds = append(m.weights, ws), append(m.extra, extra), append(m.seconds, seconds)
	}
	for i, p := range m.Parts {
		m.outs = append(m.outs, g.result(i, memory(p.Outs[0].Elem)))
	}
	if p := m.Prologue; p != nil {
		for i, o := range p.Outs {
			m.extraOuts = append(m.extraOuts, g.result(len(m.Parts)+i, o.Elem))
		}
	}
}

// rows computes rows m0 … m0+rows-1 of the prologue, at most `most`, into scratch and points x at it; write tells
// whether this task also writes the extra outputs.
func (m *mmBuild) rows(m0, rows *tile.Value, most int64, write *tile.Value) {
	p, b, lanes := m.Prologue, m.g.b, m.pro.lanes
	if p == nil {
		m.x = b.PtrAdd(m.x, b.Mul(m0, b.Int(m.xStride)))
		return
	}
	m.xStride = roundUp(m.K, PanelWidth)
	if m.x = b.Scratch(int(most * m.xStride)); m.BF16 {
		m.x = b.PtrCast(m.x, tile.BF16)
	}
	exprs, k := lowered(p.Exprs), b.Int(m.K)
	b.Range(b.Int(0), rows, b.Int(1), func(r *tile.Value) {
		outer := []*tile.Value{b.Add(m0, r)}
		reduced := m.pro.reductions(outer, k)
		m.g.vectors(k, lanes, func(i, count *tile.Value) {
			v := b.Expr(exprs[0], m.pro.args(outer, i, count, reduced, lanes), lanes)
			m.g.store(m.x, b.Add(b.Mul(r, b.Int(m.xStride)), i), v, count)
		})
		if len(p.Outs) == 0 {
			return
		}
		b.When(write, func() {
			m.g.vectors(k, lanes, func(i, count *tile.Value) {
				args := m.pro.args(outer, i, count, reduced, lanes)
				for j, o := range p.Outs {
					m.g.write(m.extraOuts[j], o, []*tile.Value{outer[0], i}, b.Expr(exprs[1+j], args, lanes), count)
				}
			})
		})
	})
}

// each runs body for the part that column task `task` belongs to; counts are the tasks of every part.
func (m *mmBuild) each(task *tile.Value, counts []*tile.Value, body func(part int, task *tile.Value)) {
	m.pick(task, counts, func(part int, task *tile.Value) []*tile.Value { body(part, task); return nil })
}

// pick is each with what body returns, the same number of values for every part.
func (m *mmBuild) pick(task *tile.Value, counts []*tile.Value, body func(part int, task *tile.Value) []*tile.Value) []*tile.Value {
	b := m.g.b
	var from func(part int, first *tile.Value) []*tile.Value
	from = func(part int, first *tile.Value) []*tile.Value {
		local := b.Sub(task, first)
		if part == len(counts)-1 {
			return body(part, local)
		}
		return b.If(b.Compare(tile.LT, local, counts[part]),
			func() []*tile.Value { return body(part, local) },
			func() []*tile.Value { return from(part+1, b.Add(first, counts[part])) })
	}
	return from(0, b.Int(0))
}

// finish applies the expressions of a part to one fragment, columns col … col+lanes-1 of row r counted with their
// padding, and stores the results.
func (m *mmBuild) finish(part int, accs []*tile.Value, r, col *tile.Value) {
	p, b, lanes := &m.Parts[part], m.g.b, m.g.lanes
	block, at := b.Int(0), col
	if p.Blocks > 1 {
		block, at = b.Div(col, b.Int(p.block())), b.Rem(col, b.Int(p.block()))
	}
	store := func(count *tile.Value) { m.write(part, accs, []*tile.Value{r, block, at}, count) }
	if p.N%PanelPad == 0 { // no padding at all
		store(nil)
		return
	}
	if p.Blocks > 1 && p.N%PanelWidth == 0 { // only behind the last block
		b.When(b.Compare(tile.LT, col, b.Int(p.columns())), func() { store(nil) })
		return
	}
	inside := b.Compare(tile.LT, at, b.Int(p.N))
	if p.Blocks > 1 {
		inside = b.Logic(tile.And, inside, b.Compare(tile.LT, block, b.Int(p.Blocks)))
	}
	b.When(inside, func() {
		b.Either(b.Compare(tile.LE, b.Add(at, b.Int(int64(lanes))), b.Int(p.N)), func() { store(nil) }, func() {
			if p.N%int64(lanes) != 0 {
				store(b.Sub(b.Int(p.N), at))
			}
		})
	})
}

// write computes the expressions of a part at index (row, block, column) from one fragment of each accumulator, and
// stores them.
func (m *mmBuild) write(part int, accs, index []*tile.Value, count *tile.Value) {
	p := &m.Parts[part]
	m.g.moved(p.Scatter, p.Extra, m.extra[part], index, m.outs[part], func(out *tile.Value) {
		args := m.args(part, accs, index, count)
		for i, e := range p.Exprs {
			m.g.write(out, p.Outs[i], index, m.g.b.Expr(scalar.Lower(e), args, m.g.lanes), count)
		}
	})
}

// args returns the arguments of a part's expressions: a fragment of each accumulator and of each extra operand.
func (m *mmBuild) args(part int, accs, index []*tile.Value, count *tile.Value) []*tile.Value {
	return append(slices.Clone(accs), m.g.fragments(m.Parts[part].Extra, m.extra[part], index, m.g.lanes, count)...)
}
