package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"pgc/codegen"
	"pgc/codegen/cpu"
	"pgc/ir"
	"pgc/ir/target"
	"pgc/passes"
	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/native"
	"pgc/runtime/plural"
)

// Ablation measures what each pass buys on a model.
type Ablation struct {
	Model   string        `json:"model"`
	CPU     string        `json:"cpu"`
	Threads int           `json:"threads"`
	Prompt  int           `json:"prompt_tokens"`
	Layers  int           `json:"layers,omitempty"` // of encoder and decoder, where not all
	Rows    []AblationRow `json:"rows"`             // with all passes, then without one each, then without all
}

// AblationRow is the model compiled without some passes.
type AblationRow struct {
	Without string                  `json:"without"` // a pass, some of them, or "nothing"
	Funcs   map[string]AblationFunc `json:"functions"`
}

// AblationFunc is one phase of a row.
type AblationFunc struct {
	Kernels int     `json:"kernels"` // launched
	Bytes   int64   `json:"bytes"`   // moved at least
	Arena   int64   `json:"arena_bytes"`
	Seconds float64 `json:"seconds"` // of the fastest run
}

// ablated lists the phases whose costs are shown.
var ablated = []string{entry.EncodeImage, entry.Prefill, entry.Decode}

// Ablate compiles a plain model with all passes, without each of them in turn, and without any, and times it. It needs
// no checkpoint: it makes weights up, because values other than NaN and subnormals do not change the time. It calls
// each after every row.
func Ablate(ctx context.Context, plain *ir.Module, imageTokens int, t target.Target, threads, text int, model string, layers int, each func(*Ablation)) (*Ablation, error) {
	if plain.Func(entry.Prefill) == nil {
		return nil, fmt.Errorf("%s makes embeddings, expected a model that generates text", model)
	}
	a := &Ablation{Model: model, Layers: layers, CPU: t.Name, Threads: threads, Prompt: imageTokens + text}
	var weights *made
	defer func() {
		if weights != nil {
			weights.memory.Close()
		}
	}()
	for _, v := range variants() {
		m := plain.Clone()
		if err := passes.Optimize(m, passes.Options{Off: v.off}); err != nil {
			return nil, fmt.Errorf("without %s: %w", v.name, err)
		}
		r, err := codegen.Compile(ctx, m, cpu.Backend(t))
		if err != nil {
			return nil, fmt.Errorf("without %s: %w", v.name, err)
		}
		if weights == nil || int64(weights.memory.Len()) < r.Program.WeightBytes {
			if weights != nil {
				weights.memory.Close()
			}
			if weights, err = makeUp(r.Program.WeightBytes + r.Program.WeightBytes/8); err != nil {
				return nil, err
			}
		}
		if len(a.Rows) == 0 { // what all others are compared with is not timed on a cold machine
			if _, err := weights.time(ctx, m, r, threads, imageTokens, a.Prompt); err != nil {
				return nil, err
			}
		}
		row, err := weights.time(ctx, m, r, threads, imageTokens, a.Prompt)
		if err != nil {
			return nil, fmt.Errorf("without %s: %w", v.name, err)
		}
		row.Without = v.name
		a.Rows = append(a.Rows, *row)
		each(a)
	}
	return a, nil
}

type variant struct {
	name string
	off  map[string]bool
}

func variants() []variant {
	list := []variant{{"nothing", nil}}
	all := map[string]bool{}
	for _, p := range passes.Pipeline {
		if !p.Required {
			list = append(list, variant{p.Name, map[string]bool{p.Name: true}})
			all[p.Name] = true
		}
	}
	list = append(list, variant{"cse and cse-again", map[string]bool{"cse": true, "cse-again": true}}) // each does the other's work
	return append(list, variant{"every optional pass", all})
}

// made holds made-up weights.
type made struct{ memory *native.Memory }

// makeUp fills memory with values that are sane in every type: small ones of both signs as bf16, and also as f32, as
// scales of groups and as integers.
func makeUp(bytes int64) (*made, error) {
	memory, err := native.Reserve(bytes)
	if err != nil {
		return nil, err
	}
	w := &made{memory}
	w.fill(0, bytes)
	return w, nil
}

