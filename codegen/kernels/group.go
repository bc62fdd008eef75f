package kernels

import (
	"pgc/ir/quant"
	"pgc/ir/tile"
)

// Group is a format in groups along K (see package quant) and their length; the zero Group means floats.
type Group struct {
	Format quant.Format
	Len    int64
}

// A quantized matrix is packed in blocks, one for every panel of 16 rows and group of k, panel by panel. A block is a
// header of 64 bytes and then the codes, short groups padded with zeros:
//
//	header: 16 float32 scales, or of affine codes 16 bfloat16 scales and 16 bfloat16 minima
//	8 bits: byte (k/4)·64 + n·4 + k%4 is element (n, k)
//	4 bits: byte (k/8)·64 + n·4 + k%4 holds (n, k), in its upper half if k%8 ≥ 4
//
// so that a vector of bytes holds neighbors in k, whose products processors add.
const groupHeader = 64

// Blocks counts the groups of a row of k values.
func (q Group) Blocks(k int64) int64 { return (k + q.Len - 1) / q.Len }

// HeaderBytes returns the size of a block's header.
func (q Group) HeaderBytes() int64 { return groupHeader }

// BlockBytes returns the size of a block.
func (q Group) BlockBytes() int64 { return groupHeader + q.Len*q.stepBytes() }

// PackedBytes returns the size of a packed matrix of blocks × n rows of k.
func (q Group) PackedBytes(blocks, n, k int64) int64 {
	return PackedLen(blocks, n, 1) / PanelWidth * q.Blocks(k) * q.BlockBytes()
}

// wordCodes counts the codes in four bytes.
func (q Group) wordCodes() int64 { return 32 / q.bits() }

// At returns where the code of (n, k) of a block lies, n below 16 and k below the length of a group, and by how much it
// is shifted.
func (q Group) At(n, k int64) (at int64, shift int) {
	word, in := k/q.wordCodes(), k%q.wordCodes()
	return groupHeader + word*4*PanelWidth + n*4 + in%4, int(in / 4 * q.bits())
}

// stepBytes returns how far a step of k is from the next in a block.
func (q Group) stepBytes() int64 { return PanelWidth * q.bits() / 8 }

func (q Group) bits() int64 { return int64(q.Format.Traits().Bits) }

// affine reports whether blocks have minima.
func (q Group) affine() bool { return q.Format.Traits().Codes == quant.Affine }

// decoded returns what code i of every word stands for before its scale: the word's codes lie as At has them.
func (q Group) decoded(b *tile.Builder, word *tile.Value, i int) *tile.Value {
	bits, lanes := int(q.bits()), word.Type.Lanes
	first := 8*(i%4) + i/4*bits // of the code's bits
	by := func(op tile.Op, n int) *tile.Value {
		if n == 0 {
			return word
		}
		return b.Logic(op, word, b.Int32(int64(n), lanes))
	}
	switch t := q.Format.Traits(); t.Codes {
	case quant.Affine:
		return b.Cast(tile.IToF, b.Logic(tile.And, by(tile.Shr, first), b.Int32(1<<bits-1, lanes)))
	case quant.Lookup:
		return b.Lookup(by(tile.Shr, first), t.Levels)
	}
	word = by(tile.Shl, 32-bits-first) // to the top of its word, and down again with its sign
	return b.Cast(tile.IToF, b.Logic(tile.Sar, word, b.Int32(int64(32-bits), lanes)))
}

// header loads the scales, and the minima of affine codes, which lie `apart` numbers behind them, of `lanes` rows of a
// block from row n on.
func (q Group) header(b *tile.Builder, block, n *tile.Value, lanes int, apart int64) (scale, low *tile.Value) {
	if !q.affine() {
		return b.Load(b.PtrCast(block, tile.F32), n, lanes), nil
	}
	p := b.PtrCast(block, tile.BF16)
	return b.Load(p, n, lanes), b.Load(p, b.Add(n, b.Int(apart)), lanes)
}

// scaled returns values from what their codes stand for, and scales and minima.
func (q Group) scaled(b *tile.Builder, x, scale, low *tile.Value) *tile.Value {
	if q.affine() {
		return b.FMA(x, scale, low)
	}
	return b.Mul(x, scale)
}
