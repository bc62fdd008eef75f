package kernels

import "pgc/ir/tile"

// transposed returns the columns of a square of vectors: lane j of result i is lane i of rows[j]. Squares of 1, 2, 4 …
// lanes trade places, a shuffle each.
func transposed(b *tile.Builder, rows []*tile.Value) []*tile.Value {
	n := len(rows)
	out := append([]*tile.Value{}, rows...)
	for d := 1; d < n; d *= 2 {
		lo, hi := make([]int, n), make([]int, n)
		for j := range n {
			if j&d == 0 {
				lo[j], hi[j] = j, j+d
			} else {
				lo[j], hi[j] = n+j-d, n+j
			}
		}
		for i := range n {
			if i&d == 0 {
				x, y := out[i], out[i+d]
				out[i], out[i+d] = b.Shuffle(x, y, lo...), b.Shuffle(x, y, hi...)
			}
		}
	}
	return out
}

// squares runs body over H a vector at a time, with the lanes there are: a constant.
func (a *tileAttn) squares(body func(h *tile.Value, n int)) {
	b, lanes := a.g.b, int64(a.g.lanes)
	whole := a.H / lanes * lanes
	b.Range(b.Int(0), b.Int(whole), b.Int(lanes), func(h *tile.Value) { body(h, int(lanes)) })
	if whole < a.H {
		body(b.Int(whole), int(a.H-whole))
	}
}

// tail returns how many of n lanes load and store count: nil for whole vectors.
func (a *tileAttn) tail(n int) *tile.Value {
	if n == a.g.lanes {
		return nil
	}
	return a.g.b.Int(int64(n))
}

// queries transposes the queries, row i at qp[at(i)], times factor, into scratch; rows from count to used repeat the
// last one.
func (a *tileAttn) queries(count, used *tile.Value, at func(i *tile.Value) *tile.Value) {
	b, lanes := a.g.b, a.g.lanes
	last, factor := b.Sub(count, b.Int(1)), b.Float(a.factor(), lanes)
	b.Range(b.Int(0), used, b.Int(int64(lanes)), func(v *tile.Value) {
		rows := collect(lanes, func(i int) *tile.Value { return b.PtrAdd(a.qp, at(b.Min(last, b.Add(v, b.Int(int64(i)))))) })
		to := b.PtrAdd(a.q, a.inStrip(v))
		a.squares(func(h *tile.Value, n int) {
			square := collect(lanes, func(i int) *tile.Value {
				if a.Q[3] != 1 {
					return a.gathered(rows[i], h, n)
				}
				return a.g.load(rows[i], h, lanes, a.tail(n))
			})
			for j, x := range transposed(b, square)[:n] {
				b.Store(to, b.Mul(b.Add(h, b.Int(int64(j))), b.Int(a.w)), b.Mul(x, factor))
			}
		})
	})
}

// inStrip returns where the elements of row i begin in [strips][H][w].
func (a *tileAttn) inStrip(i *tile.Value) *tile.Value {
	b, w := a.g.b, a.g.b.Int(a.w)
	return b.Add(b.Mul(b.Div(i, w), b.Int(a.H*a.w)), b.Rem(i, w))
}

// gathered loads n elements of a query that are not neighbors.
func (a *tileAttn) gathered(p, h *tile.Value, n int) *tile.Value {
	b, lanes := a.g.b, a.g.lanes
	v := b.Float(0, lanes)
	for j := range n {
		x := b.Splat(b.Load(p, b.Mul(b.Add(h, b.Int(int64(j))), b.Int(a.Q[3])), 1), lanes)
		v = b.Select(b.Compare(tile.EQ, b.Iota(lanes), b.Int32(int64(j), lanes)), x, v)
	}
	return v
}

// share returns the reciprocals of sums of weights.
func (a *tileAttn) share(sum *tile.Value) *tile.Value {
	b, lanes := a.g.b, a.g.lanes
	share := b.Div(b.Float(1, lanes), sum)
	if a.at == nil {
		return share
	}
	return b.Select(b.Compare(tile.EQ, sum, b.Float(0, lanes)), b.Float(0, lanes), share) // some queries may see no key
}

// results multiplies the accumulators by the reciprocals of the sums, transposes them back and stores the first count
// rows, row i at out[at(i)].
func (a *tileAttn) results(out, count *tile.Value, at func(i *tile.Value) *tile.Value) {
	b, lanes := a.g.b, a.g.lanes
	b.Range(b.Int(0), count, b.Int(int64(lanes)), func(v *tile.Value) {
		share := a.share(b.Load(a.l, v, lanes))
		from := b.PtrAdd(a.acc, a.inStrip(v))
		a.squares(func(h *tile.Value, n int) {
			square := zeros(b, lanes, lanes)
			for j := range n {
				square[j] = b.Mul(b.Load(from, b.Mul(b.Add(h, b.Int(int64(j))), b.Int(a.w)), lanes), share)
			}
			for i, x := range transposed(b, square) {
				row := b.Add(v, b.Int(int64(i)))
				b.When(b.Compare(tile.LT, row, count), func() {
					p := b.PtrAdd(out, at(row))
					if a.Out[3] == 1 {
						a.g.store(p, h, x, a.tail(n))
						return
					}
					for j := range n {
						b.Store(p, b.Mul(b.Add(h, b.Int(int64(j))), b.Int(a.Out[3])), b.Lane(x, j))
					}
				})
			}
		})
	})
}
