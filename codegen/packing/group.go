package packing

import "pgc/ir/quant"

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
const HeaderBytes = 64

// Blocks counts the groups of a row of k values.
func (q Group) Blocks(k int64) int64 { return (k + q.Len - 1) / q.Len }

// BlockBytes returns the size of a block.
func (q Group) BlockBytes() int64 { return HeaderBytes + q.Len*q.StepBytes() }

// PackedBytes returns the size of a packed matrix of blocks × n rows of k.
func (q Group) PackedBytes(blocks, n, k int64) int64 {
	return Len(blocks, n, 1) / PanelWidth * q.Blocks(k) * q.BlockBytes()
}

// WordCodes counts the codes in four bytes.
func (q Group) WordCodes() int64 { return 32 / q.Bits() }

// At returns where the code of (n, k) of a block lies, n below 16 and k below the length of a group, and by how much it
// is shifted.
func (q Group) At(n, k int64) (at int64, shift int) {
	word, in := k/q.WordCodes(), k%q.WordCodes()
	return HeaderBytes + word*4*PanelWidth + n*4 + in%4, int(in / 4 * q.Bits())
}

// StepBytes returns how far a step of k is from the next in a block.
func (q Group) StepBytes() int64 { return PanelWidth * q.Bits() / 8 }

// Bits returns the size of a code.
func (q Group) Bits() int64 { return int64(q.Format.Traits().Bits) }

// Affine reports whether blocks have minima.
func (q Group) Affine() bool { return q.Format.Traits().Codes == quant.Affine }
