package quantized

import (
	"encoding/binary"
	"fmt"

	"pgc/checkpoint/lazy"
	"pgc/ir"
	"pgc/models/config"
	"pgc/runtime/safetensors"
)

// torchao returns the reader of torchao's weights as transformers saves them: the parts of MODULE.weight are the tensors
// MODULE._weight_qdata and others. Scales may be float32 beside weights of the model's type.
func torchao(root, _ *config.Section) Reader {
	model, wrong := modelType(root)
	return func(name string, shape []int, get Get) (*Weight, error) {
		module := name[:len(name)-min(len(name), len("weight"))]
		part := func(part string) string { return module + "_weight_" + part }
		q, ok := get(part("qdata"))
		if !ok || len(shape) != 2 {
			return nil, nil
		}
		if _, ok := get(part("act_pre_scale")); ok {
			return nil, fmt.Errorf("tensor %s scales what is multiplied with the weight, which is not read: %s", part("act_pre_scale"), Dequantize)
		}
		if wrong != nil {
			return nil, wrong
		}
		w := &Weight{From: part("qdata"), Used: []string{part("qdata"), part("scale")}}
		var err error
		switch rows, columns := shape[0], shape[1]; {
		case q.DType == safetensors.F8E4M3 || q.DType == safetensors.F8E5M2:
			if s, _ := get(part("scale")); inPowers(s) {
				return nil, fmt.Errorf("tensor %s has the scales of an MXTensor, which may lie in the order of a GPU's tensor cores and are not read: %s", safetensors.Printable(s.Name), Dequantize)
			}
			w.Tensor, err = float8(part("qdata"), part("scale"), shape, equal, model, get)
		case q.DType == safetensors.I8 && len(q.Shape) == 2 && q.Shape[1] == columns:
			w.Tensor, err = integers(shape, get, part, model)
			if _, ok := get(part("zero_point")); ok {
				w.Used = append(w.Used, part("zero_point"))
			}
		case (q.DType == safetensors.I8 || q.DType == safetensors.U8) && len(q.Shape) == 2 && q.Shape[1]*2 == columns:
			if s, _ := get(part("scale")); inPowers(s) || s.DType == safetensors.F8E4M3 {
				return nil, fmt.Errorf("tensor %s has the scales of an NVFP4Tensor or MXTensor, which may lie in the order of a GPU's tensor cores and are not read: %s", safetensors.Printable(s.Name), Dequantize)
			}
			w.Tensor, err = nibbles(shape, get, part)
			w.Used = append(w.Used, part("zero_point"))
		case q.DType == safetensors.I32 && len(q.Shape) == 4 && q.Shape[0]*8 >= rows && q.Shape[1]*128 >= columns && q.Shape[2] == 32 && q.Shape[3] == 4:
			w.Tensor, err = tiles(shape, get, part)
			w.Used = []string{part("qdata"), part("scale_and_zero")}
		default:
			err = fmt.Errorf("tensor %s is %s of shape %v for a weight of %v, which is not read: %s", safetensors.Printable(q.Name), q.DType, q.Shape, shape, Dequantize)
		}
		return w, err
	}
}

