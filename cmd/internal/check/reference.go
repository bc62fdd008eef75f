package check

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"pgc/internal/build"
	"pgc/ir"
	"pgc/ir/target"
	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/program"
	"pgc/runtime/safetensors"
)

// Limit bounds the error of an activation, relative to the largest value of the reference.
const Limit = 1e-4

// Deviation is a tensor that differs from the reference.
type Deviation struct {
	Tensor    string
	Error     float64 // the greatest difference, as a fraction of the largest reference value
	Index     []int   // where it is
	Got, Want float32
}

// String formats the deviation.
func (d Deviation) String() string {
	return fmt.Sprintf("%s, which is off by %.2g of its largest value at %v: %g, the reference has %g", d.Tensor, d.Error, d.Index, d.Got, d.Want)
}

// Reference compares a checkpoint, layer by layer, with a file of reference activations (golden/gen/reference.py). A
// line per tensor goes to w, for every instruction set that this machine has. It returns the tensors that deviate by
// more than Limit in the order of computation, so that the first one causes the others.
func Reference(ctx context.Context, w io.Writer, dir, path string, o build.Options) ([]Deviation, error) {
	if IsExecutable(dir) {
		return nil, fmt.Errorf("%s is an executable, which keeps no activations, expected a checkpoint directory", dir)
	}
	ref, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer ref.Close()
	var found []Deviation
	err = eachVariant(w, dir, o, nil, func(set program.Target) error {
		t, err := target.Find(set.CPU)
		if err != nil {
			return err
		}
		l, err := load(ctx, dir, t, o, true)
		if err != nil {
			return err
		}
		defer l.close()
		more, err := l.against(ctx, w, path, ref)
		found = append(found, more...)
		return err
	})
	return found, err
}

// against compares what was loaded with the reference in the file at path.
func (l *loaded) against(ctx context.Context, w io.Writer, path string, ref *safetensors.File) ([]Deviation, error) {
	return (&comparison{w: w, path: path, ref: ref, l: l}).run(ctx)
}

// run compares all tensors of one compilation.
func (r *comparison) run(ctx context.Context) ([]Deviation, error) {
	p, err := r.inputs()
	if err != nil {
		return nil, err
	}
	if err := r.images(ctx, p); err != nil {
		return nil, err
	}
	if err := r.tokens(ctx, p); err != nil {
		return nil, err
	}
	if r.compared == 0 {
		return nil, fmt.Errorf("%s holds no activations, expected a file that golden/gen/reference.py wrote", r.path)
	}
	return r.found, ctx.Err()
}

// comparison is one run and its reference.
type comparison struct {
	w        io.Writer
	path     string
	ref      *safetensors.File
	l        *loaded
	compared int
	found    []Deviation
}

// inputs holds the inputs of the model.
type inputs struct {
	pixels []float32 // [images, 3, size, size]
	images int
	ids    []int32 // [tokens]
	prefix int     // tokens with the type 0
}

