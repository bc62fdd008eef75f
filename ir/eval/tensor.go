// Package eval is the reference interpreter of the tensor graph and the oracle of every test of passes and backends.
//
// It computes in float64 and rounds only in convert, so that an optimized function agrees with its plain original to
// about 1e-12. It evaluates fused operations through their Expand.
package eval

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/x448/float16"

	"pgc/ir"
	"pgc/ir/quant"
)

// Tensor is a dense tensor in row-major order. Data holds integers and booleans (0 or 1) exactly; bf16 and f16 tensors
// hold values of those formats.
type Tensor struct {
	DType ir.DType
	Shape []int
	Data  []float64
}

// New returns a tensor of zeros.
func New(d ir.DType, shape ...int) *Tensor {
	return &Tensor{d, shape, make([]float64, count(shape))}
}

// FromFloat32 returns an f32 tensor of the given values.
func FromFloat32(values []float32, shape ...int) *Tensor { return from(ir.F32, values, shape) }

// FromInt32 returns an i32 tensor of the given values.
func FromInt32(values []int32, shape ...int) *Tensor { return from(ir.I32, values, shape) }

func from[E float32 | int32](d ir.DType, values []E, shape []int) *Tensor {
	t := &Tensor{d, shape, make([]float64, len(values))}
	for i, v := range values {
		t.Data[i] = float64(v)
	}
	return t
}

// Decode reads a tensor from its little-endian storage: the bytes of a safetensors entry or of a buffer of a backend.
func Decode(d ir.DType, raw []byte, shape ...int) (*Tensor, error) {
	t := New(d, shape...)
	size := d.Bytes()
	if size == 0 {
		return nil, fmt.Errorf("%s is no type of single values", d)
	}
	if len(raw) != size*len(t.Data) {
		return nil, fmt.Errorf("%d bytes for a tensor %s%v, expected %d", len(raw), d, shape, size*len(t.Data))
	}
	for i := range t.Data {
		t.Data[i] = decode(d, raw[i*size:])
	}
	return t, nil
}

func decode(d ir.DType, raw []byte) float64 {
	le := binary.LittleEndian
	switch d {
	case ir.F32:
		return float64(math.Float32frombits(le.Uint32(raw)))
	case ir.I32:
		return float64(int32(le.Uint32(raw)))
	case ir.BF16:
		return float64(math.Float32frombits(uint32(le.Uint16(raw)) << 16))
	case ir.F16:
		return float64(float16.Frombits(le.Uint16(raw)).Float32())
	}
	return float64(raw[0])
}

// Encode returns the little-endian storage of t; f32 values are rounded.
func (t *Tensor) Encode() []byte {
	le := binary.LittleEndian
	raw := make([]byte, 0, t.DType.Bytes()*len(t.Data))
	for _, v := range t.Data {
		switch t.DType {
		case ir.F32:
			raw = le.AppendUint32(raw, math.Float32bits(float32(v)))
		case ir.I32:
			raw = le.AppendUint32(raw, uint32(int32(v)))
		case ir.BF16:
			raw = le.AppendUint16(raw, bf16bits(v))
		case ir.F16:
			raw = le.AppendUint16(raw, float16.Fromfloat32(float32(v)).Bits())
		default:
			raw = append(raw, byte(v))
		}
	}
	return raw
}

