package check

import (
	"context"
	"fmt"
	"os"

	"pgc/codegen/weights"
	"pgc/internal/build"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/runtime/engine"
	"pgc/runtime/manifest"
	"pgc/runtime/native"
	"pgc/runtime/program"
)

// IsExecutable reports whether path is a file that is no checkpoint.
func IsExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && !build.IsCheckpoint(path)
}

// open loads an executable with the code for an instruction set, or on a GPU, and the weights it was shipped with.
func open(ctx context.Context, path string, set program.Target, gpus engine.GPUs) (*loaded, error) {
	image, err := program.OpenFile(path)
	if err != nil {
		return nil, err
	}
	l := &loaded{source: stored{image}, params: map[*ir.Value]*eval.Tensor{}, close: func() { image.Close() }}
	if set.Kind == program.PTX {
		l.e, _, err = engine.OpenGPU(ctx, image, gpus, engine.LoadOptions{})
	} else {
		l.e, err = engine.Open(image, set.CPU, native.DefaultThreads())
	}
	if err != nil {
		l.close()
		return nil, err
	}
	l.close = func() { l.e.Close(); image.Close() }
	image.Program = l.e.Program
	model, err := manifest.Decode(image.Program.Model)
	if err == nil {
		l.vocab = model.VocabSize
		if model.Masks != nil {
			l.codes = model.Masks.Entries
		}
		l.m, l.r, err = build.Relower(path, image)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	l.r.Program = image.Program
	return l, nil
}

// stored provides the tensors of an executable.
type stored struct{ image *program.Executable }

// Tensor returns a tensor by canonical name.
func (s stored) Tensor(key string) (weights.Tensor, error) {
	for _, w := range s.image.Program.Weights {
		if w.Name == key {
			return weights.Unpack(w, s.image.Weights)
		}
	}
	return weights.Tensor{}, fmt.Errorf("the executable holds no tensor %s", key)
}

// Prefetch and Evict do nothing: the executable is mapped once and read in place.
func (stored) Prefetch(string, int64, int64) {}

func (stored) Evict(string, int64, int64) {}
