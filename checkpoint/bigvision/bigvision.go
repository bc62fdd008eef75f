// Package bigvision reads PaliGemma checkpoints of big_vision, .npz files in which the arrays of all layers are stacked:
// names and axes are those that transformers' convert_paligemma_weights_to_hf.py knows.
package bigvision

import (
	"fmt"
	"slices"
	"strings"

	"pgc/checkpoint/lazy"
	"pgc/checkpoint/npz"
	"pgc/ir/floats"
	"pgc/runtime/safetensors"
)

// File is a checkpoint whose arrays are mapped. Close it after use.
type File struct {
	*safetensors.File
	arrays map[string]safetensors.Tensor // by name, without what stands before all of the model's
}

// Weight is a weight under the name that it has in layout A of transformers, made when it is read.
type Weight struct {
	lazy.Tensor
	From safetensors.Tensor // the array
}

// roots stand before the names of the model's arrays; others beside them, such as an optimizer's, are not its.
var roots = []string{"params/", ""}

// below returns the name of one of the model's arrays behind a root.
func below(root, name string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(name, root)
	return rest, ok && (strings.HasPrefix(rest, "img/") || strings.HasPrefix(rest, "llm/"))
}

// Open maps a checkpoint.
func Open(path string) (*File, error) {
	f, err := npz.Open(path, func(name string) bool {
		return slices.ContainsFunc(roots, func(root string) bool {
			_, ok := below(root, name)
			return ok
		})
	})
	if err != nil {
		return nil, err
	}
	for _, root := range roots {
		if _, ok := f.Tensor(root + embedding); !ok {
			continue
		}
		c := &File{f, map[string]safetensors.Tensor{}}
		for _, name := range f.Names() {
			if rest, ok := below(root, name); ok {
				c.arrays[rest], _ = f.Tensor(name)
			}
		}
		return c, nil
	}
	f.Close()
	return nil, fmt.Errorf("%s holds no array %s: expected a PaliGemma of big_vision, or a folder of a Hugging Face checkpoint", path, embedding)
}

// shape returns that of an array of so many dimensions.
func (f *File) shape(name string, rank int) ([]int, error) {
	t, ok := f.arrays[name]
	if !ok {
		return nil, fmt.Errorf("%s: array %s is missing: expected a PaliGemma of big_vision whose layers are stacked (scan)", f.Path, name)
	}
	if len(t.Shape) != rank || (lazy.Tensor{Shape: t.Shape}).Elements() == 0 {
		return nil, fmt.Errorf("%s: array %s has shape %v, expected %d dimensions", f.Path, name, t.Shape, rank)
	}
	return t.Shape, nil
}

// Weights returns all weights of the model.
func (f *File) Weights() (map[string]Weight, error) {
	all, used := map[string]Weight{}, map[string]bool{}
	decoder := gemma1
	if _, ok := f.arrays[secondNorm]; ok {
		decoder = gemma2
	}
	for _, r := range rules {
		if r.in != both && r.in != decoder {
			continue
		}
		if _, err := f.shape(r.array, len(r.axes)); err != nil {
			return nil, err
		}
		t := f.arrays[r.array]
		used[r.array] = true
		if _, ok := floats.Of(t.DType); !ok {
			return nil, fmt.Errorf("%s: array %s is %s, expected float32, float16 or bfloat16: write it again as one of them", f.Path, r.array, t.DType)
		}
		for name, w := range r.weights(t) {
			all[name] = w
		}
	}
	for name := range f.arrays {
		if !used[name] {
			return nil, fmt.Errorf("%s: array %s is not part of a PaliGemma: expected the model's alone, or others outside img/ and llm/", f.Path, safetensors.Printable(name))
		}
	}
	return all, nil
}
