package kernels

import "pgc/ir/tile"

// Group is a format of integers in groups along K (see package quant); the zero Group means floats.
type Group struct {
	Bits int // 8 or 4
	Len  int64
}

// A quantized matrix is packed in blocks, one for every panel of 16 rows and group of k, panel by panel. A block is a
// header of 64 bytes and then the integers, short groups padded with zeros:
//
//	8 bits: 16 float32 scales; byte (k/2)·32 + n·2 + k%2 is element (n, k)
//	4 bits: 16 bfloat16 scales, 16 bfloat16 minima; byte (k/8)·64 + n·4 + k%4 holds (n, k), in its upper half if k%8 ≥ 4
//
// so that a vector of bytes holds neighbours in k for the products of neighbours that processors add.
const groupHeader = 64

// Blocks is the number of groups of a row of k values.
func (q Group) Blocks(k int64) int64 { return (k + q.Len - 1) / q.Len }

// BlockBytes is the size of a block.
func (q Group) BlockBytes() int64 { return groupHeader + PanelWidth*q.Len*int64(q.Bits)/8 }

// PackedBytes is the size of a packed matrix of blocks × n rows of k.
func (q Group) PackedBytes(blocks, n, k int64) int64 {
	return PackedLen(blocks, n, 1) / PanelWidth * q.Blocks(k) * q.BlockBytes()
}

// At returns where integer (n, k) of a block lies, n below 16 and k below the length of a group, and by how much it is shifted.
func (q Group) At(n, k int64) (at int64, shift int) {
	if q.Bits == 8 {
		return groupHeader + k/2*2*PanelWidth + n*2 + k%2, 0
	}
	return groupHeader + k/8*4*PanelWidth + n*4 + k%4, int(k % 8 / 4 * 4)
}

// chunk is how many steps of k the integer loops take at once.
const chunk = 16

// nibbles are the lower halves of the bytes of an i32.
const nibbles = 0x0f0f0f0f

// header loads the scales, and the minima of 4 bits, of columns v·lanes … of a block.
func (q Group) header(g *gen, block *tile.Value, v int) (scale, least *tile.Value) {
	b, at := g.b, g.b.Int(int64(v*g.lanes))
	if q.Bits == 8 {
		return b.Load(b.PtrCast(block, tile.F32), at, g.lanes), nil
	}
	p := b.PtrCast(block, tile.BF16)
	return b.Load(p, at, g.lanes), b.Load(p, b.Add(at, b.Int(PanelWidth)), g.lanes)
}

// widen writes a block as floats, step of k by step: element (n, k) to to[k·row + n].
func (q Group) widen(g *gen, block, steps, to *tile.Value, row int64) {
	b, lanes := g.b, g.lanes
	each := int64(8) // steps of k at a time
	if q.Bits == 8 {
		each = 2
	}
	vecs := PanelWidth / lanes
	for v := range vecs {
		scale, least := q.header(g, block, v)
		b.Range(b.Int(0), steps, b.Int(each), func(k *tile.Value) {
			put := func(i int64, x *tile.Value) {
				f := b.Cast(tile.IToF, x)
				if least == nil {
					f = b.Mul(f, scale)
				} else {
					f = b.FMA(f, scale, least)
				}
				b.Store(to, b.Add(b.Mul(b.Add(k, b.Int(i)), b.Int(row)), b.Int(int64(v*lanes))), f)
			}
			at := b.Add(b.Mul(k, b.Int(PanelWidth*int64(q.Bits)/8)), b.Int(groupHeader+int64(v*lanes)*each*int64(q.Bits)/8))
			if q.Bits == 8 {
				pair := b.WidenTo(b.Load(b.PtrAdd(block, at), b.Int(0), 2*lanes), tile.I32)
				even, odd := make([]int, lanes), make([]int, lanes)
				for i := range lanes {
					even[i], odd[i] = 2*i, 2*i+1
				}
				put(0, b.Shuffle(pair, pair, even...))
				put(1, b.Shuffle(pair, pair, odd...))
				return
			}
			x := b.Load(b.PtrCast(b.PtrAdd(block, at), tile.I32), b.Int(0), lanes)
			for i := range int64(8) {
				y := x
				if by := 8*(i%4) + i/4*4; by > 0 {
					y = b.Logic(tile.Shr, x, b.Int32(by, lanes))
				}
				put(i, b.Logic(tile.And, y, b.Int32(15, lanes)))
			}
		})
	}
}

// vectors is how many vectors of weights a chunk has: 8 of pairs, 4 of fours.
func (q Group) vectors() int { return q.Bits }

// unpacked gives the integers of chunk k0 of columns v·lanes … of a block as the dots want them, a word of x (see quantRows) a
// vector: 8 bits as eight vectors of i16 pairs, 4 bits as four of unsigned bytes. Vectors are asked for in order.
func (q Group) unpacked(g *gen, block, k0 *tile.Value, v int) func(i int) *tile.Value {
	b, lanes := g.b, g.lanes
	if q.Bits == 8 {
		return func(i int) *tile.Value {
			at := b.Add(b.Mul(k0, b.Int(PanelWidth)), b.Int(groupHeader+int64(i*2*PanelWidth+2*v*lanes)))
			return b.WidenTo(b.Load(block, at, 2*lanes), tile.I16)
		}
	}
	words := b.PtrCast(b.PtrAdd(block, b.Mul(k0, b.Int(PanelWidth/2))), tile.I32)
	mask := b.Int32(nibbles, lanes)
	var x *tile.Value
	return func(i int) *tile.Value {
		if i%2 == 1 {
			return b.Bits(b.Logic(tile.And, b.Logic(tile.Shr, x, b.Int32(4, lanes)), mask), tile.I8)
		}
		x = b.Load(words, b.Int(groupHeader/4+int64(i/2*PanelWidth+v*lanes)), lanes)
		return b.Bits(b.Logic(tile.And, x, mask), tile.I8)
	}
}

// dots adds to every accumulator a the products of a chunk of weights w(a, i), as unpacked gives them, with words x(a, i).
func (q Group) dots(g *gen, accs []*tile.Value, w, x func(a, i int) *tile.Value) []*tile.Value {
	b, lanes := g.b, g.lanes
	out := append([]*tile.Value{}, accs...)
	if q.Bits == 8 {
		for i := range q.vectors() {
			for a := range out {
				out[a] = b.Add(out[a], b.Dot(tile.DotI16, w(a, i), b.Bits(b.Splat(x(a, i), lanes), tile.I16)))
			}
		}
		return out
	}
	// Eight products of 4 by 8 bits fit i16: 8·15·127 = 15240.
	ones := b.Integer(tile.Vec(tile.I16, 2*lanes), 1)
	for a := range out {
		var sum *tile.Value
		for i := range q.vectors() {
			p := b.Dot(tile.DotU8, w(a, i), b.Bits(b.Splat(x(a, i), lanes), tile.I8))
			if sum == nil {
				sum = p
			} else {
				sum = b.Add(sum, p)
			}
		}
		out[a] = b.Add(out[a], b.Dot(tile.DotI16, sum, ones))
	}
	return out
}

// scaled adds a group's sum of integer products to a float accumulator: sum·sx·scale, and for 4 bits the minimum times the
// sum of the group of x.
func (q Group) scaled(g *gen, acc, sum, sx, xs, scale, least *tile.Value) *tile.Value {
	b := g.b
	acc = b.FMA(b.Mul(b.Cast(tile.IToF, sum), sx), scale, acc)
	if least != nil {
		acc = b.FMA(xs, least, acc)
	}
	return acc
}
