package build

import (
	"path"
	"slices"
	"strings"

	"pgc/checkpoint/hf"
	"pgc/ir"
	"pgc/ir/quant"
	"pgc/models"
)

// Storage selects how matrices are stored and multiplied.
type Storage struct {
	Weights string                          // auto, f32, bf16, f16, or a format of package quant: int8, int4, nf4
	Group   int                             // values of a row that share a scale, in formats that have a choice; 0 for the default
	Compute string                          // arithmetics that products may have besides f32, with commas between: int8 with integer matrices, bf16 with bf16 ones; empty for int8
	Keep    []string                        // PATTERN=TYPE: matrices of these names are stored otherwise
	Search  bool                            // look for better scales, in formats that are fitted
	Inputs  func(key string) *quant.Moments // of what a matrix is multiplied with, from calibration; nil without it

	half       bool // matrices of floats are bfloat16, as a GPU needs them
	noIntegers bool // products are never of integers, as on a GPU
}

// Rounding returns how a matrix becomes groups.
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

// arithmetics maps the values of Storage.Compute.
var arithmetics = map[string]arithmetic{"": {integers: true}, "int8": {integers: true}, "bf16": {bfloats: true}, "int8,bf16": {true, true},
	"bf16,int8": {true, true}, "f32": {}}

// arithmetic parses Compute.
func (s Storage) arithmetic() (arithmetic, error) {
	a, ok := arithmetics[s.Compute]
	if !ok {
		return a, optionError("Compute", "%s is not known: expected int8, bf16, int8,bf16 or f32", s.Compute)
	}
	a.integers = a.integers && !s.noIntegers
	return a, nil
}

// plainTypes are the storage types that Weights and Keep have besides formats of groups.
var plainTypes = []string{"f32", "bf16", "f16"}

// Stored lists the values of Weights but auto, and types of Keep, as "f32, bf16 or f16".
func Stored() string {
	names := slices.Clone(plainTypes)
	for _, f := range quant.Formats() {
		names = append(names, f.String())
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// rule takes an exception of Keep apart.
func rule(text string) (pattern, name string, ok bool) { return strings.Cut(text, "=") }

// Types lists the storage types that are asked for by name: that of Weights, then those of Keep.
func (s Storage) Types() []string {
	names := []string{s.Weights}
	for _, text := range s.Keep {
		if _, name, ok := rule(text); ok {
			names = append(names, name)
		}
	}
	return names
}

// Grouped reports whether a format of that name has groups.
func Grouped(name string) bool { return quant.Named(name) != quant.None }

// Fitted reports whether scales of the format of that name are fitted, by search or calibration.
func Fitted(name string) bool { return quant.Named(name).Traits().Fitted }

// groups returns the type of groups of a format, as long as Group says unless the format has one length only. It is
// Invalid if there is no such length.
func (s Storage) groups(f quant.Format) ir.DType {
	size := s.Group
	if size == 0 {
		size = DefaultGroup
	}
	if only := f.Traits().Lengths; len(only) == 1 {
		size = only[0]
	}
	return ir.Quantized(f, size)
}

// resolved is what a Storage is for a checkpoint: the storage type of every weight, the arithmetic of products, and of
// which matrices the values are two of bfloat16, as models.Options have it.
type resolved struct {
	arithmetic
	dtype  func(key string) ir.DType
	halves func(key string) bool
}

// resolve returns the storage of a checkpoint.
//
// With a format of groups the decoder's matrices have it, and all others, those of the vision tower and the projector,
// and the embedding, which is the head as well, have groups of 8 bits: with fewer they lose more than they save.
// Vectors, the patch convolution and the position embedding stay as they are.
func (s Storage) resolve(m *models.Model, c tensors) (r resolved, err error) {
	format := quant.Named(s.Weights)
	if format == quant.None && s.Weights != "" && s.Weights != "auto" && !slices.Contains(plainTypes, s.Weights) {
		return r, optionError("Weights", "%s is not known: expected auto, %s", s.Weights, Stored())
	}
	small, large := s.groups(format), s.groups(quant.Int8)
	if large == ir.Invalid || format != quant.None && small == ir.Invalid {
		return r, optionError("Group", "%d is not supported: expected 32, 64 or 128", s.Group)
	}
	if r.arithmetic, err = s.arithmetic(); err != nil {
		return r, err
	}
	exceptions, err := s.exceptions()
	if err != nil {
		return r, err
	}
	var chosen func(key string) ir.DType
	chosen = func(key string) ir.DType {
		auto := s.Weights == "" || s.Weights == "auto"
		switch _, of, part, _ := models.OfAdapter(key); {
		case part == models.Whole && c.Rank(key) > 1 && !auto && c.Rank(of) == 0: // a head that is the embedding
			return chosen(m.Embedding)
		case part == models.Whole && c.Rank(key) > 1 && !auto:
			return chosen(of)
		case (part == models.FactorA || part == models.FactorB || part == models.Tokens) && format != quant.None && c.DType(key) == ir.F32:
			return ir.BF16 // beside a matrix of fewer bits
		case part != "" && (c.Rank(key) < 2 || format != quant.None):
			return c.DType(key)
		}
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
		case format == quant.None:
			to, _ := ir.ParseDType(s.Weights)
			return to
		case !quantizable(m, c, key):
			return c.DType(key)
		case m.Role(key) == models.Decoder:
			return small
		}
		return large
	}
	r.dtype = chosen
	if !s.half {
		return r, nil
	}
	return forGPU(m, c, r, format != quant.None), nil
}

// Fitted returns a function that reports whether a tensor is stored in a format that calibration can fit.
func (s Storage) Fitted(c *hf.Checkpoint) (func(key string) bool, error) {
	r, err := s.resolve(c.Model, c)
	return func(key string) bool { return traits(r.dtype(key)).Fitted }, err
}

func traits(d ir.DType) *quant.Traits {
	f, _ := d.Group()
	return f.Traits()
}

// products describes the products of a checkpoint for info: the arithmetic of quantized matrices, how those of a fitted
// format were rounded, both empty where there are none, and whether bfloat16 matrices are multiplied in bfloat16.
func (s Storage) products(c *hf.Checkpoint) (compute, rounding string, bfloats bool) {
	r, err := s.resolve(c.Model, c)
	if err != nil {
		return "", "", false
	}
	quantized, integers, fitted := false, false, false
	for _, t := range c.Weights {
		d := r.dtype(t.Name)
		bfloats = bfloats || r.bfloats && len(t.Shape) > 1 && d == ir.BF16
		quantized = quantized || d.IsQuantized()
		integers = integers || r.integers && traits(d).Integers
		fitted = fitted || traits(d).Fitted
	}
	if quantized {
		compute = map[bool]string{true: "int8", false: "f32"}[integers]
	}
	switch {
	case !fitted:
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

func (s Storage) exceptions() ([]kept, error) {
	var list []kept
	for _, text := range s.Keep {
		pattern, name, ok := rule(text)
		d, known := ir.ParseDType(name)
		if f := quant.Named(name); f != quant.None {
			d, known = s.groups(f), true
		}
		if _, err := path.Match(pattern, ""); !ok || err != nil || !known || !d.IsFloat() {
			return nil, optionError("Keep", "%s is not understood: expected PATTERN=TYPE, such as 'vision_tower.*=bf16', with %s", text, Stored())
		}
		list = append(list, kept{pattern, d})
	}
	return list, nil
}
