package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"pgc/models/paligemma"
	"pgc/runtime/draw"
	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/generate"
	"pgc/runtime/imageio"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
	"pgc/runtime/rgb"
	"pgc/runtime/tokenizer"
)

// Answer holds the times of an answer from end to end, the best of several.
type Answer struct {
	Picture   float64 `json:"picture_s"`     // from a decoded picture to its features
	First     float64 `json:"first_token_s"` // from a decoded picture to the first id, in a process that runs already
	Tokens    int     `json:"new_tokens"`
	PerSecond float64 `json:"tokens_per_s"`       // of the tokens after the first, chosen greedily
	Batch     float64 `json:"batch_tokens_per_s"` // of as many sequences as are decoded together
	Start     float64 `json:"process_start_s"`    // from the start of a process of its own to its end, with one token
	PeakRSS   int64   `json:"peak_rss_bytes"`     // of that process
}

// side is the width and height of the images: like most, larger than what the model sees.
const side = 640

// answer times whole answers about an image of noise.
func answer(ctx context.Context, e *engine.Engine, m *manifest.Model, image *program.Image, path string, o Options) (*Answer, error) {
	tok, err := tokenizer.Load(image.Section(manifest.SectionTokenizer))
	if err != nil {
		return nil, err
	}
	s, err := generate.New(m, tok, e)
	if err != nil {
		return nil, err
	}
	a := &Answer{Tokens: o.New, First: 1e9, Start: 1e9}
	for run := range 3 {
		if err := a.inProcess(ctx, s, e, o, noise(run)); err != nil {
			return a, err
		}
	}
	for range 3 {
		if err := a.together(ctx, e, o, s.Model.ImageTokens+o.Text); err != nil {
			return a, err
		}
	}
	for range 3 {
		if err := a.newProcess(ctx, s, path, o); err != nil {
			return a, err
		}
	}
	return a, nil
}

// inProcess answers once; the phases have set the ids already.
func (a *Answer) inProcess(ctx context.Context, s *generate.Session, e *engine.Engine, o Options, p *rgb.Image) error {
	n := s.Model.ImageTokens + o.Text
	start := time.Now()
	if _, _, err := s.Encode(ctx, []*rgb.Image{p}); err != nil {
		return err
	}
	encoded := time.Since(start).Seconds()
	all := phases(n)
	if err := run(ctx, e, all[1], entry.StateNext, 1); err != nil {
		return err
	}
	if first := time.Since(start).Seconds(); first < a.First {
		a.First, a.Picture = first, encoded
	}
	start = time.Now()
	for i := range o.New {
		if err := run(ctx, e, phases(n + i)[2], entry.StateNext, 1); err != nil {
			return err
		}
	}
	a.PerSecond = max(a.PerSecond, float64(o.New)/time.Since(start).Seconds())
	return nil
}

// together decodes a batch of sequences with n tokens before them.
func (a *Answer) together(ctx context.Context, e *engine.Engine, o Options, n int) error {
	start := time.Now()
	for i := range o.New {
		if err := run(ctx, e, together(n+i), entry.StateNextBatch, paligemma.Sequences); err != nil {
			return err
		}
	}
	a.Batch = max(a.Batch, float64(o.New*paligemma.Sequences)/time.Since(start).Seconds())
	return nil
}

// run runs a phase and reads the tokens that it chose, as generation does. It replaces an invalid token by the first.
func run(ctx context.Context, e *engine.Engine, p phase, state string, n int) error {
	fs, err := p.bind(e)
	if err != nil {
		return err
	}
	for _, f := range fs {
		if err := f.Run(ctx); err != nil {
			return err
		}
	}
	next, err := e.State(state)
	if err != nil {
		return err
	}
	ids := make([]int32, n)
	if err := engine.Get(next, 0, ids); err != nil {
		return err
	}
	for i := range ids {
		ids[i] = max(ids[i], 0)
	}
	return engine.Put(next, 0, ids)
}

// newProcess runs the executable in a process of its own on a PNG.
func (a *Answer) newProcess(ctx context.Context, s *generate.Session, path string, o Options) error {
	dir, err := os.MkdirTemp("", "pgc-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "noise.png")
	if err := imageio.WritePNG(file, draw.Boxes(noise(0), nil)); err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	args := []string{"generate", "--image", file, "--prompt", prompt(s, o.Text), "--max-new-tokens", "1", "--json", "--threads", fmt.Sprint(o.Threads)}
	if o.ISA != "" {
		args = append(args, "--isa", o.ISA)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	var message strings.Builder
	cmd.Stderr = &message
	start := time.Now()
	out, err := cmd.Output()
	took := time.Since(start).Seconds()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", path, err, strings.TrimSpace(message.String()))
	}
	var got struct {
		PeakRSS int64 `json:"peak_rss_bytes"`
	}
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("%s: its answer is not JSON: %w", path, err)
	}
	a.Start, a.PeakRSS = min(a.Start, took), max(a.PeakRSS, got.PeakRSS)
	return nil
}

// prompt returns a text of about n tokens, including the template's.
func prompt(s *generate.Session, n int) string {
	text := "describe"
	for {
		next := text + " it"
		p, err := s.Layout(1, next, nil, false)
		if err != nil || len(p.IDs) > s.Model.ImageTokens+n {
			return text
		}
		text = next
	}
}

// noise returns an image of pseudorandom pixels.
func noise(seed int) *rgb.Image {
	p := rgb.New(side, side)
	x := uint64(seed)*2 + 88172645463325252
	for i := range p.Pix {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		p.Pix[i] = byte(x >> 32)
	}
	return p
}
