package codegen

import (
	"encoding/binary"
	"math"

	"github.com/x448/float16"

	"pgc/codegen/kernels"
	"pgc/ir"
	"pgc/ir/quant"
)

// convert returns data of one float type as another, rounding to nearest even; the same type is returned as it is.
func convert(data []byte, from, to ir.DType) []byte {
	if from == to {
		return data
	}
	n := len(data) / from.Bytes()
	out := make([]byte, 0, n*to.Bytes())
	for i := range n {
		var v float32
		switch from {
		case ir.BF16:
			v = math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[2*i:])) << 16)
		case ir.F16:
			v = float16.Frombits(binary.LittleEndian.Uint16(data[2*i:])).Float32()
		default:
			v = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		switch to {
		case ir.BF16:
			out = binary.LittleEndian.AppendUint16(out, bfloat16(v))
		case ir.F16:
			out = binary.LittleEndian.AppendUint16(out, float16.Fromfloat32(v).Bits())
		default:
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
	}
	return out
}

// bfloat16 rounds to nearest even; a NaN stays one.
func bfloat16(v float32) uint16 {
	bits := math.Float32bits(v)
	if v != v {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// floats returns data of a float type as numbers.
func floats(data []byte, from ir.DType) []float32 {
	data = convert(data, from, ir.F32)
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}

// quantize packs a row, the n-th of a panel, into the panel's blocks.
func quantize(panel []byte, row []float32, n int, q kernels.Group) {
	le := binary.LittleEndian
	i8, u4 := make([]int8, q.Len), make([]uint8, q.Len)
	for len(row) > 0 {
		x := row[:min(len(row), int(q.Len))]
		if q.Bits == 8 {
			le.PutUint32(panel[4*n:], math.Float32bits(quant.Symmetric8(x, i8[:len(x)])))
		} else {
			scale, least := quant.Asymmetric4(x, u4[:len(x)], false)
			le.PutUint16(panel[2*n:], uint16(math.Float32bits(scale)>>16))
			le.PutUint16(panel[2*(kernels.PanelWidth+n):], uint16(math.Float32bits(least)>>16))
		}
		for k := range x {
			at, shift := q.At(int64(n), int64(k))
			if q.Bits == 8 {
				panel[at] = byte(i8[k])
			} else {
				panel[at] |= u4[k] << shift
			}
		}
		row, panel = row[len(x):], panel[q.BlockBytes():]
	}
}

// dequantize reads the n-th row of a panel as float32 values.
func dequantize(row, panel []byte, n int, q kernels.Group) {
	le := binary.LittleEndian
	for k := range int64(len(row) / 4) {
		block := panel[k/q.Len*q.BlockBytes():]
		at, shift := q.At(int64(n), k%q.Len)
		v := float32(0)
		if q.Bits == 8 {
			v = float32(int8(block[at])) * math.Float32frombits(le.Uint32(block[4*n:]))
		} else {
			bf16 := func(at int) float32 { return math.Float32frombits(uint32(le.Uint16(block[at:])) << 16) }
			v = quant.Value4(block[at]>>shift&15, bf16(2*n), bf16(2*(kernels.PanelWidth+n)))
		}
		le.PutUint32(row[4*k:], math.Float32bits(v))
	}
}
