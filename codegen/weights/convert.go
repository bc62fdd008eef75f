package weights

import (
	"encoding/binary"
	"math"
	"math/bits"

	"pgc/codegen/packing"
	"pgc/ir"
	"pgc/ir/floats"
	"pgc/ir/quant"
)

// convert returns data of one float type as another, rounding to nearest even; the same type is returned as it is.
func convert(data []byte, from, to ir.DType) []byte {
	if from == to {
		return data
	}
	v := make([]float32, len(data)/from.Bytes())
	floats.Decode(v, data, from)
	return floats.Append(make([]byte, 0, len(v)*to.Bytes()), v, to)
}

// notFinite returns the index of the first of little-endian floats that is infinite or NaN: one whose exponent has all
// bits. It returns -1 where there is none, and for other types.
func notFinite(data []byte, of ir.DType) int {
	var exponents, lowest, signs uint64 // the bits of all exponents in eight bytes, the lowest bit of each, all signs
	switch of {
	case ir.BF16:
		exponents, lowest, signs = 0x7f80_7f80_7f80_7f80, 0x0080_0080_0080_0080, 0x8000_8000_8000_8000
	case ir.F16:
		exponents, lowest, signs = 0x7c00_7c00_7c00_7c00, 0x0400_0400_0400_0400, 0x8000_8000_8000_8000
	case ir.F32:
		exponents, lowest, signs = 0x7f80_0000_7f80_0000, 0x0080_0000_0080_0000, 0x8000_0000_8000_0000
	default:
		return -1
	}
	// An exponent of ones carries into the place of its sign.
	carry := func(word uint64) uint64 { return (word&exponents + lowest) & signs }
	le, at := binary.LittleEndian, 0
	for ; at+8 <= len(data); at += 8 {
		if carried := carry(le.Uint64(data[at:])); carried != 0 {
			return (at + bits.TrailingZeros64(carried)/8) / of.Bytes()
		}
	}
	var last [8]byte
	copy(last[:], data[at:])
	if carried := carry(le.Uint64(last[:])); carried != 0 {
		return (at + bits.TrailingZeros64(carried)/8) / of.Bytes()
	}
	return -1
}

// quantizer packs rows into panels of codes. One goroutine uses it at a time.
type quantizer struct {
	format   packing.Group
	rounding *quant.Rounding
	groups   *quant.Groups
	row      []float32
	at       []int   // where the codes of a block lie, for the first row
	shift    []uint8 // by how much each is shifted
	step     int     // from one row to the next
	wordwise bool    // that codes lie four and four together
}

func newQuantizer(q packing.Group, cols int, r *quant.Rounding) *quantizer {
	z := &quantizer{format: q, rounding: r, groups: quant.NewGroups(cols, int(q.Len)), row: make([]float32, cols)}
	second, _ := q.At(1, 0)
	for k := range q.Len {
		at, shift := q.At(0, k)
		z.at, z.shift = append(z.at, int(at)), append(z.shift, uint8(shift))
	}
	z.step = int(second) - z.at[0]
	z.wordwise = true
	for k := range z.at {
		z.wordwise = z.wordwise && z.at[k] == z.at[k&^3]+k&3 && z.shift[k] == z.shift[k&^3]
	}
	return z
}

// pack quantizes z.row as the n-th of a panel. It reports false for what has no finite scale.
func (z *quantizer) pack(panel []byte, n int) bool {
	le, g, q := binary.LittleEndian, z.groups, z.format
	affine := q.Format.Traits().Codes == quant.Affine
	z.rounding.Row(z.row, q.Format, g)
	finite := true
	for i, scale := range g.Scale {
		if affine {
			le.PutUint16(panel[2*n:], uint16(math.Float32bits(scale)>>16))
			le.PutUint16(panel[2*(packing.PanelWidth+n):], uint16(math.Float32bits(g.Min[i])>>16))
			finite = finite && g.Min[i]-g.Min[i] == 0
		} else {
			le.PutUint32(panel[4*n:], math.Float32bits(scale))
		}
		finite = finite && scale-scale == 0
		first := i * g.Len
		codes := g.Q[first:min(len(g.Q), first+g.Len)]
		place, k := panel[n*z.step:], 0
		for ; z.wordwise && k+4 <= len(codes); k += 4 {
			word := place[z.at[k]:]
			le.PutUint32(word, le.Uint32(word)|le.Uint32(codes[k:])<<(z.shift[k]&7))
		}
		for ; k < len(codes); k++ {
			place[z.at[k]] |= codes[k] << (z.shift[k] & 7)
		}
		panel = panel[q.BlockBytes():]
	}
	return finite
}

// dequantize reads the n-th row of a panel as float32 values.
func dequantize(row, panel []byte, n int, q packing.Group) {
	le, t := binary.LittleEndian, q.Format.Traits()
	for k := range int64(len(row) / 4) {
		block := panel[k/q.Len*q.BlockBytes():]
		at, shift := q.At(int64(n), k%q.Len)
		scale, low := math.Float32frombits(le.Uint32(block[4*n:])), float32(0)
		if t.Codes == quant.Affine {
			bf16 := func(at int) float32 { return math.Float32frombits(uint32(le.Uint16(block[at:])) << 16) }
			scale, low = bf16(2*n), bf16(2*(packing.PanelWidth+n))
		}
		code := block[at] >> shift & byte(1<<t.Bits-1)
		le.PutUint32(row[4*k:], math.Float32bits(q.Format.Value(code, scale, low)))
	}
}
