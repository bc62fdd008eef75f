package bench

import (
	"context"
	"fmt"
	"sort"

	"pgc/ir/target"
	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// Row is the share of a kernel in a phase.
type Row struct {
	Kernel   string        `json:"kernel"`
	Launches int           `json:"launches"`
	Seconds  float64       `json:"seconds"`
	Flops    int64         `json:"flops"`
	Bytes    int64         `json:"bytes"`
	Roof     float64       `json:"roof_share"` // its speed as a share of what the nearest limit allows
	lhs, rhs program.DType // of its products; "" where it has none
}

// Phase is one function, run as in generation.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"` // from the first task to the end of the last
	Flops   int64   `json:"flops"`
	Bytes   int64   `json:"bytes"`
	Rows    []Row   `json:"kernels"`
	timings []engine.Timing
}

// Report holds the results of a benchmark.
type Report struct {
	Model      string  `json:"model"`
	CPU        string  `json:"cpu,omitempty"` // the instruction set
	GPU        string  `json:"gpu,omitempty"` // which it is, where it runs on one
	Threads    int     `json:"threads,omitempty"`
	Prompt     int     `json:"prompt_tokens"`
	Peaks      *Peaks  `json:"peaks,omitempty"` // the best seen before and after, on a processor
	ArenaBytes int64   `json:"arena_bytes"`
	Phases     []Phase `json:"phases"`
	Answer     *Answer `json:"answer,omitempty"` // nil for a model that makes embeddings
}

// Options configures Run.
type Options struct {
	ISA     string // the instruction set, or "" for the best
	Threads int
	Text    int         // tokens behind the picture
	New     int         // tokens to decode for the end-to-end figure
	GPUs    engine.GPUs // to run on one of them, unless nil
	Alone   bool        // whether the executable cannot run in a process of its own, as on an emulated GPU
}

// Run times an executable, whose weights are not verified, with one picture and some tokens of text: the encoder, prefill, and a step of
// decoding, the fastest of a few runs each, and whole answers; or the encoder and the embedding of an image, where the model makes those.
func Run(ctx context.Context, path string, o Options) (*Report, error) {
	image, err := program.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	m, err := manifest.Decode(image.Program.Model)
	if err != nil {
		return nil, err
	}
	if n := m.ImageTokens + o.Text + o.New; o.Text < 1 || n > m.MaxTokens {
		return nil, fmt.Errorf("%s: %d tokens of a picture, %d of text and %d new ones are more than its KV cache of %d tokens, or no text: expected 1 to %d tokens of text",
			path, m.ImageTokens, o.Text, o.New, m.MaxTokens, m.MaxTokens-m.ImageTokens-o.New)
	}
	r := &Report{Model: m.Name, Prompt: m.ImageTokens + o.Text}
	var e *engine.Engine
	measure := func() error { return nil }
	if o.GPUs != nil {
		if e, r.GPU, err = engine.OpenGPU(ctx, image, o.GPUs, engine.LoadOptions{}); err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	} else {
		e, err = engine.Open(image, o.ISA, o.Threads)
	}
	if err != nil {
		return nil, err
	}
	defer func() { e.Close() }()
	for i := range e.Program.Funcs {
		r.ArenaBytes = max(r.ArenaBytes, e.Program.Funcs[i].ArenaBytes)
	}
	if o.GPUs == nil {
		t, err := target.Find(e.Program.Target.CPU)
		if err != nil {
			return nil, err
		}
		limits, err := newProber(ctx, t, o.Threads, image.Weights)
		if err != nil {
			return nil, err
		}
		defer limits.close()
		r.CPU, r.Threads, r.Peaks = t.Name, o.Threads, &Peaks{}
		measure = func() error {
			p, err := limits.measure()
			*r.Peaks = r.Peaks.most(p)
			return err
		}
	}
	if err := e.Slots(e.Program.Slots); err != nil {
		return nil, err
	}
	if err := r.phases(ctx, e, m, measure); err != nil {
		return nil, err
	}
	if o.GPUs != nil { // whose memory the answers need
		if err := e.Close(); err != nil {
			return nil, err
		}
	}
	if m.Embedding == nil {
		if r.Answer, err = answer(ctx, path, m.Frozen, o); err != nil {
			return nil, err
		}
	}
	if r.Peaks != nil {
		r.rate()
	}
	return r, nil
}

