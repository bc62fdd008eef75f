package kernels

import (
	"pgc/codegen/packing"
	"pgc/ir/quant"
	"pgc/ir/tile"
)

// chunk counts the values of k that loops of integers take at once, and that rows are padded to: four words of four.
const chunk = 16

// nibbles masks the lower halves of the bytes of an i32; offsets makes its signed bytes unsigned.
const (
	nibbles = 0x0f0f0f0f
	offsets = quant.Offset * 0x01010101
)

// column locates a vector of columns in a packed matrix: p points at a panel, or at a block of groups, from the unit of
// k on that loads count from; the column's own panel is `panel` elements on, and of that it begins with column `in`.
type column struct {
	p     *tile.Value
	panel int64
	in    *tile.Value
	q     Group
}

// loader reads vectors of B from a packing: panels of floats, of pairs of k (VNNI2) or of fours (VNNI4). It reads vecs
// vectors for every `units` units of k; open prepares a column.
type loader struct {
	units int64
	vecs  int
	open  func(g *gen, c column) reader
}

// reader prepares reading at a unit of k. The function that it returns reads vector i; callers ask in order.
type reader func(k *tile.Value) func(i int) *tile.Value

var (
	panel16       = loader{1, 1, loadFloats}
	vnni2         = loader{1, 1, loadWords}
	vnni2Split    = loader{1, 2, loadHalves} // two vectors of f32
	dequantized8  = loader{4, 4, dequantized}
	dequantized4  = loader{8, 8, dequantized}
	vnni4         = loader{chunk, chunk / 4, loadBytes(0)}
	vnni4Unsigned = loader{chunk, chunk / 4, loadBytes(offsets)}
	vnni4Int4     = loader{chunk, chunk / 4, loadNibbles}
	vnni4Widened  = loader{chunk, chunk / 2, loadShorts} // half the columns of a word in each
)

// loadFloats reads a step of a panel.
func loadFloats(g *gen, c column) reader {
	b := g.b
	return func(k *tile.Value) func(i int) *tile.Value {
		return func(int) *tile.Value {
			return b.Load(c.p, b.Add(b.Mul(k, b.Int(PanelWidth)), b.Add(c.in, b.Int(c.panel))), g.lanes)
		}
	}
}

// loadWords reads pairs of bfloat16.
func loadWords(g *gen, c column) reader {
	load := loadFloats(g, c)
	return func(k *tile.Value) func(i int) *tile.Value {
		return func(int) *tile.Value { return g.b.Bits(load(k)(0), tile.I16) }
	}
}

// loadHalves reads pairs of bfloat16 as two vectors of f32: those of even k, then of odd.
func loadHalves(g *gen, c column) reader {
	b, lanes, load := g.b, g.lanes, loadFloats(g, c)
	return func(k *tile.Value) func(i int) *tile.Value {
		word := once(load(k))
		return func(i int) *tile.Value {
			if i == 0 {
				return b.Cast(tile.BitF, b.Logic(tile.Shl, word(0), b.Int32(16, lanes)))
			}
			return b.Cast(tile.BitF, b.Logic(tile.And, word(0), b.Int32(-1<<16, lanes)))
		}
	}
}

// words returns the words of a block of groups from k on, by their number and in vectors of its column.
func (c column) words(g *gen, k *tile.Value) func(i int) *tile.Value {
	b := g.b
	p := b.PtrCast(b.PtrAdd(c.p, b.Add(b.Mul(k, b.Int(c.q.StepBytes())), b.Int(c.panel))), tile.I32)
	return func(i int) *tile.Value {
		return b.Load(p, b.Add(c.in, b.Int(packing.HeaderBytes/4+int64(i*PanelWidth))), g.lanes)
	}
}

// loadBytes reads fours of bytes, whose bits `flip` changes.
func loadBytes(flip int64) func(g *gen, c column) reader {
	return func(g *gen, c column) reader {
		b := g.b
		return func(k *tile.Value) func(i int) *tile.Value {
			word := c.words(g, k)
			return func(i int) *tile.Value {
				x := word(i)
				if flip != 0 {
					x = b.Logic(tile.Xor, x, b.Int32(flip, g.lanes))
				}
				return b.Bits(x, tile.I8)
			}
		}
	}
}

// loadNibbles reads fours of 4 bits: the lower halves of the bytes of a word, and then the upper ones.
func loadNibbles(g *gen, c column) reader {
	b := g.b
	return func(k *tile.Value) func(i int) *tile.Value {
		word, mask := once(c.words(g, k)), b.Int32(nibbles, g.lanes)
		return func(i int) *tile.Value {
			x := word(i / 2)
			if i%2 == 1 {
				x = b.Logic(tile.Shr, x, b.Int32(4, g.lanes))
			}
			return b.Bits(b.Logic(tile.And, x, mask), tile.I8)
		}
	}
}

// loadShorts reads fours of bytes as i16, of half the columns of a vector at a time.
func loadShorts(g *gen, c column) reader {
	b := g.b
	return func(k *tile.Value) func(i int) *tile.Value {
		at := b.Add(b.Mul(k, b.Int(c.q.StepBytes())), b.Add(b.Mul(c.in, b.Int(4)), b.Int(c.panel+packing.HeaderBytes)))
		return func(i int) *tile.Value {
			return b.WidenTo(b.Load(c.p, b.Add(at, b.Int(int64(i/2*4*PanelWidth+i%2*2*g.lanes))), 2*g.lanes), tile.I16)
		}
	}
}

