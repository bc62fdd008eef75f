package build

import (
	"fmt"
	"path"
	"strings"

	"pgc/checkpoint/hf"
	"pgc/ir"
	"pgc/ir/quant"
	"pgc/models"
)

// Storage selects how matrices are stored and multiplied.
type Storage struct {
	Weights string                          // auto, f32, bf16, f16, int8 or int4
	Group   int                             // values of a row that share a scale, for integers; 0 for the default
	Compute string                          // arithmetics that products may have besides f32, with commas between: int8 with integer matrices, bf16 with bf16 ones; empty for int8
	Keep    []string                        // PATTERN=TYPE: matrices of these names are stored otherwise
	Search  bool                            // look for better scales of 4-bit groups
	Inputs  func(key string) *quant.Moments // of what a matrix is multiplied with, from calibration; nil without it
}

// Rounding returns how a matrix becomes integers.
func (s Storage) Rounding(key string) *quant.Rounding {
	r := &quant.Rounding{Search: s.Search}
	if s.Inputs != nil {
		r.Inputs = s.Inputs(key)
	}
	return r
}

// tensors tells the storage types and ranks of a checkpoint's tensors.
type tensors interface {
	DType(key string) ir.DType
	Rank(key string) int
}

// DefaultGroup is torchao's usual group size.
const DefaultGroup = 128

// kept stores the matrices that match a pattern as dtype.
type kept struct {
	pattern string
	dtype   ir.DType
}

// arithmetic selects products other than float32: x is quantized to integers for quantized matrices, or rounded to
// bfloat16 for bfloat16 matrices.
type arithmetic struct{ integers, bfloats bool }

// arithmetics maps the values of --compute.
var arithmetics = map[string]arithmetic{"": {integers: true}, "int8": {integers: true}, "bf16": {bfloats: true}, "int8,bf16": {true, true},
	"bf16,int8": {true, true}, "f32": {}}

// arithmetic parses --compute.
func (s Storage) arithmetic() (arithmetic, error) {
	a, ok := arithmetics[s.Compute]
	if !ok {
		return a, fmt.Errorf("--compute %s is not known: expected int8, bf16, int8,bf16 or f32", s.Compute)
	}
	return a, nil
}

// resolve returns the storage type of every weight and the arithmetic of products.
//
// With int8, every matrix of the vision tower, the projector and the decoder, and the embedding and head, has groups of
// 8 bits. With int4, the decoder's matrices have groups of 4 bits and all others of 8: the embedding, which is the head
// as well, and the vision tower lose more than they save. Vectors, the patch convolution and the position embedding
// stay as they are.
func (s Storage) resolve(m *models.Model, c tensors) (dtype func(key string) ir.DType, a arithmetic, err error) {
	size := s.Group
	if size == 0 {
		size = DefaultGroup
	}
	small, large := ir.Quantized(8, size), ir.Quantized(8, size)
	switch s.Weights {
	case "", "auto", "f32", "bf16", "f16", "int8":
	case "int4":
		small = ir.Quantized(4, size)
	default:
		return nil, a, fmt.Errorf("--weights %s is not known: expected auto, f32, bf16, f16, int8 or int4", s.Weights)
	}
	if large == ir.Invalid {
		return nil, a, fmt.Errorf("--group %d is not supported: expected 32, 64 or 128", size)
	}
	if a, err = s.arithmetic(); err != nil {
		return nil, a, err
	}
	exceptions, err := s.exceptions(size)
	if err != nil {
		return nil, a, err
	}
	return func(key string) ir.DType {
		for _, k := range exceptions {
			if ok, _ := path.Match(k.pattern, key); ok && c.Rank(key) > 1 {
				if k.dtype.IsQuantized() && !quantizable(m, c, key) {
					break
				}
				return k.dtype
			}
		}
		switch {
		case s.Weights == "" || s.Weights == "auto" || c.Rank(key) < 2: // vectors keep their precision
			return c.DType(key)
		case s.Weights != "int8" && s.Weights != "int4":
			to, _ := ir.ParseDType(s.Weights)
			return to
		case !quantizable(m, c, key):
			return c.DType(key)
		case m.Role(key) == models.Decoder:
			return small
		}
		return large
	}, a, nil
}

// FourBits returns a function that reports whether a tensor is stored in 4 bits.
func (s Storage) FourBits(c *hf.Checkpoint) (func(key string) bool, error) {
	dtype, _, err := s.resolve(c.Model, c)
	return func(key string) bool {
		bits, _ := dtype(key).Group()
		return bits == 4
	}, err
}

// products describes the products of a checkpoint for info: the arithmetic of quantized matrices, how 4-bit integers
// were rounded, both empty where there are none, and whether bfloat16 matrices are multiplied in bfloat16.
func (s Storage) products(c *hf.Checkpoint) (compute, rounding string, bfloats bool) {
	dtype, a, err := s.resolve(c.Model, c)
	if err != nil {
		return "", "", false
	}
	most := 0
	for _, t := range c.Weights {
		bfloats = bfloats || a.bfloats && len(t.Shape) > 1 && dtype(t.Name) == ir.BF16
		switch bits, _ := dtype(t.Name).Group(); {
		case bits == 4:
			most = 4
		case bits == 8 && most == 0:
			most = 8
		}
	}
	compute = map[bool]string{true: "int8", false: "f32"}[a.integers]
	switch {
	case most == 0:
		return "", "", bfloats
	case most == 8:
		return compute, "", bfloats
	case s.Inputs != nil:
		return compute, "calibrated", bfloats
	case s.Search:
		return compute, "search", bfloats
	}
	return compute, "plain", bfloats
}

// quantizable reports whether a tensor is a matrix of a product or the table of token embeddings.
func quantizable(m *models.Model, c tensors, key string) bool {
	return c.Rank(key) == 2 && m.Role(key) != models.VisionEmbedding
}

func (s Storage) exceptions(size int) ([]kept, error) {
	var list []kept
	for _, rule := range s.Keep {
		pattern, name, ok := strings.Cut(rule, "=")
		d, known := ir.ParseDType(name)
		switch name {
		case "int8":
			d, known = ir.Quantized(8, size), true
		case "int4":
			d, known = ir.Quantized(4, size), true
		}
		if _, err := path.Match(pattern, ""); !ok || err != nil || !known || !d.IsFloat() {
			return nil, fmt.Errorf("--keep %s is not understood: expected PATTERN=TYPE, such as 'vision_tower.*=bf16', with f32, bf16, f16, int8 or int4", rule)
		}
		list = append(list, kept{pattern, d})
	}
	return list, nil
}
