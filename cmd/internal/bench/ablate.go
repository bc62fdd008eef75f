package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"pgc/codegen"
	"pgc/codegen/backend"
	"pgc/ir"
	"pgc/passes"
	"pgc/runtime/entry"
	"pgc/runtime/plural"
	"pgc/runtime/program"
)

// Ablated is a model, before any pass, whose passes are left out in turn.
type Ablated struct {
	Module      *ir.Module
	Name        string
	Layers      int // of encoder and decoder, where not all
	ImageTokens int
	Text        int // tokens behind the picture
	Passes      passes.Options
}

// Ablation is what each pass buys on a model.
type Ablation struct {
	Model   string        `json:"model"`
	CPU     string        `json:"cpu"` // its target, which may be a GPU's where nothing was timed
	Threads int           `json:"threads,omitempty"`
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
	Seconds float64 `json:"seconds,omitempty"` // of the fastest run, where it was timed
}

// Count counts what the model launches and moves with all passes, without each of them in turn, and without any. Nothing
// is assembled or run, so the numbers are the same everywhere. It calls each after every row.
func (m Ablated) Count(b *backend.Backend, each func(*Ablation)) (*Ablation, error) {
	return m.count(b, m.variants(), each)
}

func (m Ablated) count(b *backend.Backend, list []variant, each func(*Ablation)) (*Ablation, error) {
	a := &Ablation{Model: m.Name, Layers: m.Layers, CPU: b.Target.CPU, Prompt: m.prompt()}
	known := map[string]*codegen.Result{} // by module: a pass may do nothing
	lower := func(plan *ir.Module) (*codegen.Result, error) {
		text := plan.String()
		if r := known[text]; r != nil {
			return r, nil
		}
		r, err := codegen.Lower(plan, b)
		known[text] = r
		return r, err
	}
	return a, m.each(list, lower, func(_ *codegen.Result, row *AblationRow) error {
		a.Rows = append(a.Rows, *row)
		each(a)
		return nil
	})
}

func (m Ablated) prompt() int { return m.ImageTokens + m.Text }

// phases returns the steps that the model has functions for.
func (m Ablated) phases() (list []phase) {
	lacks := func(name string) bool { return m.Module.Func(name) == nil }
	for _, p := range append(phases(m.prompt()), together(m.prompt())) {
		if !slices.ContainsFunc(p.funcs, lacks) {
			list = append(list, p)
		}
	}
	return list
}

// plain returns a copy of the module, with the functions of the phases alone.
func (m Ablated) plain() *ir.Module {
	c, list := m.Module.Clone(), m.phases()
	c.Funcs = slices.DeleteFunc(c.Funcs, func(f *ir.Func) bool {
		return !slices.ContainsFunc(list, func(p phase) bool { return slices.Contains(p.funcs, f.Name) })
	})
	return c
}

// each optimizes and compiles the model without the passes of each variant in turn, and hands the results and what they cost
// to do.
func (m Ablated) each(list []variant, compile func(*ir.Module) (*codegen.Result, error), do func(*codegen.Result, *AblationRow) error) error {
	if m.Module.Func(entry.Prefill) == nil {
		return fmt.Errorf("%s makes embeddings, expected a model that generates text", m.Name)
	}
	for _, v := range list {
		module, row := m.plain(), &AblationRow{Without: v.name, Funcs: map[string]AblationFunc{}}
		o := m.Passes
		o.Off = map[string]bool{}
		maps.Copy(o.Off, m.Passes.Off)
		maps.Copy(o.Off, v.off)
		err := passes.Optimize(module, o)
		var r *codegen.Result
		if err == nil {
			r, err = compile(module)
		}
		if err == nil {
			for _, p := range m.phases() {
				row.Funcs[p.name] = p.cost(module, r.Program)
			}
			err = do(r, row)
		}
		if err != nil {
			return fmt.Errorf("without %s: %w", v.name, err)
		}
	}
	return nil
}

