package kernels

import (
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// A plain part has a matrix of few rows that lie one behind the other, as those of the first factor of a low-rank product:
// in panels they would take several times the memory. Every element of the result is a dot product whose vectors go along
// k, added up lane by lane and then across lanes, in one order whatever rows lie beside it.
const (
	dotRows    = 3 // rows of x by rows of the matrix whose sums are in registers; twice as many of x where there are 32
	dotColumns = 4 // twice as many for a single row
	dotTask    = 8 // rows of the matrix that a task of few rows of x takes
)

// dotWidth is how far rows of results are apart in scratch.
func (p *product) dotWidth() int64 { return roundUp(p.N, PanelWidth) }

// dots computes the columns from n0 on, at most `most` of them, of rows of x, which is the row m0 and those behind it. The
// scratch c has room for all rows.
func (p *product) dots(c, m0, rows, n0 *tile.Value, bound, most int64) {
	b, lanes := p.g.b, p.g.lanes
	x, w, mr := p.mmBuild.x, p.weights[p.number][0], dotRows
	if p.g.target.Regs > 16 {
		mr *= 2
	}
	side := int64(dotColumns)
	if bound == 1 {
		side *= 2
	}
	end := b.Min(b.Add(n0, b.Int(most)), b.Int(p.N))
	block := func(row *tile.Value, n int, column *tile.Value, columns int) {
		xs, ws := b.PtrAdd(x, b.Mul(row, b.Int(p.xStride))), b.PtrAdd(w, b.Mul(column, b.Int(p.K)))
		step := func(k, count *tile.Value, sums []*tile.Value) []*tile.Value {
			at := func(v *tile.Value, i int, stride int64) *tile.Value {
				return p.g.load(v, b.Add(k, b.Int(int64(i)*stride)), lanes, count)
			}
			left := collect(n, func(i int) *tile.Value { return at(xs, i, p.xStride) })
			out := make([]*tile.Value, len(sums))
			for j := range columns {
				right := at(ws, j, p.K)
				for i := range n {
					out[i*columns+j] = b.FMA(left[i], right, sums[i*columns+j])
				}
			}
			return out
		}
		whole := p.K / int64(lanes) * int64(lanes)
		sums := b.For(b.Int(0), b.Int(whole), b.Int(int64(lanes)), zeros(b, n*columns, lanes), func(k *tile.Value, sums []*tile.Value) []*tile.Value {
			return step(k, nil, sums)
		})
		if whole < p.K {
			sums = step(b.Int(whole), b.Int(p.K-whole), sums)
		}
		for i, sum := range sums {
			at := b.Add(b.Mul(b.Add(row, b.Int(int64(i/columns))), b.Int(p.dotWidth())), b.Add(b.Sub(column, n0), b.Int(int64(i%columns))))
			b.Store(c, at, b.Fold(scalar.Sum, sum))
		}
	}
	rowBlocks(b, rows, bound, mr, func(row *tile.Value, n int) {
		whole := b.Add(n0, b.Mul(b.Div(b.Sub(end, n0), b.Int(side)), b.Int(side)))
		b.Range(n0, whole, b.Int(side), func(column *tile.Value) { block(row, n, column, int(side)) })
		if p.N%side != 0 {
			b.Range(whole, end, b.Int(1), func(column *tile.Value) { block(row, n, column, 1) })
		}
	})
	b.Range(b.Int(0), rows, b.Int(1), func(r *tile.Value) {
		b.Range(n0, end, b.Int(int64(lanes)), func(column *tile.Value) {
			at := b.Add(b.Mul(r, b.Int(p.dotWidth())), b.Sub(column, n0))
			acc, index := []*tile.Value{b.Load(c, at, lanes)}, []*tile.Value{b.Add(m0, r), b.Int(0), column}
			if n := b.Int(int64(lanes)); most%int64(lanes) == 0 && p.N%int64(lanes) == 0 {
				p.write(p.number, acc, index, nil)
			} else {
				p.write(p.number, acc, index, b.Min(n, b.Sub(end, column)))
			}
		})
	})
}
