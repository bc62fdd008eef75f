package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pgc"
	"pgc/runtime/imageio"
	"pgc/runtime/jsonerr"
	"pgc/runtime/manifest"
	"pgc/runtime/process"
)

// Answer holds the times of an answer from end to end, the best of several.
type Answer struct {
	Picture   float64 `json:"picture_s"`          // from a decoded picture to its features
	First     float64 `json:"first_token_s"`      // from a decoded picture to the first id, in a process that runs already
	Prompt    string  `json:"prompt,omitempty"`   // the first that is built in, where the executable answers no other
	Tokens    int     `json:"new_tokens"`         // after the first; a task that is built in may find nothing
	PerSecond float64 `json:"tokens_per_s"`       // of those, chosen greedily; 0 without any
	Batch     float64 `json:"batch_tokens_per_s"` // of MaxBatch requests decoded together
	MaxBatch  int     `json:"sequences"`
	Start     float64 `json:"process_start_s,omitempty"` // from the start of a process of its own to its end, with one token or all prompts that are built in
	PeakRSS   int64   `json:"peak_rss_bytes,omitempty"`  // of that process, if it says so
}

// side is the width and height of the images: like most, larger than what the model sees.
const side = 640

// answer times whole answers about images of noise, to the first of the prompts that are built in, if there are some.
func answer(ctx context.Context, path string, own []manifest.Frozen, o Options) (*Answer, error) {
	options := []pgc.Option{pgc.WithThreads(o.Threads), pgc.WithoutVerification()}
	if o.ISA != "" {
		options = append(options, pgc.WithISA(o.ISA))
	}
	if o.GPUs != nil {
		device, err := pgc.ParseDevice("cuda")
		if err != nil {
			return nil, err
		}
		options = append(options, pgc.WithDevice(device, o.GPUs))
	}
	m, err := pgc.Open(path, options...)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	a := &Answer{MaxBatch: m.Slots(), First: 1e9, Start: 1e9}
	var text string
	if len(own) > 0 {
		a.Prompt, text = own[0].Text, own[0].Text
	} else if text, err = prompt(m, o.Text); err != nil {
		return nil, err
	}
	for run := range 3 {
		if err := a.inProcess(ctx, m, request(pgc.Pixels(noise(run)), text, o.New)); err != nil {
			return a, err
		}
	}
	for range 3 {
		if err := a.together(ctx, m, request(pgc.Pixels(noise(0)), text, o.New)); err != nil {
			return a, err
		}
	}
	if o.Alone {
		a.Start = 0
		return a, nil
	}
	for range 3 {
		if err := a.newProcess(ctx, path, text, o); err != nil {
			return a, err
		}
	}
	return a, nil
}

// request asks for one token and n after it, chosen greedily.
func request(image pgc.Image, text string, n int) pgc.Request {
	return pgc.Request{Images: []pgc.Image{image}, Prompt: text,
		Settings: pgc.Settings{MaxNewTokens: new(n + 1), Temperature: new(0.0), RepetitionPenalty: new(1.0), IgnoreEOS: true}}
}

// inProcess answers once.
func (a *Answer) inProcess(ctx context.Context, m *pgc.Model, r pgc.Request) error {
	got, err := m.Generate(ctx, r)
	if err != nil {
		return err
	}
	t := got.Timings
	encoded := (t.Preprocess + t.Encode).Seconds()
	if first := encoded + t.Prefill.Seconds(); first < a.First {
		a.First, a.Picture = first, encoded
	}
	if n := len(got.Tokens) - 1; n > 0 {
		a.Tokens, a.PerSecond = max(a.Tokens, n), max(a.PerSecond, float64(n)/t.Decode.Seconds())
	}
	return nil
}

// together answers as many requests as are decoded together, from the last prompt's first token on.
func (a *Answer) together(ctx context.Context, m *pgc.Model, r pgc.Request) error {
	tokens, last := 0, time.Duration(0)
	for got, err := range m.Batch(ctx, slices.Values(slices.Repeat([]pgc.Request{r}, m.Slots()))) {
		if err != nil {
			return err
		}
		tokens, last = tokens+len(got.Tokens)-1, got.Timings.Decode
	}
	if tokens > 0 {
		a.Batch = max(a.Batch, float64(tokens)/last.Seconds())
	}
	return nil
}

// newProcess runs the executable in a process of its own on a PNG.
func (a *Answer) newProcess(ctx context.Context, path, text string, o Options) error {
	dir, remove, err := process.TempDir("pgc-bench-")
	if err != nil {
		return err
	}
	defer remove()
	file := filepath.Join(dir, "noise.png")
	if err := imageio.WritePNG(file, noise(0)); err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	args := []string{"generate", "--image", file, "--prompt", text, "--max-new-tokens", "1"}
	if a.Prompt != "" {
		args = []string{file}
	}
	args = append(args, "--json", "--no-verify", "--threads", fmt.Sprint(o.Threads))
	if o.ISA != "" {
		args = append(args, "--isa", o.ISA)
	}
	if o.GPUs != nil {
		number, _, err := o.GPUs.Find(-1)
		if err != nil {
			return err
		}
		args = append(args, "--device", fmt.Sprintf("cuda:%d", number))
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
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&got); err != nil { // several prompts have a line each
		return fmt.Errorf("%s: its answer is not JSON: %w", path, jsonerr.Explain(err))
	}
	a.Start, a.PeakRSS = min(a.Start, took), max(a.PeakRSS, got.PeakRSS)
	return nil
}

// prompt returns a text of about n tokens, including the <bos> and the newline of the template.
func prompt(m *pgc.Model, n int) (string, error) {
	text := "describe"
	for {
		next := text + " it"
		ids, err := m.Tokenize(next, false)
		if err != nil || len(ids)+2 > n {
			return text, err
		}
		text = next
	}
}

// noise returns an opaque image of pseudorandom pixels.
func noise(seed int) image.Image {
	p := image.NewRGBA(image.Rect(0, 0, side, side))
	x := uint64(seed)*2 + 88172645463325252
	for i := range p.Pix {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		if p.Pix[i] = byte(x >> 32); i%4 == 3 {
			p.Pix[i] = 255
		}
	}
	return p
}