// cost counts what the functions of a phase launch and move.
func (p phase) cost(m *ir.Module, prog *program.Program) (c AblationFunc) {
	symbols := make([]int64, len(prog.Symbols))
	for name, v := range p.syms {
		if i := prog.SymbolIndex(name); i >= 0 {
			symbols[i] = int64(v)
		}
	}
	for _, name := range p.funcs {
		i := slices.IndexFunc(prog.Funcs, func(f program.Func) bool { return f.Name == name })
		for _, l := range prog.Funcs[i].Launches {
			c.Kernels++
			c.Bytes += l.Bytes.Eval(symbols)
		}
		c.Arena = max(c.Arena, passes.ArenaOf(m.Func(name)).Bytes)
	}
	return c
}

type variant struct {
	name string
	off  map[string]bool
}

// nothing is what the first variant is without.
const nothing = "nothing"

// variants lists what is left out: each optional pass that runs.
func (m Ablated) variants() []variant {
	list := []variant{{nothing, nil}}
	all := map[string]bool{}
	for _, p := range passes.Pipeline {
		if !p.Required && (!p.Asked || slices.Contains(m.Passes.With, p.Name)) {
			list = append(list, variant{p.Name, map[string]bool{p.Name: true}})
			all[p.Name] = true
		}
	}
	list = append(list, variant{"cse and cse-again", map[string]bool{"cse": true, "cse-again": true}}) // each does the other's work
	return append(list, variant{"every optional pass", all})
}

// phaseTitles say what the phases are to people.
var phaseTitles = map[string]string{entry.EncodeImage: "image encoder", entry.Prefill: "prefill", entry.Decode: "a decoded token",
	entry.DecodeBatch: "a step of a batch"}

// shown lists the phases of a row in their order.
func (a *Ablation) shown() (list []string) {
	for _, name := range []string{entry.EncodeImage, entry.Prefill, entry.Decode, entry.DecodeBatch} {
		if _, ok := a.Rows[0].Funcs[name]; ok {
			list = append(list, name)
		}
	}
	return list
}

// cells returns the cells of a row: numbers of kernels, bytes and arenas, and where it was timed milliseconds and their ratio
// to the first row's. A cell has a number for each phase.
func (a *Ablation) cells(r *AblationRow) []string {
	var cells [][]string
	for _, name := range a.shown() {
		f := r.Funcs[name]
		of := []string{fmt.Sprint(f.Kernels), fmt.Sprintf("%.1f", float64(f.Bytes)/1e6), fmt.Sprintf("%.2f", float64(f.Arena)/1e6)}
		if f.Seconds > 0 {
			of = append(of, fmt.Sprintf("%.2f", f.Seconds*1e3), fmt.Sprintf("%.2f", f.Seconds/a.Rows[0].Funcs[name].Seconds))
		}
		for i, s := range of {
			if i == len(cells) {
				cells = append(cells, nil)
			}
			cells[i] = append(cells[i], s)
		}
	}
	var joined []string
	for _, c := range cells {
		joined = append(joined, strings.Join(c, " / "))
	}
	return joined
}

// PrintRow writes the last row of the ablation in Markdown, with the head of the table before the first.
func (a *Ablation) PrintRow(w io.Writer) {
	r := &a.Rows[len(a.Rows)-1]
	cells := a.cells(r)
	if len(a.Rows) == 1 {
		var about []string
		if a.Layers > 0 {
			about = append(about, fmt.Sprintf("%d of the layers of encoder and decoder", a.Layers))
		}
		about = append(about, fmt.Sprintf("%d tokens", a.Prompt))
		if a.Threads > 0 {
			about = append(about, plural.Of(a.Threads, "thread"))
		}
		var titles []string
		for _, name := range a.shown() {
			titles = append(titles, phaseTitles[name])
		}
		fmt.Fprintf(w, "%s: %s, %s; each column: %s\n\n", a.Model, strings.Join(about, ", "), a.CPU, strings.Join(titles, " / "))
		heads := []string{"without", "kernels", "MB moved", "arena MB", "ms", "times as long"}[:1+len(cells)]
		fmt.Fprintf(w, "| %s |\n%s|\n", strings.Join(heads, " | "), strings.Repeat("|---", len(heads)))
	}
	fmt.Fprintf(w, "| %s | %s |\n", r.Without, strings.Join(cells, " | "))
}
