package packing

import "pgc/ir/quant"

// Fragments is how a matrix lies in the memory of a GPU: as operand A of mma.m16n8k16, in the order in which the
// threads of a warp hold it. Rows come in strips of PanelWidth, in the places that panels give them; a strip is a row of
// tiles of 512 bytes, k ascending, and behind them the scales of its groups.
//
// A tile has 16 bytes for each thread, one thread after the other, so that a warp reads it with one instruction. Thread
// 4g+t holds rows g and g+8 at k = 2t, 2t+1, 2t+8 and 2t+9 of every 16 values of k. With p, h and u the parity of k,
// whether it is one of the upper eight, and whether the row is:
//
//	bfloat16  16 k a tile: element (n, k) is the half word 4h + 2u + p
//	8 bits    32 k: byte 8j + 4h + 2p + u for the j-th 16 of k
//	4 bits    64 k: byte 4j + 2p + h, its upper half for the upper rows
//
// so that two instructions on a word give a register of operand A. K is padded with zeros to whole groups and tiles.
//
// Scales of two neighboring groups are 128 bytes, 16 for each g: those of rows g and g+8 of the first group, and of the
// second; an odd number of groups is padded with zeros. A scale is float32, or of affine codes bfloat16 with the
// minimum, in bfloat16, behind it.
type Fragments struct {
	K     int64
	Group Group // of integers; the zero Group means bfloat16
}

const (
	TileBytes      = 512 // of a tile of fragments
	ScalePairBytes = 128 // of the scales of two groups of a strip
)

// Bits is the size of an element.
func (f Fragments) Bits() int64 {
	if f.Group.Len > 0 {
		return f.Group.Bits()
	}
	return 16
}

// TileK counts the values of k in a tile.
func (f Fragments) TileK() int64 { return TileBytes * 8 / PanelWidth / f.Bits() }

// Tiles counts the tiles of a strip.
func (f Fragments) Tiles() int64 {
	k := f.K
	if f.Group.Len > 0 {
		k = f.Group.Blocks(k) * f.Group.Len
	}
	return (k + f.TileK() - 1) / f.TileK()
}

// ScalePairs counts the pairs of groups of a strip.
func (f Fragments) ScalePairs() int64 {
	if f.Group.Len == 0 {
		return 0
	}
	return (f.Group.Blocks(f.K) + 1) / 2
}

// StripBytes is the size of 16 rows.
func (f Fragments) StripBytes() int64 { return f.Tiles()*TileBytes + f.ScalePairs()*ScalePairBytes }

// Affine reports whether groups have minima.
func (f Fragments) Affine() bool { return f.Group.Len > 0 && f.Group.Affine() }

// Exact reports whether bfloat16 holds what codes stand for before their scale, and elements lie in fragments at all.
func (f Fragments) Exact() bool {
	return f.Group.Len == 0 || f.Group.Format.Traits().Codes != quant.Lookup
}

// ScaleAt returns where the scale of a group of row n of a strip lies.
func (f Fragments) ScaleAt(n, group int64) int64 {
	return f.Tiles()*TileBytes + group/2*ScalePairBytes + n%8*16 + group%2*8 + n/8*4
}
