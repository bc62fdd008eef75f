package quantized

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"pgc/checkpoint/lazy"
	"pgc/ir"
	"pgc/runtime/safetensors"
)

// bitsandbytes reads the weights of bitsandbytes: two codes of 4 bits a byte with a scale a block (functional.py,
// dequantize_4bit), or LLM.int8 with a scale a row (int8_vectorwise_dequant).
func bitsandbytes(name string, shape []int, get Get) (*Weight, error) {
	if _, ok := get(name + ".absmax"); ok {
		return fourBits(name, shape, get)
	}
	module := name[:len(name)-min(len(name), len("weight"))]
	scb, ok := get(module + "SCB")
	if !ok {
		return nil, nil
	}
	t, ok := get(name)
	if !ok || t.DType != safetensors.I8 || len(shape) != 2 {
		return nil, fmt.Errorf("tensor %s of LLM.int8 stands beside no matrix of int8: expected all tensors of one save", safetensors.Printable(scb.Name))
	}
	scales, err := floats(get, module+"SCB", shape[0])
	if err != nil {
		return nil, err
	}
	w := &Weight{From: name, Used: []string{name, module + "SCB", module + "weight_format"}}
	w.Tensor = lazy.Tensor{DType: ir.F32, Shape: t.Shape, Values: func(x []float32, at int) {
		for i := range x {
			x[i] = float32(float32(int8(t.Data[at+i])) * scales[(at+i)/shape[1]])
			x[i] = float32(x[i] * 7.874015718698502e-3)
		}
	}}
	return w, nil
}

// state is the JSON object that describes a weight of 4 bits.
type state struct {
	Block        int     `json:"blocksize"`
	DType        string  `json:"dtype"`
	Shape        []int   `json:"shape"`
	NestedBlock  int     `json:"nested_blocksize"`
	NestedOffset float64 `json:"nested_offset"`
	packed       safetensors.Tensor
	codes        []float32 // 16
	scales       []float32 // one a block; nil where they are nested
	nested       []byte    // a code for each scale
	nestedCodes  []float32 // 256
	nestedScales []float32
	offset       float32
}

// fourBits reads a weight of nf4 or fp4.
func fourBits(name string, shape []int, get Get) (*Weight, error) {
	var s state
	used := []string{name, name + ".absmax", name + ".quant_map"}
	var ok, described bool
	if s.packed, ok = get(name); !ok {
		return nil, fmt.Errorf("tensor %s.absmax stands beside no weight: expected all tensors of one save", name)
	}
	stored := safetensors.Printable(s.packed.Name)
	for _, kind := range []string{"nf4", "fp4"} {
		if t, ok := get(name + ".quant_state.bitsandbytes__" + kind); ok {
			if err := json.Unmarshal(t.Data, &s); err != nil {
				return nil, fmt.Errorf("tensor %s is no JSON (%w): expected the save of bitsandbytes as it was, or float weights", safetensors.Printable(t.Name), err)
			}
			described = true
			used = append(used, name+".quant_state.bitsandbytes__"+kind)
		}
	}
	dtype, known := map[string]ir.DType{"float32": ir.F32, "bfloat16": ir.BF16, "float16": ir.F16}[s.DType]
	n := count(shape)
	switch {
	case !described:
		return nil, fmt.Errorf("tensor %s has no quant_state.bitsandbytes__nf4 or __fp4 beside it: expected all tensors of one save", stored)
	case s.Block < 1 || !known:
		return nil, fmt.Errorf("the quant_state of tensor %s has blocksize %d and dtype %.40q, expected blocks of float32, bfloat16 or float16", stored, s.Block, s.DType)
	case !slices.Equal(s.Shape, shape):
		return nil, fmt.Errorf("the quant_state of tensor %s has shape %v, config.json asks for %v: expected the config.json that was saved with the weights", stored, s.Shape, shape)
	case len(s.packed.Data) != (n+1)/2:
		return nil, fmt.Errorf("tensor %s has %d bytes, expected %d for 4 bits of shape %v", stored, len(s.packed.Data), (n+1)/2, shape)
	}
	var err error
	if s.codes, err = floats(get, name+".quant_map", 16); err != nil {
		return nil, err
	}
	if s.codes[8] == 0 { // fp4, whose fourth bit is the sign
		s.codes[8] = float32(math.Copysign(0, -1))
	}
	blocks := (n + s.Block - 1) / s.Block
	absmax, _ := get(name + ".absmax")
	if absmax.DType != safetensors.U8 {
		if s.scales, err = floats(get, name+".absmax", blocks); err != nil {
			return nil, err
		}
	} else {
		if s.NestedBlock < 1 || len(absmax.Data) != blocks {
			return nil, fmt.Errorf("tensor %s has %d scales of 8 bits in blocks of %d, expected %d", safetensors.Printable(absmax.Name), len(absmax.Data), s.NestedBlock, blocks)
		}
		if s.nestedScales, err = floats(get, name+".nested_absmax", (blocks+s.NestedBlock-1)/s.NestedBlock); err != nil {
			return nil, err
		}
		if s.nestedCodes, err = floats(get, name+".nested_quant_map", 256); err != nil {
			return nil, err
		}
		s.nested, s.offset = absmax.Data, float32(s.NestedOffset)
		used = append(used, name+".nested_absmax", name+".nested_quant_map")
	}
	return &Weight{From: name, Used: used, Tensor: lazy.Tensor{DType: dtype, Shape: shape, Values: s.values}}, nil
}

// scale is that of a block.
func (s *state) scale(block int) float32 {
	if s.scales != nil {
		return s.scales[block]
	}
	return float32(s.nestedCodes[s.nested[block]]*s.nestedScales[block/s.NestedBlock]) + s.offset
}

// values fills x with the elements from at on. The first of two is in the high bits.
func (s *state) values(x []float32, at int) {
	block, scale := -1, float32(0)
	for i := range x {
		k := at + i
		if b := k / s.Block; b != block {
			block, scale = b, s.scale(b)
		}
		code := s.packed.Data[k/2] >> 4
		if k%2 == 1 {
			code = s.packed.Data[k/2] & 15
		}
		x[i] = float32(s.codes[code] * scale)
	}
}