// inputs reads the inputs of the reference and checks that the model can run on them.
func (r *comparison) inputs() (p inputs, err error) {
	cfg := r.l.c.Config.Facts()
	pixels, ok := r.ref.Tensor("pixel_values")
	side := cfg.ImageSize
	if !ok || len(pixels.Shape) != 4 || pixels.Shape[0] == 0 || !slices.Equal(pixels.Shape[1:], []int{3, side, side}) {
		return p, fmt.Errorf("%s: pixel_values is missing or of shape %v, expected [images 3 %d %d]", r.path, pixels.Shape, side, side)
	}
	if p.pixels, err = pixels.Float32s(); err != nil {
		return p, fmt.Errorf("%s: pixel_values: %w", r.path, err)
	}
	p.images = pixels.Shape[0]
	var kinds []int32
	for name, into := range map[string]*[]int32{"input_ids": &p.ids, "token_type_ids": &kinds} {
		t, ok := r.ref.Tensor(name)
		if !ok || len(t.Shape) != 1 {
			return p, fmt.Errorf("%s: %s is missing or of shape %v, expected [tokens]", r.path, name, t.Shape)
		}
		if *into, err = t.Int32s(); err != nil {
			return p, fmt.Errorf("%s: %s: %w", r.path, name, err)
		}
	}
	capacity := int(r.l.r.Program.Maxima()[r.l.r.Program.SymbolIndex(entry.SymTokens)])
	if len(p.ids) == 0 || len(p.ids) > capacity {
		return p, fmt.Errorf("%s: input_ids has %d tokens, expected 1 to %d: give --max-tokens %d or more", r.path, len(p.ids), capacity, len(p.ids))
	}
	slots := 0
	for i, id := range p.ids {
		if id < 0 || int(id) >= cfg.VocabSize && int(id) != cfg.ImageTokenIndex {
			return p, fmt.Errorf("%s: input_ids holds %d, expected ids under %d", r.path, id, cfg.VocabSize)
		}
		if int(id) == cfg.ImageTokenIndex {
			slots++
		}
		if i < len(kinds) && kinds[i] == 0 && p.prefix == i {
			p.prefix++
		}
	}
	if len(kinds) != len(p.ids) || slices.Contains(kinds[p.prefix:], 0) {
		return p, fmt.Errorf("%s: token_type_ids is not one list of zeros and ones behind them, as long as input_ids", r.path)
	}
	if want := p.images * cfg.ImageTokens; slots != want {
		return p, fmt.Errorf("%s: input_ids holds %d image tokens, expected %d: %d pictures of %d", r.path, slots, want, p.images, cfg.ImageTokens)
	}
	return p, nil
}

// images encodes every image and compares the encoder's layers. The features stay in the executor for forward.
func (r *comparison) images(ctx context.Context, p inputs) error {
	cfg, e := r.l.c.Config.Facts(), r.l.e
	encode, err := e.Func(entry.EncodeImage)
	if err != nil {
		return err
	}
	pixels, err := encode.Input(entry.InPixels)
	if err != nil {
		return err
	}
	per := len(p.pixels) / p.images
	for i := range p.images {
		if err := engine.Put(pixels, 0, p.pixels[i*per:(i+1)*per]); err != nil {
			return err
		}
		encode.Set(entry.SymRow, i*cfg.ImageTokens)
		if err := encode.Run(ctx); err != nil {
			return err
		}
		for _, res := range r.l.m.Func(entry.EncodeImage).Results {
			if res.State != nil {
				continue
			}
			if err := r.output(encode, res.Name, i, elements(res.Value.Type)); err != nil {
				return err
			}
		}
	}
	features := make([]float32, p.images*cfg.ImageTokens*cfg.HiddenSize)
	state, err := e.State(entry.StateFeatures)
	if err != nil {
		return err
	}
	if err := engine.Get(state, 0, features); err != nil {
		return err
	}
	return r.compare("image_hidden_states", -1, features)
}

// output compares the first n numbers of an output of f, which has its name in the reference.
func (r *comparison) output(f *engine.Func, name string, part, n int) error {
	t, err := f.Output(name)
	if err != nil {
		return err
	}
	got := make([]float32, n)
	if err := engine.Get(t, 0, got); err != nil {
		return err
	}
	return r.compare(name, part, got)
}

func elements(t ir.Type) int {
	n := 1
	for _, d := range t.Shape {
		n *= d.N
	}
	return n
}

