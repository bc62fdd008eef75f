package kernels

import (
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

// dotWidth is how far rows of results are apart in scratch.
func (p *product) dotWidth() int64 { return roundUp(p.N, PanelWidth) }

// dotsLen counts the floats of scratch for the sums of many rows.
func (p *product) dotsLen() int64 { return dotRows * roundUp(p.N, dotColumns) * int64(p.g.lanes) }

// dots computes the columns from n0 on, at most `most` of them, of rows of x, which is the row m0 and those behind it. The
// scratch c has room for all rows, sums for those of many rows.
func (p *product) dots(c, sums, m0, rows, n0 *tile.Value, bound, most int64) {
	b, lanes := p.g.b, p.g.lanes
	end := b.Min(b.Add(n0, b.Int(most)), b.Int(p.N))
	store := func(row, column, sum *tile.Value) {
		b.Store(c, b.Add(b.Mul(row, b.Int(p.dotWidth())), b.Sub(column, n0)), b.Fold(scalar.Sum, sum))
	}
	if sums == nil {
		p.dotBlocks(b.Int(0), rows, n0, end, bound, func(row *tile.Value, n int, column *tile.Value, columns int) {
			for i, sum := range p.dot(row, column, b.Int(0), b.Int(p.K), n, columns, zeros(b, n*columns, lanes)) {
				store(b.Add(row, b.Int(int64(i/columns))), b.Add(column, b.Int(int64(i%columns))), sum)
			}
		})
	} else {
		p.manyDots(sums, rows, n0, end, store)
	}
	b.Range(b.Int(0), rows, b.Int(1), func(r *tile.Value) {
		b.Range(n0, end, b.Int(int64(lanes)), func(column *tile.Value) {
			at := b.Add(b.Mul(r, b.Int(p.dotWidth())), b.Sub(column, n0))
			acc, index := []*tile.Value{b.Load(c, at, lanes)}, []*tile.Value{b.Add(m0, r), b.Int(0), column}
			if most%int64(lanes) == 0 && p.N%int64(lanes) == 0 {
				p.write(p.number, acc, index, nil)
			} else {
				p.write(p.number, acc, index, b.Min(b.Int(int64(lanes)), b.Sub(end, column)))
			}
		})
	})
}

// manyDots multiplies many rows, some of them by a block of k at a time, and hands every vector of sums to put.
func (p *product) manyDots(sums, rows, n0, end *tile.Value, put func(row, column, sum *tile.Value)) {
	b, lanes, width := p.g.b, p.g.lanes, roundUp(p.N, dotColumns)
	place := func(row, column *tile.Value) *tile.Value {
		return b.Mul(b.Add(b.Mul(row, b.Int(width)), column), b.Int(int64(lanes)))
	}
	b.Range(b.Int(0), rows, b.Int(dotRows), func(first *tile.Value) {
		here := b.Min(b.Int(dotRows), b.Sub(rows, first))
		p.g.clear(sums, b.Int(dotRows*width*int64(lanes)))
		b.Range(b.Int(0), b.Int(p.K), b.Int(dotK), func(k0 *tile.Value) {
			k1 := b.Min(b.Int(p.K), b.Add(k0, b.Int(dotK)))
			p.dotBlocks(first, here, n0, end, dotRows, func(row *tile.Value, n int, column *tile.Value, columns int) {
				at := func(i int) *tile.Value {
					return place(b.Add(b.Sub(row, first), b.Int(int64(i/columns))), b.Add(b.Sub(column, n0), b.Int(int64(i%columns))))
				}
				old := collect(n*columns, func(i int) *tile.Value { return b.Load(sums, at(i), lanes) })
				for i, sum := range p.dot(row, column, k0, k1, n, columns, old) {
					b.Store(sums, at(i), sum)
				}
			})
		})
		b.Range(b.Int(0), here, b.Int(1), func(r *tile.Value) {
			b.Range(n0, end, b.Int(1), func(column *tile.Value) {
				put(b.Add(first, r), column, b.Load(sums, place(r, b.Sub(column, n0)), lanes))
			})
		})
	})
}

// dotBlocks covers rows from `first` on and the columns from n0 to end with blocks whose sums fit the registers.
func (p *product) dotBlocks(first, rows, n0, end *tile.Value, bound int64, body func(row *tile.Value, n int, column *tile.Value, columns int)) {
	b, side, most := p.g.b, dotColumns, dotSums/dotColumns
	if bound == 1 {
		side, most = dotSingle, 1
	} else if p.g.target.Regs > 16 {
		most *= 2
	}
	rowBlocks(b, rows, bound, most, anyRest, func(row *tile.Value, n int) {
		row = b.Add(first, row)
		whole := b.Add(n0, b.Mul(b.Div(b.Sub(end, n0), b.Int(int64(side))), b.Int(int64(side))))
		b.Range(n0, whole, b.Int(int64(side)), func(column *tile.Value) { body(row, n, column, side) })
		if p.N%int64(side) != 0 {
			b.Range(whole, end, b.Int(1), func(column *tile.Value) { body(row, n, column, 1) })
		}
	})
}

// dot adds the products of n rows of x and some rows of the matrix from k0 to k1 to vectors of sums. k1 is K, or a whole
// number of vectors behind k0.
func (p *product) dot(row, column, k0, k1 *tile.Value, n, columns int, sums []*tile.Value) []*tile.Value {
	b, lanes := p.g.b, p.g.lanes
	x, w := b.PtrAdd(p.mmBuild.x, b.Mul(row, b.Int(p.xStride))), b.PtrAdd(p.weights[p.number][0], b.Mul(column, b.Int(p.K)))
	step := func(k, count *tile.Value, sums []*tile.Value) []*tile.Value {
		at := func(v *tile.Value, i int, stride int64) *tile.Value {
			return p.g.load(v, b.Add(k, b.Int(int64(i)*stride)), lanes, count)
		}
		right := collect(columns, func(j int) *tile.Value { return at(w, j, p.K) })
		out := make([]*tile.Value, len(sums))
		for i := range n {
			left := at(x, i, p.xStride)
			for j := range columns {
				out[i*columns+j] = b.FMA(left, right[j], sums[i*columns+j])
			}
		}
		return out
	}
	vector := b.Int(int64(lanes))
	whole := b.Add(k0, b.Mul(b.Div(b.Sub(k1, k0), vector), vector))
	sums = b.For(k0, whole, vector, sums, func(k *tile.Value, sums []*tile.Value) []*tile.Value { return step(k, nil, sums) })
	if p.K%int64(lanes) == 0 {
		return sums
	}
	return b.If(b.Compare(tile.LT, whole, k1),
		func() []*tile.Value { return step(whole, b.Sub(k1, whole), sums) }, func() []*tile.Value { return sums })
}
