package quantized

import (
	"cmp"
	"fmt"
	"math"
	"strings"

	"pgc/checkpoint/lazy"
	"pgc/ir"
	"pgc/models/config"
	"pgc/runtime/safetensors"
)

// The values of float8_e4m3fn, which has no infinities, and of float8_e5m2.
var (
	e4m3 = numbers8(3, 7, map[int]float64{127: math.NaN()})
	e5m2 = numbers8(2, 15, map[int]float64{124: math.Inf(1), 125: math.NaN(), 126: math.NaN(), 127: math.NaN()})
)

// numbers8 are the values of floats of 8 bits: a sign, an exponent with a bias, so many bits of mantissa, and codes without a sign
// that have others.
func numbers8(mantissa, bias int, others map[int]float64) (table []float32) {
	for code := range 256 {
		e, m := code&127>>mantissa, math.Ldexp(float64(code&(1<<mantissa-1)), -mantissa)
		v, other := others[code&127]
		switch {
		case other:
		case e == 0:
			v = math.Ldexp(m, 1-bias)
		default:
			v = math.Ldexp(1+m, e-bias)
		}
		if code >= 128 {
			v = math.Copysign(v, -1)
		}
		table = append(table, float32(v))
	}
	return table
}

// Float8 returns a tensor of float8 without scales, whose values are the weights themselves, as bfloat16, which has them all.
// ok is false for another.
func Float8(t safetensors.Tensor) (plain lazy.Tensor, ok bool) {
	table, ok := map[safetensors.DType][]float32{safetensors.F8E4M3: e4m3, safetensors.F8E5M2: e5m2}[t.DType]
	return lazy.Tensor{DType: ir.BF16, Shape: t.Shape, Values: func(x []float32, at int) {
		for i := range x {
			x[i] = table[t.Data[at+i]]
		}
	}}, ok
}

// e2m1 are the values of numbers of 4 bits: a sign, two bits of exponent, one of mantissa.
var e2m1 = []float32{0, 0.5, 1, 1.5, 2, 3, 4, 6, float32(math.Copysign(0, -1)), -0.5, -1, -1.5, -2, -3, -4, -6}

// bytesOf are the bytes of a matrix of so many columns.
func bytesOf(t safetensors.Tensor, columns int) grid {
	return func(q []int32, r, c int) {
		for i, v := range t.Data[r*columns+c:][:len(q)] {
			q[i] = int32(v)
		}
	}
}

// cut returns how many of all elements along an axis have a scale together, where there are count scales; 0 where that cannot be.
type cut func(axis, all, count int) int

// equal are parts of one size.
func equal(_, all, count int) int {
	if count > 0 && all%count == 0 {
		return all / count
	}
	return 0
}

// blocks are parts of a size for each axis, of which the last may be smaller.
func blocks(size [2]int) cut {
	return func(axis, all, count int) int {
		if n := size[axis]; n > 0 && (all+n-1)/n == count {
			return n
		}
		return 0
	}
}

// either is a, or b where a cannot be.
func either(a, b cut) cut {
	return func(axis, all, count int) int { return cmp.Or(a(axis, all, count), b(axis, all, count)) }
}

// powers are scales in bytes, E8M0: powers of two.
func powers(t safetensors.Tensor) (v []float32) {
	for _, e := range t.Data {
		v = append(v, float32(math.Ldexp(1, int(e)-127)))
	}
	return v
}

// inPowers reports whether scales are such bytes.
func inPowers(t safetensors.Tensor) bool {
	return t.DType == safetensors.U8 || t.DType == safetensors.F8E8M0
}

// float8 reads a weight of float8, e4m3fn or e5m2, with a scale for each block of rows and columns, and returns it as dtype, or in the type
// of the scales if that is Invalid.
func float8(name, scaling string, shape []int, sizes cut, dtype ir.DType, get Get) (t lazy.Tensor, err error) {
	kind, table := safetensors.F8E4M3, e4m3
	if q, _ := get(name); q.DType == safetensors.F8E5M2 {
		kind, table = safetensors.F8E5M2, e5m2
	}
	q, err := matrix(get, name, kind, shape...)
	if err != nil {
		return t, err
	}
	s, _ := get(scaling)
	high, wide := 1, 1 // the scales
	switch n := len(s.Shape); {
	case n == 2:
		high, wide = s.Shape[0], s.Shape[1]
	case n == 1 && s.Shape[0] == shape[0]:
		high = shape[0]
	case n > 1 || n == 1 && s.Shape[0] != 1:
		high = 0
	}
	tall, columns := sizes(0, shape[0], high), sizes(1, shape[1], wide)
	if tall == 0 || columns == 0 {
		return t, fmt.Errorf("tensor %s has shape %v, expected a scale for every row, block or all of %v", safetensors.Printable(s.Name), s.Shape, shape)
	}
	v, of, err := scales(get, scaling, high*wide)
	if inPowers(s) && len(s.Data) == high*wide {
		v, of, err = powers(s), ir.BF16, nil
	}
	if err != nil {
		return t, err
	}
	if dtype == ir.Invalid {
		dtype = of
	}
	return scaled{q: bytesOf(q, shape[1]), table: table, scales: v, row: wide, by: 1, size: columns, tall: tall}.tensor(shape, dtype), nil
}