// tokens runs the decoder and compares its layers and the logits.
func (r *comparison) tokens(ctx context.Context, p inputs) error {
	cfg, e := r.l.c.Config.Facts(), r.l.e
	ids, slots := slices.Clone(p.ids), make([]int32, len(p.ids))
	next := int32(0)
	for i, id := range ids {
		slots[i] = -1
		if int(id) == cfg.ImageTokenIndex {
			slots[i] = next
			next++
			ids[i] = 0 // the image token needs no row in the embedding
		}
	}
	name := entry.Forward
	if r.l.m.Func(name) == nil {
		name = entry.Embed
	}
	forward, err := e.Func(name)
	if err != nil {
		return err
	}
	for name, data := range map[string][]int32{entry.InIDs: ids, entry.InSlots: slots} {
		t, err := forward.Input(name)
		if err != nil {
			return err
		}
		if err := engine.Put(t, 0, data); err != nil {
			return err
		}
	}
	n := len(p.ids)
	for name, v := range map[string]int{entry.SymTokens: n, entry.SymKeys: n, entry.SymPast: 0, entry.SymPrefix: p.prefix} {
		forward.Set(name, v)
	}
	if err := forward.Run(ctx); err != nil {
		return err
	}
	for _, res := range r.l.m.Func(name).Results {
		if res.State == nil {
			if err := r.output(forward, res.Name, -1, n*res.Value.Type.Shape[1].N); err != nil {
				return err
			}
		}
	}
	if r.l.m.Func(entry.Head) == nil {
		return nil
	}
	logits, err := allLogits(ctx, e, n, cfg.VocabSize)
	if err != nil {
		return err
	}
	return r.compare("logits", -1, logits)
}

// allLogits computes the logits of the first rows tokens that forward ran over, a block at a time.
func allLogits(ctx context.Context, e *engine.Engine, rows, vocab int) ([]float32, error) {
	head, err := e.Func(entry.Head)
	if err != nil {
		return nil, err
	}
	t, err := head.Output(entry.OutLogits)
	if err != nil {
		return nil, err
	}
	block := int(e.Program.Maxima()[e.Program.SymbolIndex(entry.SymRows)])
	out := make([]float32, rows*vocab)
	for at := 0; at < rows; at += block {
		n := min(block, rows-at)
		head.Set(entry.SymRow, at)
		head.Set(entry.SymRows, n)
		if err := head.Run(ctx); err != nil {
			return nil, err
		}
		if err := engine.Get(t, 0, out[at*vocab:(at+n)*vocab]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// compare compares a tensor with the reference and prints a line. With part >= 0 it uses that part of the reference's
// first axis.
func (r *comparison) compare(name string, part int, got []float32) error {
	t, ok := r.ref.Tensor(name)
	label := name
	if part >= 0 {
		label = fmt.Sprintf("%s[%d]", name, part)
	}
	if !ok {
		fmt.Fprintf(r.w, "%-28s not in the reference\n", label)
		return nil
	}
	want, err := t.Float32s()
	if err != nil {
		return fmt.Errorf("%s: %s: %w", r.path, name, err)
	}
	shape := t.Shape
	if part >= 0 && len(shape) > 1 && part < shape[0] {
		n := len(want) / shape[0]
		want, shape = want[part*n:(part+1)*n], shape[1:]
	}
	if len(got) != len(want) {
		return fmt.Errorf("%s: %s has shape %v, %d elements, but the checkpoint computes %d", r.path, label, shape, len(want), len(got))
	}
	d := deviation(label, shape, got, want)
	verdict := "ok"
	if r.compared++; !(d.Error <= Limit) {
		verdict = "MISS"
		r.found = append(r.found, d)
	}
	fmt.Fprintf(r.w, "%-28s error %.2g of the largest  %s\n", label, d.Error, verdict)
	return nil
}

// deviation returns the greatest difference; NaN counts as the greatest.
func deviation(name string, shape []int, got, want []float32) Deviation {
	worst, at, top := 0.0, 0, 1e-30
	for i := range want {
		if e := math.Abs(float64(got[i]) - float64(want[i])); !(e <= worst) && worst == worst {
			worst, at = e, i
		}
		top = max(top, math.Abs(float64(want[i])))
	}
	d := Deviation{Tensor: name, Error: worst / top, Got: got[at], Want: want[at]}
	for i := len(shape) - 1; i >= 0; i-- {
		d.Index = append(d.Index, at%shape[i])
		at /= shape[i]
	}
	slices.Reverse(d.Index)
	return d
}
