package quality

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"pgc/internal/build"
	"pgc/runtime/entry"
	"pgc/runtime/plural"
	"pgc/runtime/program"
	"pgc/runtime/tokenizer"
)

// Report compares an executable with its checkpoint.
type Report struct {
	Samples   int     `json:"samples"`
	Positions int     `json:"positions"` // whose logits are compared: those that predict the answers
	KL        float64 `json:"kl"`        // mean of KL(checkpoint ‖ executable), in nats
	KLMax     float64 `json:"kl_max"`
	Top1      float64 `json:"top1"` // share of positions where both would choose the same token
	Layers    []Layer `json:"layers"`
}

// Layer compares the outputs of one layer.
type Layer struct {
	Name  string  `json:"name"`
	Error float64 `json:"error"` // root of the squared difference over the squared result

	function   string
	width      int
	diff, size float64
}

// Report runs the samples through the checkpoint and through the executable at path, compiled with the same options,
// and compares.
func (r *Reference) Report(ctx context.Context, path string, samples []Sample) (*Report, error) {
	image, err := program.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	other, err := build.Load(ctx, r.c, build.LoadOptions{Options: r.options, Image: image, Folder: r.folder})
	if err != nil {
		return nil, err
	}
	defer other.Close()
	out := &Report{Samples: len(samples)}
	for _, function := range []string{entry.EncodeImage, entry.Forward} {
		for _, res := range other.Module.Func(function).Results {
			name := res.Name
			if res.State != nil {
				name = res.State.Name
			}
			if res.State == nil || name == entry.StateFeatures {
				out.Layers = append(out.Layers, Layer{Name: name, function: function, width: res.Value.Type.Last().N})
			}
		}
	}
	same := 0
	for i, sm := range samples {
		r.step("reporting", i, len(samples))
		p, err := r.prompt(ctx, sm)
		if err != nil {
			return nil, err
		}
		want, err := r.run(ctx, r.model, sm, p, out.Layers)
		if err != nil {
			return nil, err
		}
		got, err := r.run(ctx, other, sm, p, out.Layers)
		if err != nil {
			return nil, err
		}
		for j := range out.Layers {
			l := &out.Layers[j]
			for k, v := range want.layers[j] {
				d := float64(got.layers[j][k]) - float64(v)
				l.diff += d * d
				l.size += float64(v) * float64(v)
			}
		}
		vocab := other.Session.Model.VocabSize
		for at := 0; at < len(want.logits); at += vocab {
			a, b := want.logits[at:at+vocab], got.logits[at:at+vocab]
			kl := divergence(a, b)
			out.Positions++
			out.KL += kl
			out.KLMax = max(out.KLMax, kl)
			if best(a, other.Session.Model.SuppressTokens) == best(b, other.Session.Model.SuppressTokens) {
				same++
			}
		}
	}
	r.step("reporting", len(samples), len(samples))
	out.KL /= float64(max(1, out.Positions))
	out.Top1 = float64(same) / float64(max(1, out.Positions))
	for j := range out.Layers {
		l := &out.Layers[j]
		l.Error = math.Sqrt(l.diff / max(l.size, 1e-300))
	}
	return out, nil
}

// results holds the layers of a sample and the logits of the positions that predict its answer.
type results struct {
	layers [][]float32
	logits []float32
}

func (r *Reference) run(ctx context.Context, m *build.Model, sm Sample, p tokenizer.Prompt, layers []Layer) (out results, err error) {
	s := m.Session
	if err := s.Hidden(ctx, p, sm.pictures()); err != nil {
		return out, err
	}
	for _, l := range layers {
		x, err := r.output(m, l.function, l.Name, r.rows(l.function, p)*l.width)
		if err != nil {
			return out, err
		}
		out.layers = append(out.layers, x)
	}
	first, end := p.Prefix-1, max(p.Prefix, len(p.IDs)-1)
	err = s.Logits(ctx, first, end, func(_ int, logits []float32) error {
		out.logits = append(out.logits, logits...)
		return nil
	})
	return out, err
}

// divergence returns KL(softmax a ‖ softmax b) in nats.
func divergence(a, b []float32) float64 {
	la, lb := logSum(a), logSum(b)
	kl := 0.0
	for i := range a {
		p := float64(a[i]) - la
		kl += math.Exp(p) * (p - (float64(b[i]) - lb))
	}
	return max(0, kl)
}

func logSum(x []float32) float64 {
	top, sum := float64(slices.Max(x)), 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}

// best returns the token that greedy decoding chooses.
func best(logits []float32, suppressed []int32) int {
	at := -1
	for i, v := range logits {
		if (at < 0 || v > logits[at]) && !slices.Contains(suppressed, int32(i)) {
			at = i
		}
	}
	return at
}

// Print writes the report as a table.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%s, %s of answers, compared with the checkpoint as it is stored:\n", plural.Of(r.Samples, "sample"), plural.Of(r.Positions, "position"))
	fmt.Fprintf(w, "%-28s mean %.3g nats, at most %.3g\n%-28s %.2f %%\n", "KL divergence of logits", r.KL, r.KLMax, "same likeliest token", 100*r.Top1)
	fmt.Fprintf(w, "error of layers, each after all before it, as a share of the result:\n")
	for _, l := range r.Layers {
		fmt.Fprintf(w, "%-28s %.3g %%\n", l.Name, 100*l.Error)
	}
}
