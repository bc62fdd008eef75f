package kernels

import "pgc/ir/tile"

// Forms of arm64 that multiply two rows by two columns, 8 bytes of each, smmla and bfmmla: four sums are a matrix of 2×2,
// row by row. A step takes 16 bytes of every row.

// vnni2Chunk reads the words of a step of pairs of bfloat16.
var vnni2Chunk = loader{4, 4, func(g *gen, c column) reader {
	load := loadWords(g, c)
	return func(k *tile.Value) func(i int) *tile.Value {
		return func(i int) *tile.Value { return load(g.b.Add(k, g.b.Int(int64(i))))(0) }
	}
}}

// zipped puts the words of a column side by side: of every two vectors of four columns, two of eight bytes of two.
func zipped(l loader, e tile.Elem) loader {
	return loader{l.units, l.vecs, func(g *gen, c column) reader {
		b, open := g.b, l.open(g, c)
		return func(k *tile.Value) func(i int) *tile.Value {
			w := once(open(k))
			return func(i int) *tile.Value {
				first := 2 * (i % 2)
				words := b.Shuffle(b.Bits(w(i-i%2), tile.I32), b.Bits(w(i-i%2+1), tile.I32), first, first+4, first+1, first+5)
				return b.Bits(words, e)
			}
		}
	}}
}

// matrices adds products of two rows, the last of an odd number of them twice, by those of two columns.
func matrices(op func(b *tile.Builder, sum, x, w *tile.Value) *tile.Value) func(s mmaStep) []*tile.Value {
	return func(s mmaStep) []*tile.Value {
		x := make([]*tile.Value, (s.rows+1)/2)
		for i := range 2 {
			for r := range x {
				x[r] = s.g.b.Bits(s.pair(r, i), s.mma.w)
			}
			for v := range s.vecs {
				for h := range s.halves {
					for r := range x {
						sum := &s.sums[(r*s.vecs+v)*s.halves+h]
						*sum = op(s.g.b, *sum, x[r], s.w(v, i*s.halves+h))
					}
				}
			}
		}
		return s.sums
	}
}

// pair returns the bytes number i, of 8 each, of rows 2r and 2r+1: copies have them side by side.
func (s mmaStep) pair(r, i int) *tile.Value {
	if s.paired {
		return s.x(2*r, 2*i*s.words)
	}
	return s.g.joinRows(s.x(2*r, i*s.words), s.x(min(2*r+1, s.rows-1), i*s.words))
}

// joinRows returns the elements of x and behind them those of y.
func (g *gen) joinRows(x, y *tile.Value) *tile.Value {
	all := make([]int, 2*x.Type.Lanes)
	for i := range all {
		all[i] = i
	}
	return g.b.Shuffle(x, y, all...)
}

// matricesOf makes matrices of rows of C, of the last of an odd number of them twice.
func matricesOf(s mmaStep, c func(i int) *tile.Value) []*tile.Value {
	var sums []*tile.Value
	for r := 0; r < s.rows; r += 2 {
		for v := range s.vecs {
			x, y := c(r*s.vecs+v), c(min(r+1, s.rows-1)*s.vecs+v)
			sums = append(sums, s.g.b.Shuffle(x, y, 0, 1, 4, 5), s.g.b.Shuffle(x, y, 2, 3, 6, 7))
		}
	}
	return sums
}

// rowOfMatrix takes a row of the sums of two rows by two columns, twice.
func rowOfMatrix(s mmaStep, r, v int) *tile.Value {
	sums, first := s.sums[(r/2*s.vecs+v)*s.halves:], r%2*2
	return s.g.b.Shuffle(sums[0], sums[1], first, first+1, first+4, first+5)
}
