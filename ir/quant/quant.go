// Package quant is the arithmetic of the storage formats of weights in groups: how a group of neighboring values of a
// row becomes codes of a few bits and a scale, and what these stand for.
//
// A format is a row of one table (Traits). Symmetric 8-bit groups hold q·scale with q in -127…127 and a float32 scale;
// weights and activations use them. Affine 4-bit groups hold q·scale + min with q in 0…15, scale and min rounded to
// bfloat16, as torchao's int4_weight_only has them. Groups of a lookup hold level·scale, as bitsandbytes' NF4. All
// arithmetic is float32, one rounding an operation, so that kernels reproduce it bit for bit and every machine compiles
// to the same bytes.
//
// How codes are chosen is a Rounding: plain, with a search for the scale, or with second moments of the inputs, so
// that the error of the products is small rather than that of the weights.
package quant

import "math"

// Symmetric8 quantizes a group to q, bytes in two's complement, as long as x, and returns the scale: the greatest
// magnitude over 127. Values round to nearest, ties to even. A group of zeros, or of values whose scale is too small to
// invert, has scale 0.
func Symmetric8(x []float32, q []byte) (scale float32) {
	most := top(x)
	if !(most >= Smallest) {
		clear(q)
		return most - most // 0, or NaN
	}
	scaled(x, q, 127/most)
	return most / 127
}

// Smallest is the least magnitude that an 8-bit group is scaled by: the reciprocal of anything smaller may overflow.
const Smallest = 1e-30

// affineValue is q·scale + min, rounded once.
func affineValue(q uint8, scale, min float32) float32 {
	return float32(math.FMA(float64(q), float64(scale), float64(min))) // exact in float64: 4 by 8 bits, and one addition
}

// BF16 rounds to bfloat16, ties to even; what is beyond its range becomes infinite.
func BF16(v float32) float32 {
	b := math.Float32bits(v)
	if v != v {
		return v
	}
	return math.Float32frombits((b + 0x7fff + b>>16&1) &^ 0xffff)
}

// Round replaces the values of a row by what they are in a format; the last group may be short.
func Round(row []float64, f Format, group int) {
	x := make([]float32, len(row))
	for i, v := range row {
		x[i] = float32(v)
	}
	g := NewGroups(len(x), group)
	(*Rounding)(nil).Row(x, f, g)
	for i := range row {
		row[i] = float64(g.Value(i, f))
	}
}

// Groups are the codes of a row and what scales them.
type Groups struct {
	Len        int       // of a group
	Q          []byte    // the codes of the row
	Scale, Min []float32 // of every group
	work       []float32 // room for a row
}

// NewGroups makes room for a row of n values in groups.
func NewGroups(n, group int) *Groups {
	blocks := (n + group - 1) / group
	return &Groups{Len: group, Q: make([]byte, n), Scale: make([]float32, blocks), Min: make([]float32, blocks)}
}

// Value is what code i of the row stands for.
func (g *Groups) Value(i int, f Format) float32 {
	return f.Value(g.Q[i], g.Scale[i/g.Len], g.Min[i/g.Len])
}

// Row says how a row of values in symmetric 8-bit groups lies in the memory of a running program: the integers, padded
// with zeros to a cache line, and behind them three numbers a group. All are byte counts.
type Row struct {
	Scales  int64 // float32
	Sums    int64 // float32: the sum of the integers times the scale, for products with asymmetric weights
	Offsets int64 // int32: the sum of the integers times -Offset, for products with weights that were made unsigned
	Bytes   int64
}

// Offset makes a signed byte an unsigned one.
const Offset = 128

// RowLayout is the layout of a row of k values.
func RowLayout(k, group int64) Row {
	each := 4 * ((k + group - 1) / group)
	scales := (k + 63) / 64 * 64
	return Row{scales, scales + each, scales + 2*each, (scales + 3*each + 63) / 64 * 64}
}
