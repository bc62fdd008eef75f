// Package floats converts between stored floats and float32: little-endian f32, bf16 and f16.
package floats

import (
	"encoding/binary"
	"math"

	"github.com/x448/float16"

	"pgc/ir"
	"pgc/runtime/safetensors"
)

// stored maps the float types of tensor files.
var stored = map[safetensors.DType]ir.DType{safetensors.F32: ir.F32, safetensors.BF16: ir.BF16, safetensors.F16: ir.F16}

// Of returns the type of a file's tensor; ok is false for one that is not of floats.
func Of(d safetensors.DType) (t ir.DType, ok bool) {
	t, ok = stored[d]
	return t, ok
}

// Decode reads len(to) elements of data.
func Decode(to []float32, data []byte, from ir.DType) {
	le := binary.LittleEndian
	switch from {
	case ir.BF16:
		for len(to) >= 4 { // four at a time
			four := le.Uint64(data)
			v := to[:4]
			v[0] = math.Float32frombits(uint32(four) << 16)
			v[1] = math.Float32frombits(uint32(four) &^ 0xffff)
			v[2] = math.Float32frombits(uint32(four>>32) << 16)
			v[3] = math.Float32frombits(uint32(four>>32) &^ 0xffff)
			to, data = to[4:], data[8:]
		}
		for i := range to {
			to[i] = math.Float32frombits(uint32(le.Uint16(data[2*i:])) << 16)
		}
	case ir.F16:
		for i := range to {
			to[i] = float16.Frombits(le.Uint16(data[2*i:])).Float32()
		}
	default:
		for i := range to {
			to[i] = math.Float32frombits(le.Uint32(data[4*i:]))
		}
	}
}

// Append appends v as another type, rounded to nearest even, to data.
func Append(data []byte, v []float32, as ir.DType) []byte {
	le := binary.LittleEndian
	switch as {
	case ir.BF16:
		for _, x := range v {
			data = le.AppendUint16(data, bfloat16(x))
		}
	case ir.F16:
		for _, x := range v {
			data = le.AppendUint16(data, float16.Fromfloat32(x).Bits())
		}
	default:
		for _, x := range v {
			data = le.AppendUint32(data, math.Float32bits(x))
		}
	}
	return data
}

// Round rounds v to the values of a type, to nearest even.
func Round(v []float32, to ir.DType) {
	switch to {
	case ir.BF16:
		for i, x := range v {
			v[i] = math.Float32frombits(uint32(bfloat16(x)) << 16)
		}
	case ir.F16:
		for i, x := range v {
			v[i] = float16.Fromfloat32(x).Float32()
		}
	}
}

// bfloat16 rounds to nearest even; a NaN stays one.
func bfloat16(v float32) uint16 {
	bits := math.Float32bits(v)
	if v != v {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