// bf16bits rounds to bfloat16 by way of float32, to nearest even.
func bf16bits(v float64) uint16 {
	b := math.Float32bits(float32(v))
	if v != v {
		return uint16(b>>16) | 0x40 // keeps a NaN one
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// Float32 returns the values rounded to float32.
func (t *Tensor) Float32() []float32 {
	out := make([]float32, len(t.Data))
	for i, v := range t.Data {
		out[i] = float32(v)
	}
	return out
}

// Convert converts t to another type: it rounds floats, in groups for quantized formats.
func (t *Tensor) Convert(d ir.DType) *Tensor { return &Tensor{d, t.Shape, rounded(d, t.Data, t.Shape)} }

// rounded returns values converted to type d.
func rounded(d ir.DType, values []float64, shape []int) []float64 {
	out := slices.Clone(values)
	if f, group := d.Group(); group > 0 {
		for row := range slices.Chunk(out, max(1, shape[len(shape)-1])) {
			quant.Round(row, f, group)
		}
		return out
	}
	for i, v := range values {
		out[i] = round(d, v)
	}
	return out
}

// round converts v to type d: it rounds to floats and truncates to integers.
func round(d ir.DType, v float64) float64 {
	switch d {
	case ir.F32:
		return float64(float32(v))
	case ir.BF16:
		return float64(math.Float32frombits(uint32(bf16bits(v)) << 16))
	case ir.F16:
		return float64(float16.Fromfloat32(float32(v)).Float32())
	case ir.I32:
		return math.Trunc(v)
	case ir.Bool:
		if v != 0 {
			return 1
		}
	}
	return 0
}

// Random returns a tensor of type t, under the given symbols, of values drawn evenly from r.
func Random(rng *rand.Rand, t ir.Type, syms map[string]int, r ir.Range) (*Tensor, error) {
	shape, err := t.Eval(syms)
	if err != nil {
		return nil, err
	}
	if err := fits(t, shape); err != nil {
		return nil, err
	}
	out := New(t.DType, shape...)
	for i := range out.Data {
		v := r.Lo + (r.Hi-r.Lo)*rng.Float64()
		switch t.DType {
		case ir.I32:
			v = math.Floor(v)
		case ir.Bool:
			v = float64(rng.IntN(2))
		}
		out.Data[i] = v
	}
	return out.Convert(t.DType), nil
}

// maxElements limits what one tensor may take: 32 GiB.
const maxElements = 1 << 32

// fits returns an error for a tensor that is too large to be evaluated. t has passed ir's verifier, so that its number
// of elements is no overflow.
func fits(t ir.Type, shape []int) error {
	if n := count(shape); n > maxElements {
		return fmt.Errorf("%s has %d elements, expected at most %d where it is evaluated", t, n, maxElements)
	}
	return nil
}

func count(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// strides returns the strides of a row-major tensor.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// copyStrided fills dst, of the given shape in row-major order, with the elements of src at those strides.
func copyStrided(dst, src []float64, shape, stride []int) {
	switch len(shape) {
	case 0:
		dst[0] = src[0]
	case 1:
		for i, at := 0, 0; i < shape[0]; i, at = i+1, at+stride[0] {
			dst[i] = src[at]
		}
	default:
		if len(dst) == 0 {
			return
		}
		n := len(dst) / shape[0]
		for i := range shape[0] {
			copyStrided(dst[i*n:(i+1)*n], src[i*stride[0]:], shape[1:], stride[1:])
		}
	}
}

// broadcast returns t stretched to shape, or t itself.
func (t *Tensor) broadcast(shape []int) []float64 {
	if count(shape) == len(t.Data) {
		return t.Data // dimensions of 1 at most
	}
	own := strides(t.Shape)
	stride := make([]int, len(shape))
	for i, d := range t.Shape {
		if d != 1 {
			stride[len(shape)-len(t.Shape)+i] = own[i]
		}
	}
	out := make([]float64, count(shape))
	copyStrided(out, t.Data, shape, stride)
	return out
}

// transpose returns the elements of t with dimension i of the result being dimension perm[i].
func (t *Tensor) transpose(perm []int) *Tensor {
	own := strides(t.Shape)
	shape, stride := make([]int, len(perm)), make([]int, len(perm))
	for i, p := range perm {
		shape[i], stride[i] = t.Shape[p], own[p]
	}
	out := New(t.DType, shape...)
	copyStrided(out.Data, t.Data, shape, stride)
	return out
}