func (w *made) fill(from, to int64) {
	b := w.memory.Bytes()[from:to]
	x := uint32(12345)
	n := min(len(b)&^1, 1<<20)
	for i := 0; i < n; i += 2 {
		x = x*1664525 + 1013904223
		h := uint16(0x3c00 + x>>24&0xff) // 0.0078 to 0.031
		h |= uint16(x>>23&1) << 15
		b[i], b[i+1] = byte(h), byte(h>>8)
	}
	for at := n; at < len(b); at += n { // a megabyte again and again
		copy(b[at:], b[:n])
	}
}

// time times the functions of a compiled model, called as in generation.
func (w *made) time(ctx context.Context, m *ir.Module, r *codegen.Result, threads, imageTokens, n int) (*AblationRow, error) {
	r.Constants(func(at int64, data []byte) { copy(w.memory.Bytes()[at:], data) })
	defer r.Constants(func(at int64, data []byte) { w.fill(at, at+int64(len(data))) })
	code, err := native.LoadCode(r.Code.Bytes)
	if err != nil {
		return nil, err
	}
	defer code.Close()
	e, err := engine.New(r.Program, code.Bytes(), w.memory.Bytes(), threads)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if err := prepare(e, n, imageTokens); err != nil {
		return nil, err
	}
	row := &AblationRow{Funcs: map[string]AblationFunc{}}
	for _, p := range phases(n) {
		fs, err := p.bind(e)
		if err != nil {
			return nil, err
		}
		f := AblationFunc{}
		for _, name := range p.funcs {
			f.Arena = max(f.Arena, passes.ArenaOf(m.Func(name)).Bytes)
		}
		launches, err := profile(ctx, fs)
		if err != nil {
			return nil, err
		}
		for _, launch := range launches {
			f.Kernels++
			f.Bytes += launch.Bytes
			f.Seconds += launch.Seconds
		}
		// The first run touches the pages.
		for range p.runs {
			if f.Seconds > 4 {
				break
			}
			start := time.Now()
			for _, fn := range fs {
				if err := fn.Run(ctx); err != nil {
					return nil, err
				}
			}
			f.Seconds = min(f.Seconds, time.Since(start).Seconds())
		}
		row.Funcs[p.name] = f
	}
	return row, ctx.Err()
}

// PrintRow writes the last row of the ablation in Markdown, with the head of the table before the first.
func (a *Ablation) PrintRow(w io.Writer) {
	if len(a.Rows) == 1 {
		layers := ""
		if a.Layers > 0 {
			layers = fmt.Sprintf(", %d of the layers of encoder and decoder", a.Layers)
		}
		fmt.Fprintf(w, "%s%s: %d tokens, %s, %s; each column: image encoder / prefill / a decoded token\n\n", a.Model, layers, a.Prompt, plural.Of(a.Threads, "thread"), a.CPU)
		fmt.Fprintln(w, "| without | kernels | MB moved | arena MB | ms | times as long |")
		fmt.Fprintln(w, "|---|---|---|---|---|---|")
	}
	r := a.Rows[len(a.Rows)-1]
	var cells [5][]any
	for _, name := range ablated {
		f, all := r.Funcs[name], a.Rows[0].Funcs[name]
		for i, cell := range []string{fmt.Sprint(f.Kernels), fmt.Sprintf("%.1f", float64(f.Bytes)/1e6), fmt.Sprintf("%.2f", float64(f.Arena)/1e6),
			fmt.Sprintf("%.2f", f.Seconds*1e3), fmt.Sprintf("%.2f", f.Seconds/all.Seconds)} {
			cells[i] = append(cells[i], cell)
		}
	}
	fmt.Fprintf(w, "| %s |", r.Without)
	for _, c := range cells {
		fmt.Fprintf(w, " %s / %s / %s |", c...)
	}
	fmt.Fprintln(w)
}
