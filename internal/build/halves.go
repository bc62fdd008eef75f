package build

import (
	"slices"

	"pgc/checkpoint/lazy"
	"pgc/codegen/weights"
	"pgc/ir"
	"pgc/ir/floats"
	"pgc/models"
)

// halved is the storage type of a matrix in a file for GPUs, whose products read no floats but bfloat16.
func halved(d ir.DType) ir.DType {
	if d == ir.F32 || d == ir.F16 {
		return ir.BF16
	}
	return d
}

// forGPU returns the storage of a file for GPUs. Matrices of floats are bfloat16. Among integers, what is never quantized
// keeps its values, as every layer of the image encoder carries their rounding on: the position table, which no product
// reads, has the checkpoint's type, and the patch convolution, whose kernel has more than two dimensions, is two matrices.
func forGPU(m *models.Model, c tensors, r resolved, integers bool) resolved {
	chosen := r.dtype
	exact := func(key string) bool {
		if !integers {
			return false
		}
		if _, of, part, _ := models.OfAdapter(key); part == models.Whole {
			key = of
		}
		return m.Role(key) == models.VisionEmbedding
	}
	r.dtype = func(key string) ir.DType {
		if of, ok := models.OfRest(key); ok {
			key = of
		}
		if rank := c.Rank(key); rank < 2 || rank == 2 && exact(key) {
			return chosen(key)
		}
		return halved(chosen(key))
	}
	r.halves = func(key string) bool {
		d := chosen(key)
		return c.Rank(key) > 2 && exact(key) && halved(d) != d
	}
	return r
}

// rest is what the nearest bfloat16 numbers leave of a tensor's values.
func rest(t weights.Tensor) weights.Tensor {
	bytes := int64(t.DType.Bytes())
	left := lazy.Tensor{DType: ir.F32, Shape: t.Shape, Values: func(x []float32, at int) {
		raw, from := make([]byte, bytes*int64(len(x))), bytes*int64(at)
		if t.Read != nil {
			t.Read(raw, from)
		} else {
			copy(raw, t.Data[from:])
		}
		floats.Decode(x, raw, t.DType)
		near := slices.Clone(x)
		floats.Round(near, ir.BF16)
		for i := range x {
			x[i] -= near[i]
		}
	}}
	return weights.Tensor{DType: left.DType, Shape: left.Shape, Read: left.Read}
}
