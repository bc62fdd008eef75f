package quality

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"pgc/checkpoint/hf"
	"pgc/internal/build"
	"pgc/ir/quant"
	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/generate"
	"pgc/runtime/tokenizer"
)

// maxAnswer limits the tokens of the checkpoint's own answer.
const maxAnswer = 16

// Reference is a checkpoint, ready to run in the storage it comes in.
type Reference struct {
	c        *hf.Checkpoint
	options  build.Options // of the executable
	folder   string
	progress func(what string, done, total int64)
	model    *build.Model
}

// Open compiles a checkpoint without quantization and observes the inputs of the matrices that an executable with these
// options stores in 4 bits. folder holds the weights meanwhile.
func Open(ctx context.Context, dir, folder string, o build.Options, progress func(what string, done, total int64)) (*Reference, error) {
	c, err := o.Open(dir)
	if err != nil {
		return nil, err
	}
	if c.Embedding != nil {
		c.Close()
		return nil, fmt.Errorf("%s makes embeddings: expected a checkpoint that generates text, whose answers can be compared", dir)
	}
	r := &Reference{c: c, options: o, folder: folder, progress: progress}
	fitted, err := o.Fitted(c)
	if err != nil {
		c.Close()
		return nil, err
	}
	plain := o
	plain.Storage, plain.KV = build.Storage{}, ""
	if r.model, err = build.Load(ctx, c, build.LoadOptions{Options: plain, Observe: fitted, Folder: folder}); err != nil {
		c.Close()
		return nil, err
	}
	return r, nil
}

// Close gives memory and disk back.
func (r *Reference) Close() {
	r.model.Close()
	r.c.Close()
}

// step reports the progress of a loop over samples.
func (r *Reference) step(what string, done, total int) {
	if r.progress != nil {
		r.progress(fmt.Sprintf("%s: %d of %d samples", what, done, total), int64(done), int64(total))
	}
}

// prompt lays out a sample and its answer: the given one, or the beginning of the checkpoint's own.
func (r *Reference) prompt(ctx context.Context, sm Sample) (tokenizer.Prompt, error) {
	s := r.model.Session
	p, err := s.Layout(1, sm.Prompt, sm.Suffix, false)
	if err != nil {
		return p, err
	}
	if err := s.Check(p, 1, maxAnswer, 0); err != nil {
		return p, err
	}
	room := min(maxAnswer, s.Model.MaxTokens-len(p.IDs))
	if sm.Suffix != nil || room == 0 {
		return p, nil
	}
	a, err := s.Generate(ctx, generate.Request{Images: sm.pictures(), Prompt: sm.Prompt, MaxNewTokens: room})
	if err != nil {
		return p, err
	}
	p.IDs = append(slices.Clone(p.IDs), a.Tokens...)
	return p, nil
}

// rows returns the number of rows in the outputs of a function on a prompt.
func (r *Reference) rows(function string, p tokenizer.Prompt) int {
	if function == entry.Forward {
		return len(p.IDs)
	}
	return r.model.Session.Model.ImageTokens
}

// output is the first n numbers of an output of a model's function, or of a state that it leaves.
func (r *Reference) output(m *build.Model, function, name string, n int) ([]float32, error) {
	f, err := m.Session.Engine.Func(function)
	if err != nil {
		return nil, err
	}
	t, err := f.Output(name)
	if err != nil {
		t, err = m.Session.Engine.State(name)
	}
	if err != nil {
		return nil, err
	}
	x := make([]float32, n)
	return x, engine.Get(t, 0, x)
}

// Calibrate runs the samples and returns the second moments of the inputs of every matrix in 4 bits.
func (r *Reference) Calibrate(ctx context.Context, samples []Sample) (func(key string) *quant.Moments, error) {
	moments := map[build.Observed]*quant.Moments{}
	widths := map[build.Observed]int{}
	var order []build.Observed
	for _, key := range slices.Sorted(maps.Keys(r.model.Inputs)) {
		at := r.model.Inputs[key]
		if moments[at] != nil {
			continue
		}
		t, err := r.c.Tensor(key)
		if err != nil {
			return nil, err
		}
		widths[at] = t.Shape[len(t.Shape)-1]
		moments[at] = quant.NewMoments(widths[at])
		order = append(order, at)
	}
	for i, sm := range samples {
		r.step("calibrating", i, len(samples))
		p, err := r.prompt(ctx, sm)
		if err != nil {
			return nil, err
		}
		if err := r.model.Session.Hidden(ctx, p, sm.pictures()); err != nil {
			return nil, err
		}
		for _, at := range order {
			x, err := r.output(r.model, at.Func, at.Output, r.rows(at.Func, p)*widths[at])
			if err != nil {
				return nil, err
			}
			if at.Func == entry.Forward {
				x = r.balanced(x, p.IDs, widths[at])
			}
			moments[at].Add(x)
		}
	}
	r.step("calibrating", len(samples), len(samples))
	r.options.Inputs = func(key string) *quant.Moments { return moments[r.model.Inputs[key]] }
	return r.options.Inputs, nil
}

// balanced scales the rows of text tokens so that together they count as much as those of the image: answers come from
// few tokens among many (docs/QUANTIZATION.md measures calibration).
func (r *Reference) balanced(x []float32, ids []int32, width int) []float32 {
	image := int32(r.model.Session.Model.Image)
	text := 0
	for _, id := range ids {
		if id != image {
			text++
		}
	}
	by := float32(math.Sqrt(float64(len(ids)-text) / float64(text)))
	x = slices.Clone(x)
	for i, id := range ids {
		if id != image {
			for j := range x[i*width : (i+1)*width] {
				x[i*width+j] *= by
			}
		}
	}
	return x
}