// Functions times the functions of a program that a GPU has loaded, of a model whose pictures have imageTokens tokens,
// with some tokens of text.
func Functions(ctx context.Context, e *engine.Engine, name, gpu string, imageTokens, text int) (*Report, error) {
	r := &Report{Model: name, GPU: gpu, Prompt: imageTokens + text}
	for i := range e.Program.Funcs {
		r.ArenaBytes = max(r.ArenaBytes, e.Program.Funcs[i].ArenaBytes)
	}
	if err := e.Slots(e.Program.Slots); err != nil {
		return nil, err
	}
	return r, r.phases(ctx, e, &manifest.Model{ImageTokens: imageTokens}, func() error { return nil })
}

// phases times the steps of an answer, and has the limits of the machine measured before and after each.
func (r *Report) phases(ctx context.Context, e *engine.Engine, m *manifest.Model, measure func() error) error {
	if err := prepare(e, r.Prompt, m.ImageTokens); err != nil {
		return err
	}
	if err := measure(); err != nil {
		return err
	}
	list := append(phases(r.Prompt), together(r.Prompt))
	if e.Has(entry.Verify) {
		list = append(list, verify(r.Prompt))
	}
	if m.Embedding != nil {
		list = embedding(r.Prompt)
	}
	for _, phase := range list {
		fs, err := phase.bind(e)
		if err != nil {
			return err
		}
		// Memory bandwidth changes from second to second on a shared machine, so phases bound by it get three chances.
		rounds := 1
		if phase.name == entry.Decode || phase.name == entry.DecodeBatch || phase.name == entry.Verify {
			rounds = 3
		}
		var fastest *Phase
		for range rounds {
			p, err := best(ctx, fs, phase.runs)
			if err != nil {
				return err
			}
			if fastest == nil || p.Seconds < fastest.Seconds {
				fastest = p
			}
			if err := measure(); err != nil {
				return err
			}
		}
		fastest.Name = phase.name
		r.Phases = append(r.Phases, *fastest)
	}
	return nil
}

// best profiles a phase several times and keeps the fastest run.
func best(ctx context.Context, fs []*engine.Func, runs int) (*Phase, error) {
	var fastest *Phase
	for range runs + 1 { // the first one touches the pages
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		times, err := profile(ctx, fs)
		if err != nil {
			return nil, err
		}
		if p := newPhase(times); fastest == nil || p.Seconds < fastest.Seconds {
			fastest = p
		}
	}
	return fastest, nil
}

// newPhase sums the launches of a run by kernel.
func newPhase(times []engine.Timing) *Phase {
	p := &Phase{timings: times}
	rows := map[string]*Row{}
	for _, t := range times {
		row := rows[t.Kernel]
		if row == nil {
			row = &Row{Kernel: t.Kernel, lhs: t.LHS, rhs: t.RHS}
			rows[t.Kernel] = row
		}
		row.Launches++
		row.Seconds += t.Seconds
		row.Flops += t.Flops
		row.Bytes += t.Bytes
		p.Seconds = max(p.Seconds, t.Start+t.Seconds)
		p.Flops += t.Flops
		p.Bytes += t.Bytes
	}
	for _, row := range rows {
		p.Rows = append(p.Rows, *row)
	}
	sort.Slice(p.Rows, func(i, j int) bool {
		return p.Rows[i].Seconds > p.Rows[j].Seconds || p.Rows[i].Seconds == p.Rows[j].Seconds && p.Rows[i].Kernel < p.Rows[j].Kernel
	})
	return p
}
