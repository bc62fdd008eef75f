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
//	8 bits: 16 float32 scales; byte (k/4)·64 + n·4 + k%4 is element (n, k)
//	4 bits: 16 bfloat16 scales, 16 bfloat16 minima; byte (k/8)·64 + n·4 + k%4 holds (n, k), in its upper half if k%8 ≥ 4
//
// so that a vector of bytes holds neighbours in k, whose products processors add.
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
		return groupHeader + k/4*4*PanelWidth + n*4 + k%4, 0
	}
	return groupHeader + k/8*4*PanelWidth + n*4 + k%4, int(k % 8 / 4 * 4)
}

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
	each := int64(32 / q.Bits) // steps of k at a time
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
			at := b.Add(b.Mul(k, b.Int(PanelWidth*int64(q.Bits)/8)), b.Int(groupHeader+int64(4*v*lanes)))
			x := b.Load(b.PtrCast(b.PtrAdd(block, at), tile.I32), b.Int(0), lanes)
			if q.Bits == 8 { // each byte in turn to the top of its word, and down again with its sign
				for i := range each {
					y := x
					if i < 3 {
						y = b.Logic(tile.Shl, x, b.Int32(8*(3-i), lanes))
					}
					put(i, b.Logic(tile.Sar, y, b.Int32(24, lanes)))
				}
				return
			}
			for i := range each {
				y := x
				if by := 8*(i%4) + i/4*4; by > 0 {
					y = b.Logic(tile.Shr, x, b.Int32(by, lanes))
				}
				put(i, b.Logic(tile.And, y, b.Int32(15, lanes)))
			}
		})
	}
}