// dequantized reads codes as floats.
func dequantized(g *gen, c column) reader {
	b := g.b
	scale, low := c.header(g)
	return func(k *tile.Value) func(i int) *tile.Value {
		word := c.words(g, k)(0)
		return func(i int) *tile.Value {
			return scaled(c.q, b, decoded(c.q, b, word, i), scale, low)
		}
	}
}

// header loads the scales, and the minima of affine codes, of a column of a block of groups.
func (c column) header(g *gen) (scale, low *tile.Value) {
	return header(c.q, g.b, g.b.PtrAdd(c.p, g.b.Int(c.panel)), c.in, g.lanes, PanelWidth)
}

// once remembers what f gives.
func once(f func(i int) *tile.Value) func(i int) *tile.Value {
	made := map[int]*tile.Value{}
	return func(i int) *tile.Value {
		if made[i] == nil {
			made[i] = f(i)
		}
		return made[i]
	}
}

// mmaStep holds one step of k for a block of rows and vectors of columns: its sums, row by row and vector by vector, of
// each its chains and halves; x gives word i of a row and w vector i of the weights of a vector of columns.
type mmaStep struct {
	*mma
	g                  *gen
	rows, vecs, chains int
	paired             bool // x gives two rows
	sums               []*tile.Value
	x                  func(r, i int) *tile.Value
	w                  func(v, i int) *tile.Value
}

// fma multiplies floats, n values of k and the last one first.
func fma(n int) func(s mmaStep) []*tile.Value {
	return func(s mmaStep) []*tile.Value {
		b, row := s.g.b, make([]*tile.Value, s.vecs)
		for i := n - 1; i >= 0; i-- {
			for v := range row {
				row[v] = s.w(v, i)
			}
			for r := range s.rows {
				x := b.Splat(s.x(r, i), s.g.lanes)
				for v, w := range row {
					s.sums[r*s.vecs+v] = b.FMA(x, w, s.sums[r*s.vecs+v])
				}
			}
		}
		return s.sums
	}
}

// fmaApart adds the products of a pair of k to two sums.
func fmaApart(s mmaStep) []*tile.Value {
	b := s.g.b
	for r := range s.rows {
		for i := range s.halves {
			x := b.Splat(s.x(r, i), s.g.lanes)
			for v := range s.vecs {
				sum := &s.sums[(r*s.vecs+v)*s.halves+i]
				*sum = b.FMA(x, s.w(v, i), *sum)
			}
		}
	}
	return s.sums
}

// joinedHalves adds the two sums of row r and vector of columns v.
func joinedHalves(s mmaStep, r, v int) *tile.Value {
	sums := s.sums[(r*s.vecs+v)*s.halves:]
	return s.g.b.Add(sums[0], sums[1])
}

// word copies word i of a row into every lane, as factors.
func (s mmaStep) word(r, i int) *tile.Value {
	x := s.x(r, i)
	if x.Type.Lanes > 1 {
		x = s.g.b.Bits(x, tile.I32)
	}
	return s.g.b.Bits(s.g.b.Splat(x, 4*s.g.lanes/x.Type.Elem.Bytes()), s.mma.w)
}

// dot adds the products of n words, which op multiplies with a vector of weights.
func dot(n int, op func(b *tile.Builder, sum, w, x *tile.Value) *tile.Value) func(s mmaStep) []*tile.Value {
	return func(s mmaStep) []*tile.Value {
		for i := range n {
			for r := range s.rows {
				x := s.word(r, i)
				for v := range s.vecs {
					for h := range s.halves {
						sum := &s.sums[((r*s.vecs+v)*s.chains+i%s.chains)*s.halves+h]
						*sum = op(s.g.b, *sum, s.w(v, i*s.halves+h), x)
					}
				}
			}
		}
		return s.sums
	}
}

func addDotI16(b *tile.Builder, sum, w, x *tile.Value) *tile.Value {
	return b.Add(sum, b.Dot(tile.DotI16, w, x))
}

// dotU8 adds the products of a chunk in i16 before it widens them: 8·15·127 = 15240 fits.
func dotU8(s mmaStep) []*tile.Value {
	b := s.g.b
	ones := b.Integer(tile.Vec(tile.I16, 2*s.g.lanes), 1)
	for r := range s.rows {
		words := once(func(i int) *tile.Value { return s.word(r, i) })
		for v := range s.vecs {
			var sum *tile.Value
			for i := range chunk / 4 {
				p := b.Dot(tile.DotU8, s.w(v, i), words(i))
				if sum == nil {
					sum = p
				} else {
					sum = b.Add(sum, p)
				}
			}
			s.sums[r*s.vecs+v] = b.Add(s.sums[r*s.vecs+v], b.Dot(tile.DotI16, sum, ones))
		}
	}
	return s.sums
}

// joined adds up the chains and the halves of a vector of columns of row r.
func joined(s mmaStep, r, v int) *tile.Value {
	b, n := s.g.b, s.chains*s.halves
	sums := s.sums[(r*s.vecs+v)*n:][:n]
	for len(sums) > s.halves {
		half := make([]*tile.Value, len(sums)/2)
		for i := range half {
			half[i] = b.Add(sums[i], sums[len(half)+i])
		}
		sums = half
	}
	if len(sums) == 1 {
		return sums[0]
	}
	even, odd := make([]int, s.g.lanes), make([]int, s.g.lanes)
	for i := range even {
		even[i], odd[i] = 2*i, 2*i+1
	}
	return b.Add(b.Shuffle(sums[0], sums[1], even...), b.Shuffle(sums[0], sums[1], odd...))
}