// integers reads an Int8Tensor or IntxUnpackedToInt8Tensor: bytes, and a scale and a zero [rows, groups] or one for all
// (dequantize_affine). A scale of float32 leaves the model's type.
func integers(shape []int, get Get, part func(string) string, model ir.DType) (t lazy.Tensor, err error) {
	rows, columns := shape[0], shape[1]
	q, err := matrix(get, part("qdata"), safetensors.I8, shape...)
	if err != nil {
		return t, err
	}
	s, ok := get(part("scale"))
	if !ok || len(s.Shape) != 2 || s.Shape[0] != rows && s.Shape[0] != 1 || s.Shape[1] < 1 || columns%s.Shape[1] != 0 {
		return t, fmt.Errorf("tensor %s of shape %v does not scale the groups of a weight of %v: %s", part("scale"), s.Shape, shape, Dequantize)
	}
	count := s.Shape[1]
	v, dtype, err := scales(get, part("scale"), s.Shape[0]*count)
	if err != nil {
		return t, err
	}
	if dtype == ir.F32 {
		dtype = model
	}
	w := scaled{q: signed(q, columns), scales: v, row: count, by: 1, size: columns / count}
	if s.Shape[0] < rows {
		w.row = 0
	}
	if _, ok := get(part("zero_point")); ok {
		z, err := matrix(get, part("zero_point"), safetensors.I8, s.Shape...)
		if err != nil {
			return t, err
		}
		w.zero = signed(z, w.row)
	}
	return w.tensor(shape, dtype), nil
}

// nibbles reads an Int4Tensor: two numbers of -8 to 7 a byte, the first in the low bits, and a scale and an offset for each
// group of a row, [groups, rows] (int4_row_quantize_zp of mslk).
func nibbles(shape []int, get Get, part func(string) string) (t lazy.Tensor, err error) {
	rows, columns := shape[0], shape[1]
	q, _ := get(part("qdata"))
	s, ok := get(part("scale"))
	if !ok || len(s.Shape) != 2 || s.Shape[0] < 1 || columns%s.Shape[0] != 0 || q.Shape[0] != rows {
		return t, fmt.Errorf("tensor %s of shape %v does not scale the groups of a weight of %v: %s", part("scale"), s.Shape, shape, Dequantize)
	}
	count := s.Shape[0]
	v, dtype, err := scales(get, part("scale"), rows*count)
	if err != nil {
		return t, err
	}
	offsets, err := floats(get, part("zero_point"), rows*count)
	if err != nil {
		return t, err
	}
	return scaled{scales: v, offsets: offsets, row: 1, by: rows, size: columns / count, q: func(x []int32, r, c int) {
		for i := range x {
			at := r*columns + c + i
			x[i] = int32(int8(q.Data[at/2]<<(4-at%2*4))) >> 4
		}
	}}.tensor(shape, dtype), nil
}

// tiles reads an Int4TilePackedTo4dTensor, numbers of 0 to 15 in the order of tensor cores (matrix_to_m16n8k16_Bint4_layout
// of torch's int4mm.cu), [rows/8, columns/128, 32, 4] words of rows and columns padded, and scale_and_zero [groups, rows, 2],
// of (q - 8)·scale + zero.
func tiles(shape []int, get Get, part func(string) string) (t lazy.Tensor, err error) {
	columns := shape[1]
	q, _ := get(part("qdata"))
	rows, width := 8*q.Shape[0], 128*q.Shape[1] // padded
	s, ok := get(part("scale_and_zero"))
	if !ok || len(s.Shape) != 3 || s.Shape[0] < 1 || width%s.Shape[0] != 0 || s.Shape[1] != rows || s.Shape[2] != 2 {
		return t, fmt.Errorf("tensor %s of shape %v does not scale the groups of a weight of %v: %s", part("scale_and_zero"), s.Shape, shape, Dequantize)
	}
	count := s.Shape[0]
	both, dtype, err := scales(get, part("scale_and_zero"), 2*rows*count)
	if err != nil {
		return t, err
	}
	w := scaled{scales: both, offsets: both[1:], row: 2, by: 2 * rows, size: width / count}
	w.q = func(x []int32, r, c int) {
		for i := range x {
			c := c + i
			pair := c % 32 / 2 // of columns, in 32
			lane, nibble := r%8*4+pair%4, pair/4+c%2*4
			word := binary.LittleEndian.Uint32(q.Data[4*(((r/8*q.Shape[1]+c/128)*32+lane)*4+c%128/32):])
			x[i] = int32(word>>(4*nibble)&15) - 8
		}
	}
	return w.tensor([]int{shape[0], columns}, dtype), nil
}
