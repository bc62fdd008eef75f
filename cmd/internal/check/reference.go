package check

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"

	"pgc/cmd/internal/build"
	"pgc/ir"
	"pgc/runtime/safetensors"
)

// Limit is how far an activation may be from the reference, as a fraction of the largest reference value.
const Limit = 1e-4

// Reference compares a checkpoint, layer by layer, with a file of reference activations (golden/gen/reference.py). A
// line per tensor goes to w, in the order of computation, so that the first miss is the cause.
func Reference(ctx context.Context, w io.Writer, dir, path string, o build.Options) (misses int, err error) {
	if IsExecutable(dir) {
		return 0, fmt.Errorf("%s is an executable, which keeps no activations: expected a checkpoint directory", dir)
	}
	ref, err := safetensors.Open(path)
	if err != nil {
		return 0, err
	}
	defer ref.Close()
	l, err := load(ctx, dir, o, true, false)
	if err != nil {
		return 0, err
	}
	defer l.close()
	r := &comparison{w: w, ref: ref, l: l}
	cfg := l.c.Config.Model
	pixels, ids, kinds := r.floats("pixel_values"), r.ints("input_ids"), r.ints("token_type_ids")
	if r.err != nil {
		return 0, fmt.Errorf("%s: %w", filepath.Base(path), r.err)
	}
	per := 3 * cfg.Vision.ImageSize * cfg.Vision.ImageSize
	if len(pixels) == 0 || len(pixels)%per != 0 || len(ids) == 0 || len(ids) != len(kinds) {
		return 0, fmt.Errorf("%s: %d pixel values and %d ids do not fit the checkpoint", path, len(pixels), len(ids))
	}
	images := len(pixels) / per
	encode, err := l.e.Func("encode_image")
	if err != nil {
		return 0, err
	}
	// Every picture writes the whole of the traced outputs; those are compared picture by picture.
	features := append([]float32(nil), make([]float32, images*cfg.Vision.Tokens()*cfg.Text.HiddenSize)...)
	for i := range images {
		copy(l.e.Floats("pixels"), pixels[i*per:(i+1)*per])
		if err := encode.Run(ctx, 0); err != nil {
			return 0, err
		}
		for _, res := range l.m.Func("encode_image").Results {
			if res.Name != "features" {
				r.part(res.Name, res.Name, i, images, res.Value.Type)
			}
		}
		n := len(features) / images
		copy(features[i*n:(i+1)*n], l.e.Floats("features")[:n])
	}
	r.compare("image_hidden_states", features, r.floats("image_hidden_states"))
	copy(l.e.Floats("features"), features)
	l.prompt(ids, kinds, images)
	forward, err := l.e.Func("forward")
	if err != nil {
		return 0, err
	}
	prefix := 0
	for _, k := range kinds {
		if k == 0 {
			prefix++
		}
	}
	for name, v := range map[string]int{"S": len(ids), "T": len(ids), "past": 0, "prefix": prefix, "F": images * cfg.Vision.Tokens()} {
		forward.Set(name, v)
	}
	if err := forward.Run(ctx, 0); err != nil {
		return 0, err
	}
	for _, res := range l.m.Func("forward").Results {
		if res.State == nil && res.Name != "hidden" {
			r.compare(res.Name, l.e.Floats(res.Name)[:len(ids)*cfg.Text.HiddenSize], r.floats(res.Name))
		}
	}
	if err := r.logits(ctx, len(ids)); err != nil {
		return r.misses, err
	}
	return r.misses, ctx.Err()
}

// prompt puts ids and the rows of features they stand for into the inputs.
func (l *loaded) prompt(ids, kinds []int32, images int) {
	next := int32(0)
	for i, id := range ids {
		l.e.Ints("ids")[i], l.e.Ints("slots")[i] = id, -1
		if int(id) == l.c.Config.ImageTokenIndex {
			l.e.Ints("slots")[i] = next
			next++
		}
	}
}

// comparison prints and counts.
type comparison struct {
	w      io.Writer
	ref    *safetensors.File
	l      *loaded
	misses int
	err    error
}

func (r *comparison) floats(name string) []float32 {
	t, ok := r.ref.Tensor(name)
	if !ok {
		return nil
	}
	v, err := t.Float32s()
	if err != nil {
		r.err = err
	}
	return v
}

func (r *comparison) ints(name string) []int32 {
	t, ok := r.ref.Tensor(name)
	if !ok {
		r.err = fmt.Errorf("tensor %s is missing", name)
		return nil
	}
	v, err := t.Int32s()
	if err != nil {
		r.err = err
	}
	return v
}

// part compares the tensor of one picture with its share of the reference.
func (r *comparison) part(port, name string, i, images int, t ir.Type) {
	n := 1
	for _, d := range t.Shape {
		n *= d.N
	}
	want := r.floats(name)
	if len(want) == n*images {
		want = want[i*n : (i+1)*n]
	}
	r.compare(fmt.Sprintf("%s[%d]", name, i), r.l.e.Floats(port)[:n], want)
}

func (r *comparison) compare(name string, got, want []float32) {
	if want == nil {
		fmt.Fprintf(r.w, "%-28s not in the reference\n", name)
		return
	}
	worst, top := 0.0, 1e-30
	if len(got) != len(want) {
		worst = math.Inf(1)
	} else {
		for i := range want {
			if d := math.Abs(float64(got[i]) - float64(want[i])); !(d <= worst) {
				worst = d
			}
			top = max(top, math.Abs(float64(want[i])))
		}
	}
	verdict := "ok"
	if !(worst/top <= Limit) {
		verdict = "MISS"
		r.misses++
	}
	fmt.Fprintf(r.w, "%-28s error %.2g of the largest  %s\n", name, worst/top, verdict)
}

// logits computes the logits of all rows from the hidden states and compares them.
func (r *comparison) logits(ctx context.Context, rows int) error {
	want := r.floats("logits")
	if want == nil {
		return nil
	}
	cfg := r.l.c.Config.Model.Text
	head, err := r.l.e.Func("head")
	if err != nil {
		return err
	}
	all := append([]float32(nil), r.l.e.Floats("hidden")[:rows*cfg.HiddenSize]...)
	var got []float32
	block := int(r.l.r.Program.Symbols[r.l.r.Program.SymbolIndex("R")].Max)
	for at := 0; at < rows; at += block {
		n := min(block, rows-at)
		copy(r.l.e.Floats("hidden"), all[at*cfg.HiddenSize:(at+n)*cfg.HiddenSize])
		head.Set("R", n)
		if err := head.Run(ctx, 0); err != nil {
			return err
		}
		got = append(got, r.l.e.Floats("logits")[:n*cfg.VocabSize]...)
	}
	r.compare("logits", got, want)
	return nil
}
