package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"sort"

	"pgc/ir/target"
	"pgc/runtime/engine"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// Row is a kernel's share of a phase.
type Row struct {
	Kernel   string  `json:"kernel"`
	Launches int     `json:"launches"`
	Seconds  float64 `json:"seconds"`
	Flops    int64   `json:"flops"`
	Bytes    int64   `json:"bytes"`
}

// Phase is one function, run as in generation.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Flops   int64   `json:"flops"`
	Bytes   int64   `json:"bytes"`
	Rows    []Row   `json:"kernels"`
}

// Report is what a benchmark found.
type Report struct {
	CPU     string  `json:"cpu"` // the instruction set
	Threads int     `json:"threads"`
	Prompt  int     `json:"prompt_tokens"`
	Peaks   Peaks   `json:"peaks"`
	Phases  []Phase `json:"phases"`
}

// Run times an executable with one picture and some tokens of text: the encoder, prefill, and a step of decoding, the
// fastest of a few runs each. isa names the instruction set, or is empty for the best.
func Run(ctx context.Context, path, isa string, threads, text int) (*Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	image, err := program.Open(f)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	m, err := manifest.Decode(image.Program.Model)
	if err != nil {
		return nil, err
	}
	if err := image.Choose(isa, engine.Lacks); err != nil {
		return nil, err
	}
	t, err := target.Find(image.Program.Target.CPU)
	if err != nil {
		return nil, err
	}
	r := &Report{CPU: t.Name, Threads: threads, Prompt: m.ImageTokens + text}
	if r.Peaks, err = Measure(ctx, t, threads); err != nil {
		return nil, err
	}
	e, err := engine.New(image.Program, image.Code, image.Weights, threads)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	for i := range r.Prompt {
		e.Ints("ids")[i], e.Ints("slots")[i] = int32(5+i%7), -1
		if i < m.ImageTokens {
			e.Ints("slots")[i] = int32(i)
		}
	}
	n := r.Prompt
	for _, phase := range []struct {
		name string
		syms map[string]int
		runs int
	}{
		{"encode_image", nil, 2},
		{"prefill", map[string]int{"S": n, "T": n, "past": 0, "prefix": n, "F": m.ImageTokens}, 2},
		{"decode", map[string]int{"S": 1, "T": n + 1, "past": n, "prefix": n}, 5},
	} {
		fn, err := e.Func(phase.name)
		if err != nil {
			return nil, err
		}
		for s, v := range phase.syms {
			fn.Set(s, v)
		}
		p, err := best(ctx, fn, phase.runs)
		if err != nil {
			return nil, err
		}
		p.Name = phase.name
		r.Phases = append(r.Phases, *p)
	}
	return r, nil
}

// best profiles a function some times and keeps the fastest run.
func best(ctx context.Context, f *engine.Func, runs int) (*Phase, error) {
	var fastest *Phase
	for range runs + 1 { // the first one touches the pages
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		times, err := f.Profile()
		if err != nil {
			return nil, err
		}
		p := &Phase{}
		rows := map[string]*Row{}
		for _, t := range times {
			row := rows[t.Kernel]
			if row == nil {
				row = &Row{Kernel: t.Kernel}
				rows[t.Kernel] = row
			}
			row.Launches++
			row.Seconds += t.Seconds
			row.Flops += t.Flops
			row.Bytes += t.Bytes
			p.Seconds += t.Seconds
			p.Flops += t.Flops
			p.Bytes += t.Bytes
		}
		for _, row := range rows {
			p.Rows = append(p.Rows, *row)
		}
		sort.Slice(p.Rows, func(i, j int) bool {
			return p.Rows[i].Seconds > p.Rows[j].Seconds || p.Rows[i].Seconds == p.Rows[j].Seconds && p.Rows[i].Kernel < p.Rows[j].Kernel
		})
		if fastest == nil || p.Seconds < fastest.Seconds {
			fastest = p
		}
	}
	return fastest, nil
}

// Print writes the report as a table.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "peak: %.1f GFLOP/s (f32 multiply-add), %.1f GB/s (memory reads), %d threads, %s\n", r.Peaks.Flops/1e9, r.Peaks.Bandwidth/1e9, r.Threads, r.CPU)
	for _, p := range r.Phases {
		fmt.Fprintf(w, "\n%s: %.2f ms, %.1f GFLOP/s (%.0f %% of peak), %.1f GB/s (%.0f %% of peak)\n", p.Name, p.Seconds*1e3,
			float64(p.Flops)/p.Seconds/1e9, 100*float64(p.Flops)/p.Seconds/r.Peaks.Flops,
			float64(p.Bytes)/p.Seconds/1e9, 100*float64(p.Bytes)/p.Seconds/r.Peaks.Bandwidth)
		for _, k := range p.Rows {
			fmt.Fprintf(w, "  %-16s %4d × %9.3f ms %6.1f %% of the time %7.1f GFLOP/s (%3.0f %%) %6.1f GB/s (%3.0f %%)\n", k.Kernel, k.Launches,
				k.Seconds*1e3, 100*k.Seconds/p.Seconds, float64(k.Flops)/k.Seconds/1e9, 100*float64(k.Flops)/k.Seconds/r.Peaks.Flops,
				float64(k.Bytes)/k.Seconds/1e9, 100*float64(k.Bytes)/k.Seconds/r.Peaks.Bandwidth)
		}
	}
}
