// Package quantized reads the weights of quantized saves as floats, in the arithmetic of the tool that wrote them, element
// by element when they are read.
package quantized

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgc/checkpoint/lazy"
	"pgc/models/config"
	"pgc/runtime/safetensors"
)

// Get returns a stored tensor by canonical name.
type Get func(name string) (safetensors.Tensor, bool)

// Weight is a weight that a save has in fewer bits.
type Weight struct {
	lazy.Tensor
	From string   // the tensor that has its bits
	Used []string // all tensors that it is made of
}

// Reader finds a weight among the tensors of a save; it returns nil where the weight is stored as it is. An error names the
// tensor and continues a sentence that begins with the checkpoint.
type Reader func(name string, shape []int, get Get) (*Weight, error)

// readers are the methods that are read, by quantization_config.quant_method of config.json. They are given that file and
// quantization_config.
var readers = map[string]func(root, s *config.Section) Reader{
	"bitsandbytes":       func(_, _ *config.Section) Reader { return bitsandbytes },
	"compressed-tensors": compressed,
	"fp8":                inFloat8("_scale_inv"),
	"fbgemm_fp8":         inFloat8("_scale"),
	"gptq":               transposed(true),
	"awq":                transposed(false),
	"torchao":            torchao,
	"auto-round":         autoRound,
}

// Dequantize says how weights become floats.
const Dequantize = "expected float weights (those it was made of, or model.dequantize() and save_pretrained with transformers)"

// others are the methods that transformers reads and pgc does not. It passes over any that it does not know.
var others = config.Keys(`gguf eetq aqlm quanto quark fouroversix fp_quant hqq higgs bitnet vptq spqr nvfp4 mxfp8 mxfp4 metal
	sinq gemma`)

// Config returns the quantization_config of a config.json: as in transformers the whole model's, else the decoder's. An empty
// one is none.
func Config(s *config.Section) (q *config.Section, ok bool) {
	text, _ := s.Section("text_config")
	for _, of := range []*config.Section{s, text} {
		if q, ok = of.Section("quantization_config"); ok && q.Len() > 0 {
			return q, true
		}
	}
	return q, false
}

// Of returns the reader that a configuration's quantization_config asks for, or nil without one. An error stays in the
// section.
func Of(s *config.Section) Reader {
	q, ok := Config(s) // MLX has a copy there
	if isMLX(s) && !q.Has("quant_method") {
		return affine
	}
	if !ok {
		return nil
	}
	method := q.String("quant_method", "")
	if q.Bool("load_in_4bit", false) || q.Bool("load_in_8bit", false) {
		method = "bitsandbytes" // as transformers wrote it before it named methods
	}
	read := readers[method]
	switch {
	case read != nil:
		return read(s, q)
	case method == "" || others[method]:
		q.Fail("quant_method", "is %.80q, which is not read: %s or one of %s", method, Dequantize, strings.Join(slices.Sorted(maps.Keys(readers)), ", "))
	default:
		q.Note("quant_method", "is %.80q, which transformers does not know: passed over, weights are read as they are stored", method)
	}
	return nil
}

// floats returns a small tensor of so many floats.
func floats(get Get, name string, want int) ([]float32, error) {
	t, ok := get(name)
	if !ok {
		return nil, fmt.Errorf("tensor %s is missing, without which a quantized weight cannot be read: expected all tensors of one save", name)
	}
	v, err := t.Float32s()
	if err == nil && len(v) != want {
		err = fmt.Errorf("tensor %s has %d elements, expected %d", safetensors.Printable(t.Name), len(v), want)
	}
	return v, err
}

// count is the number of elements of a shape.
func count(shape []int) int { return lazy.Tensor{Shape: shape}.Elements() }