// modelType is the type that config.json says the model's weights have.
func modelType(root *config.Section) (d ir.DType, err error) {
	name := root.String("dtype", root.String("torch_dtype", "float32"))
	d, ok := map[string]ir.DType{"float32": ir.F32, "bfloat16": ir.BF16, "float16": ir.F16}[name]
	if !ok {
		err = fmt.Errorf("dtype in config.json is %q, expected float32, bfloat16 or float16", name)
	}
	return d, err
}

// inFloat8 returns the reader of a method whose weights are float8 in the model's type, with scales that are named so. A
// scale of an activation is for the tool's own kernels.
func inFloat8(suffix string) func(root, s *config.Section) Reader {
	return func(root, s *config.Section) Reader {
		model, wrong := modelType(root)
		sizes := cut(equal) // first, as in transformers' Fp8Dequantize
		if size := s.Ints("weight_block_size"); len(size) == 2 {
			sizes = either(equal, blocks([2]int{size[0], size[1]}))
		}
		return func(name string, shape []int, get Get) (*Weight, error) {
			if _, ok := get(name + suffix); !ok || len(shape) != 2 {
				return nil, nil
			}
			if wrong != nil {
				return nil, wrong
			}
			t, err := float8(name, name+suffix, shape, sizes, model, get)
			return &Weight{Tensor: t, From: name, Used: append(activations(name, get), name, name+suffix)}, err
		}
	}
}

// activations lists the tensors about activations and the KV cache beside a weight, which are not quantized here.
func activations(name string, get Get) (list []string) {
	module := name[:len(name)-min(len(name), len("weight"))]
	parts := []string{module + "input_scale", module + "input_zero_point", module + "input_global_scale", module + "input_scale_ub",
		module + "activation_scale", module + "output_scale", module + "output_zero_point"}
	for _, of := range []string{"q", "k", "v"} { // of attention
		if up, ok := strings.CutSuffix(module, of+"_proj."); ok {
			parts = append(parts, up+of+"_scale", up+of+"_zero_point")
		}
	}
	for _, part := range parts {
		if _, ok := get(part); ok {
			list = append(list, part)
		}
	}
	return list
}

// e2m3 are the values of numbers of 6 bits: a sign, two bits of exponent, three of mantissa.
var e2m3 = func() (v []float32) {
	for code := range 64 {
		e, m := code&31>>3, float64(code&7)/8
		x := m
		if e > 0 {
			x = math.Ldexp(1+m, e-1)
		}
		if code >= 32 {
			x = math.Copysign(x, -1)
		}
		v = append(v, float32(x))
	}
	return v
}()

// packedFloats reads a weight of compressed-tensors' nvfp4-, mxfp4- or mxfp6-pack-quantized: numbers of 4 or 6 bits in bytes, the
// first in the low bits. nvfp4 has a scale of float8 for each 16 of a row, which is divided by one for all, the others a power of
// two for each 32. The result is bfloat16.
func packedFloats(name string, shape []int, get Get) (*Weight, error) {
	rows, columns := shape[0], shape[1]
	s, _ := get(name + "_scale")
	bits, table := 4, e2m1
	if q, _ := get(name + "_packed"); inPowers(s) && len(q.Shape) == 2 && q.Shape[1]*4 == columns*3 {
		bits, table = 6, e2m3
	}
	q, err := matrix(get, name+"_packed", safetensors.U8, rows, columns*bits/8)
	if err != nil {
		return nil, err
	}
	if len(s.Shape) != 2 || s.Shape[0] != rows || s.Shape[1] < 1 || columns%s.Shape[1] != 0 || s.DType != safetensors.F8E4M3 && !inPowers(s) {
		return nil, fmt.Errorf("tensor %s_scale is %s of shape %v, expected F8_E4M3 or powers of two in U8 for every group of a row of %v", name, s.DType, s.Shape, shape)
	}
	used := append(activations(name, get), name+"_packed", name+"_scale")
	var v []float32
	if inPowers(s) {
		v = powers(s)
	} else {
		all, err := floats(get, name+"_global_scale", 1)
		if err != nil {
			return nil, err
		}
		for _, code := range s.Data {
			v = append(v, e4m3[code]/all[0])
		}
		used = append(used, name+"_global_scale")
	}
	w := scaled{table: table, scales: v, row: s.Shape[1], by: 1, size: columns / s.Shape[1], q: func(x []int32, r, c int) {
		for i := range x {
			at := (r*columns + c + i) * bits
			word := int32(q.Data[at/8])
			if at%8+bits > 8 {
				word |= int32(q.Data[at/8+1]) << 8
			}
			x[i] = word >> (at % 8) & (1<<bits - 1)
		}
	}}
	return &Weight{Tensor: w.tensor(shape, ir.BF16), From: name + "_packed", Used: used}, nil
}
