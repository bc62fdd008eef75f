package kernels

import (
	"slices"

	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// A plain part has a matrix of few rows that lie one behind the other, as those of the first factor of a low-rank product:
// in panels they would take several times the memory. Every element of the result is a dot product whose vectors go along
// k, added up lane by lane and then across lanes, in one order whatever rows lie beside it.
const (
	dotSums    = 12   // vectors of sums in registers: rows of x by rows of the matrix; twice as many where there are 32
	dotColumns = 2    // rows of the matrix, and for a single row of x
	dotSingle  = 8    // so many
	dotTask    = 8    // rows of the matrix that a task of few rows of x takes
	dotRows    = 24   // rows of x of many that are multiplied
	dotK       = 1024 // by so many k, which stay in the first-level cache, before the next
)

// dots does a task of plain parts that share its code: it has the part's matrix and how many rows that has, its result and its
// extra operands.
type dots struct {
	*product          // the part, or one that is alike
	task, w, n, out   *tile.Value
	extra             []*tile.Value
	first, end        *tile.Value // columns of the task
	c, width, vectors *tile.Value // scratch: of results, whose rows are width apart, and vectors of sums of many rows
}

// dotsOf finds the part among some that are alike that a task belongs to; counts are the tasks of every part.
func (m *mmBuild) dotsOf(of []*product, counts []*tile.Value, task *tile.Value) dots {
	which := m.pick(task, counts, func(i int, task *tile.Value) []*tile.Value {
		p := of[i]
		all := []*tile.Value{task, m.weights[p.number][0], m.g.size(p.Plain), m.outs[p.number]}
		for j, o := range p.Extra {
			if o.Kind == Tensor {
				all = append(all, m.extra[p.number][j])
			}
		}
		return all
	})
	d := dots{product: of[0], task: which[0], w: which[1], n: which[2], out: which[3]}
	d.extra, which = slices.Clone(m.extra[d.number]), which[4:]
	for j, o := range d.Extra {
		if o.Kind == Tensor {
			d.extra[j], which = which[0], which[1:]
		}
	}
	return d
}

// ofFew computes dotTask columns of few rows.
func (d dots) ofFew(c *tile.Value, rows int64) {
	b := d.g.b
	d.c, d.width, d.first = c, b.Int(dotsWidth), b.Mul(d.task, b.Int(dotTask))
	d.end = b.Min(b.Add(d.first, b.Int(dotTask)), d.n)
	d.blocks(b.Int(0), b.Int(rows), rows, func(row *tile.Value, n int, column *tile.Value, columns int) {
		for i, sum := range d.dot(row, column, b.Int(0), b.Int(d.K), n, columns, zeros(b, n*columns, d.g.lanes)) {
			d.put(b.Add(row, b.Int(int64(i/columns))), b.Add(column, b.Int(int64(i%columns))), sum)
		}
	})
	d.write(b.Int(0), b.Int(rows))
}

// dotsWidth is how far rows of results of few columns are apart in scratch: as long as the longest vector.
const dotsWidth = PanelWidth

// ofMany computes all columns of many rows, from m0 on.
func (d dots) ofMany(c, vectors, m0, rows *tile.Value) {
	b := d.g.b
	d.c, d.vectors, d.first, d.end = c, vectors, b.Int(0), d.n
	d.width = up(b, d.n, PanelWidth)
	d.multiply(rows)
	d.write(m0, rows)
}

// up is the next multiple of step.
func up(b *tile.Builder, n *tile.Value, step int64) *tile.Value {
	return b.Mul(b.Div(b.Add(n, b.Int(step-1)), b.Int(step)), b.Int(step))
}

// vectorsLen counts the floats of scratch for the vectors of sums of many rows.
func (p *product) vectorsLen() int64 { return dotRows * roundUp(p.N, dotColumns) * int64(p.g.lanes) }

// put adds up a vector of sums.
func (d dots) put(row, column, sum *tile.Value) {
	b := d.g.b
	b.Store(d.c, b.Add(b.Mul(row, d.width), b.Sub(column, d.first)), b.Fold(scalar.Sum, sum))
}

// write applies the expression to rows of results, of which the first is row m0, and stores them.
func (d dots) write(m0, rows *tile.Value) {
	b, lanes := d.g.b, d.g.lanes
	b.Range(b.Int(0), rows, b.Int(1), func(r *tile.Value) {
		row, out := b.Add(m0, r), d.out
		if d.Outs[0].Strides[0] == 0 {
			out = b.PtrAdd(out, b.Mul(row, d.n))
		}
		b.Range(d.first, d.end, b.Int(int64(lanes)), func(column *tile.Value) {
			acc, index := b.Load(d.c, b.Add(b.Mul(r, d.width), b.Sub(column, d.first)), lanes), []*tile.Value{row, b.Int(0), column}
			store := func(count *tile.Value) {
				args := append([]*tile.Value{acc}, d.g.fragments(d.Extra, d.extra, index, lanes, count)...)
				d.g.write(out, d.Outs[0], index, b.Expr(scalar.Lower(d.Exprs[0]), args, lanes), count)
			}
			b.Either(b.Compare(tile.LE, b.Add(column, b.Int(int64(lanes))), d.end), func() { store(nil) },
				func() { store(b.Sub(d.end, column)) })
		})
	})
}

// multiply multiplies many rows, some of them by a block of k at a time.
func (d dots) multiply(rows *tile.Value) {
	b, lanes, width := d.g.b, d.g.lanes, up(d.g.b, d.n, dotColumns)
	place := func(row, column *tile.Value) *tile.Value {
		return b.Mul(b.Add(b.Mul(row, width), column), b.Int(int64(lanes)))
	}
	b.Range(b.Int(0), rows, b.Int(dotRows), func(first *tile.Value) {
		here := b.Min(b.Int(dotRows), b.Sub(rows, first))
		d.g.clear(d.vectors, b.Mul(width, b.Int(dotRows*int64(lanes))))
		b.Range(b.Int(0), b.Int(d.K), b.Int(dotK), func(k0 *tile.Value) {
			k1 := b.Min(b.Int(d.K), b.Add(k0, b.Int(dotK)))
			d.blocks(first, here, dotRows, func(row *tile.Value, n int, column *tile.Value, columns int) {
				at := func(i int) *tile.Value {
					return place(b.Add(b.Sub(row, first), b.Int(int64(i/columns))), b.Add(column, b.Int(int64(i%columns))))
				}
				old := collect(n*columns, func(i int) *tile.Value { return b.Load(d.vectors, at(i), lanes) })
				for i, sum := range d.dot(row, column, k0, k1, n, columns, old) {
					b.Store(d.vectors, at(i), sum)
				}
			})
		})
		b.Range(b.Int(0), here, b.Int(1), func(r *tile.Value) {
			b.Range(b.Int(0), d.n, b.Int(1), func(column *tile.Value) {
				d.put(b.Add(first, r), column, b.Load(d.vectors, place(r, column), lanes))
			})
		})
	})
}

// blocks covers rows from `first` on and the columns with blocks whose sums fit the registers. Columns of a block behind
// the end have sums that nobody reads.
func (d dots) blocks(first, rows *tile.Value, bound int64, body func(row *tile.Value, n int, column *tile.Value, columns int)) {
	b, side, most := d.g.b, dotColumns, dotSums/dotColumns
	if bound == 1 {
		side, most = dotSingle, 1
	} else if d.g.target.Regs > 16 {
		most *= 2
	}
	rowBlocks(b, rows, bound, most, anyRest, func(row *tile.Value, n int) {
		row = b.Add(first, row)
		b.Range(d.first, d.end, b.Int(int64(side)), func(column *tile.Value) { body(row, n, column, side) })
	})
}

// dot adds the products of n rows of x and some columns from k0 to k1 to vectors of sums. k1 is K, or a whole number of
// vectors behind k0. Columns behind the end are the last one again.
func (d dots) dot(row, column, k0, k1 *tile.Value, n, columns int, sums []*tile.Value) []*tile.Value {
	b, lanes := d.g.b, d.g.lanes
	x := b.PtrAdd(d.mmBuild.x, b.Mul(row, b.Int(d.xStride)))
	w := collect(columns, func(j int) *tile.Value {
		if j > 0 {
			column = b.Min(b.Add(column, b.Int(1)), b.Sub(d.end, b.Int(1)))
		}
		return b.PtrAdd(d.w, b.Mul(column, b.Int(d.K)))
	})
	step := func(k, count *tile.Value, sums []*tile.Value) []*tile.Value {
		right := collect(columns, func(j int) *tile.Value { return d.g.load(w[j], k, lanes, count) })
		out := make([]*tile.Value, len(sums))
		for i := range n {
			left := d.g.load(x, b.Add(k, b.Int(int64(i)*d.xStride)), lanes, count)
			for j := range columns {
				out[i*columns+j] = b.FMA(left, right[j], sums[i*columns+j])
			}
		}
		return out
	}
	vector := b.Int(int64(lanes))
	whole := b.Add(k0, b.Mul(b.Div(b.Sub(k1, k0), vector), vector))
	sums = b.For(k0, whole, vector, sums, func(k *tile.Value, sums []*tile.Value) []*tile.Value { return step(k, nil, sums) })
	if d.K%int64(lanes) == 0 {
		return sums
	}
	return b.If(b.Compare(tile.LT, whole, k1),
		func() []*tile.Value { return step(whole, b.Sub(k1, whole), sums) }, func() []*tile.Value { return sums })
}
