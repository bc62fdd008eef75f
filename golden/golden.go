// Package golden finds the reference checkpoints and tensors of this folder for tests.
package golden

import (
	"math"
	"os"
	"path/filepath"
	"strings"

	"pgc/runtime/safetensors"
)

// Dir is the folder golden of the source tree, found from the working directory, so that it also works with -trimpath.
func Dir() string {
	dir, err := os.Getwd() // of the package under test, somewhere in the tree
	for ; err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "golden")
		}
	}
	return "golden"
}

// Case is one reference file of a checkpoint.
type Case struct {
	Checkpoint string // directory
	Name       string // of the case
	Path       string // of the reference file
}

// Cases lists every reference file, sorted: those of this folder and those of a folder that PGC_GOLDEN names
// (gen/fuzz.py makes one).
func Cases() []Case {
	files, _ := filepath.Glob(filepath.Join(Dir(), "*", "reference-*.safetensors"))
	if more := os.Getenv("PGC_GOLDEN"); more != "" {
		others, _ := filepath.Glob(filepath.Join(more, "*", "reference-*.safetensors"))
		files = append(files, others...)
	}
	var out []Case
	for _, f := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "reference-"), ".safetensors")
		out = append(out, Case{filepath.Dir(f), name, f})
	}
	return out
}

// Picture is the path of a picture.
func Picture(name string) string { return filepath.Join(Dir(), "pictures", name) }

// Masks is the folder with a decoder of masks and masks that gen/maskdecoder.py decoded with it: codes i32 [masks, 16] and
// masks f32 [masks, side, side].
func Masks() string { return filepath.Join(Dir(), "masks") }

// MasksFile is the decoder of Masks as a user gets it.
func MasksFile() string { return filepath.Join(Masks(), "vae-oid.npz") }

// Embeddings lists the checkpoints of models that make embeddings, with the references that gen/colpali.py wrote beside
// them, sorted as Cases are.
func Embeddings() []string {
	files, _ := filepath.Glob(filepath.Join(Dir(), "*", "embeddings-images.safetensors"))
	if more := os.Getenv("PGC_GOLDEN"); more != "" {
		others, _ := filepath.Glob(filepath.Join(more, "*", "embeddings-images.safetensors"))
		files = append(files, others...)
	}
	for i := range files {
		files[i] = filepath.Dir(files[i])
	}
	return files
}

// Adapters lists the folders of adapters with references, which gen/adapters.py makes: those of this folder and those of
// a folder that PGC_ADAPTERS names.
func Adapters() []string {
	files, _ := filepath.Glob(filepath.Join(Dir(), "adapters", "*", AdapterReference))
	if more := os.Getenv("PGC_ADAPTERS"); more != "" {
		others, _ := filepath.Glob(filepath.Join(more, "*", AdapterReference))
		files = append(files, others...)
	}
	for i := range files {
		files[i] = filepath.Dir(files[i])
	}
	return files
}

// AdapterReference is the file of references in an adapter's folder.
const AdapterReference = "reference.safetensors"

// Floats reads a float tensor of a file, or nil if there is none.
func Floats(f *safetensors.File, name string) []float32 {
	t, ok := f.Tensor(name)
	if !ok {
		return nil
	}
	v, err := t.Float32s()
	if err != nil {
		return nil
	}
	return v
}

// Ints reads an integer tensor of a file, or nil if there is none.
func Ints(f *safetensors.File, name string) []int32 {
	t, ok := f.Tensor(name)
	if !ok {
		return nil
	}
	v, err := t.Int32s()
	if err != nil {
		return nil
	}
	return v
}

// Error returns the largest difference as a fraction of the largest reference value, and its index; +Inf if the lengths
// differ.
func Error(got, want []float32) (worst float64, at int) {
	if len(got) != len(want) {
		return math.Inf(1), -1
	}
	top := 1e-9
	for i := range want {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if !(d <= worst) {
			worst, at = d, i
		}
		top = max(top, math.Abs(float64(want[i])))
	}
	return worst / top, at
}
