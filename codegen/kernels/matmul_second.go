package kernels

import (
	"slices"

	"pgc/ir/tile"
)

const (
	secondSums = 12 // vectors of sums of many rows in registers: rows by one or two vectors of columns
	secondFew  = 8  // and of few rows: of one by so many vectors, of more by two
)

// second is where a second product has its rows and its matrix, how many k and how far rows are apart.
type second struct{ t, w, k, stride *tile.Value }

// addSecond adds the products that accumulator `acc` goes on with to sums of rows from m0 on by vectors of columns from `column`
// on, counted with their padding.
func (p *product) addSecond(acc int, m0, column *tile.Value, rows, vecs int, sums []*tile.Value) []*tile.Value {
	b, lanes := p.g.b, p.g.lanes
	for i, s := range p.Second {
		if s.Acc != acc {
			continue
		}
		of := p.seconds[p.number][i]
		t := collect(rows, func(r int) *tile.Value {
			return b.PtrAdd(of.t, b.Mul(b.Add(m0, b.Int(int64(r))), of.stride))
		})
		w := make([]func(k *tile.Value) *tile.Value, vecs)
		for v := range w {
			w[v] = p.secondColumns(s, of, b.Add(column, b.Int(int64(v*lanes))))
		}
		sums = b.For(b.Int(0), of.k, b.Int(1), sums, func(k *tile.Value, c []*tile.Value) []*tile.Value {
			right := collect(vecs, func(v int) *tile.Value { return w[v](k) })
			out := make([]*tile.Value, len(c))
			for r := range rows {
				left := b.Splat(b.Load(t[r], k, 1), lanes)
				for v := range vecs {
					out[r*vecs+v] = b.FMA(left, right[v], c[r*vecs+v])
				}
			}
			return out
		})
	}
	return sums
}

// secondColumns returns what loads a vector of columns from `at` on, counted with their padding, of the matrix of a second product.
func (p *product) secondColumns(s Second, of second, at *tile.Value) func(k *tile.Value) *tile.Value {
	b, lanes := p.g.b, p.g.lanes
	if !s.Columns {
		panel, in := b.Div(at, b.Int(PanelWidth)), b.Rem(at, b.Int(PanelWidth))
		from := b.PtrAdd(of.w, b.Add(b.Mul(panel, b.Mul(of.k, b.Int(PanelWidth))), in))
		return func(k *tile.Value) *tile.Value { return b.Load(from, b.Mul(k, b.Int(PanelWidth)), lanes) }
	}
	n, in, first := b.Int(p.N), at, b.Int(0)
	if p.Blocks > 1 {
		block := b.Div(at, b.Int(p.block()))
		in, first = b.Rem(at, b.Int(p.block())), b.Mul(block, b.Mul(of.k, n))
	}
	count := b.Max(b.Int(0), b.Min(b.Int(int64(lanes)), b.Sub(n, in)))
	if p.Blocks > 1 { // what pads the last one is no block
		count = b.Select(b.Compare(tile.LT, at, b.Int(p.columns())), count, b.Int(0))
	}
	from := b.PtrAdd(of.w, b.Add(first, in))
	return func(k *tile.Value) *tile.Value { return b.LoadTail(from, b.Mul(k, n), lanes, count) }
}

// some tells whether second products of a part that go on with an accumulator, or with any if that is -1, have steps: a launch may
// have none of a kernel's.
func (p *product) some(acc int) *tile.Value {
	b, steps := p.g.b, p.g.b.Int(0)
	for i, s := range p.Second {
		if acc < 0 || s.Acc == acc {
			steps = b.Add(steps, p.seconds[p.number][i].k)
		}
	}
	return b.Compare(tile.LT, b.Int(0), steps)
}

// addSecond adds second products to C of n panels from panel `at` on.
func (s *stream) addSecond(at *tile.Value, n int, c []*tile.Value) []*tile.Value {
	if len(s.Second) == 0 {
		return c
	}
	return s.g.b.If(s.some(-1), func() []*tile.Value { return s.addSeconds(at, n, c) }, func() []*tile.Value { return c })
}

func (s *stream) addSeconds(at *tile.Value, n int, c []*tile.Value) []*tile.Value {
	b, lanes, all := s.g.b, s.g.lanes, s.vectors(n)
	c = slices.Clone(c) // may be the results of a loop
	each := all / s.Accs
	for acc := range s.Accs {
		most, across := secondFew/2, 2
		if s.M.N == 1 {
			most, across = 1, secondFew
		}
		for row := 0; row < int(s.M.N); row += most {
			rows := min(most, int(s.M.N)-row)
			for v := 0; v < each; v += across {
				vecs := min(across, each-v)
				place := func(i int) int { return (row+i/vecs)*all + acc*each + v + i%vecs }
				sums := collect(rows*vecs, func(i int) *tile.Value { return c[place(i)] })
				column := b.Add(b.Mul(at, b.Int(PanelWidth)), b.Int(int64(v*lanes)))
				for i, sum := range s.product.addSecond(acc, b.Int(int64(row)), column, rows, vecs, sums) {
					c[place(i)] = sum
				}
			}
		}
	}
	return c
}

// askForSecond asks for the matrices of second products of n panels from panel `at` on, which are needed once the panels are multiplied:
// they are too short for processors to foresee them.
func (s *stream) askForSecond(at *tile.Value, n int) {
	b := s.g.b
	for i, one := range s.Second {
		if one.Columns {
			continue
		}
		of := s.seconds[s.number][i]
		panel := b.Mul(of.k, b.Int(PanelWidth))
		first := b.Mul(at, panel)
		b.Range(b.Int(0), b.Mul(b.Int(int64(n)), panel), b.Int(lineElems(of.w)), func(line *tile.Value) {
			b.Prefetch(of.w, b.Add(first, line), 2)
		})
	}
}

// addSecond adds the second products of a part to C.
func (t *blocked) addSecond(p *product) {
	b, lanes, nr := t.g.b, int64(t.g.lanes), t.nr()
	has := map[int]bool{}
	for _, s := range p.Second {
		has[s.Acc] = true
	}
	for acc := range p.Accs {
		if !has[acc] {
			continue
		}
		b.When(p.some(acc), func() {
			b.Range(b.Int(0), t.columns, b.Int(nr), func(column *tile.Value) {
				for v := int64(0); v < nr; v += 2 * lanes {
					vecs := min(2, int((nr-v)/lanes))
					from := b.PtrAdd(t.at(b.Int(int64(acc)), column), b.Int(v))
					rowBlocks(b, t.rows, t.M.N, secondSums/vecs, anyRest, func(row *tile.Value, n int) {
						place := func(i int) *tile.Value {
							return b.Add(b.Mul(b.Add(row, b.Int(int64(i/vecs))), b.Int(nr)), b.Int(int64(i%vecs)*lanes))
						}
						sums := collect(n*vecs, func(i int) *tile.Value { return b.Load(from, place(i), int(lanes)) })
						for i, sum := range p.addSecond(acc, b.Add(t.m0, row), b.Add(b.Add(t.n0, column), b.Int(v)), n, vecs, sums) {
							b.Store(from, place(i), sum)
						}
					})
				}
			})
		})
	}
}
