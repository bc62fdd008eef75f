// Package tour makes the dumps of docs/TOUR.md: an RMSNorm and a matmul in every form that the compiler gives them. A
// test compares the document with them.
package tour

import (
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"strings"

	"pgc/cmd/internal/debug"
	"pgc/codegen"
	"pgc/codegen/cpu"
	"pgc/codegen/kernels"
	"pgc/codegen/llvm"
	"pgc/codegen/ptx"
	"pgc/frontend"
	"pgc/ir"
	"pgc/ir/target"
	"pgc/ir/tile"
	"pgc/passes"
)

// Build returns the function of the tour, written in the DSL.
func Build() (*ir.Module, error) {
	return frontend.Build(func(m *frontend.Module) {
		S := m.Symbol("S", 32)
		m.Func("f", func(f *frontend.Func) {
			x := f.Input("x", ir.F32, S, 64)
			h := frontend.RMSNorm(x, f.Weight("norm.weight", ir.BF16, 64), 1e-6)
			f.Return("y", frontend.GeluTanh(frontend.Linear(h, f.Weight("proj.weight", ir.BF16, 48, 64), nil)))
		})
	})
}

//go:embed tour.go
var source string

// Dump is one form of the function.
type Dump struct {
	Name string // as the document's markers have it
	Text string
}

// Dumps returns all forms, in order.
func Dumps(ctx context.Context, t target.Target) (dumps []Dump, svg string, err error) {
	add := func(name, text string) { dumps = append(dumps, Dump{name, strings.TrimRight(text, "\n") + "\n"}) }
	add("dsl", between(source, "\treturn frontend.Build", "\n}\n"))
	m, err := Build()
	if err != nil {
		return nil, "", err
	}
	add("plain", m.String())
	before := ""
	err = passes.Optimize(m, passes.Options{Check: true, Observe: func(s passes.Step) {
		if text := s.Func.String(); text != before && s.Pass != "" {
			add("after "+s.Pass, text)
		}
		before = s.Func.String()
	}})
	if err != nil {
		return nil, "", err
	}
	add("planned", m.String())
	svg = debug.SVG(m.Funcs)
	r, err := codegen.Compile(ctx, m, cpu.Backend(t))
	if err != nil {
		return nil, "", err
	}
	var launches strings.Builder
	f := r.Program.Funcs[0]
	for i, l := range f.Launches {
		fmt.Fprintf(&launches, "%d: %s, tasks %v\n", i, r.Program.Kernels[l.Kernel].Name, l.Tasks)
		for _, a := range l.Args {
			fmt.Fprintf(&launches, "   %+v\n", a)
		}
	}
	add("launches", launches.String())
	for _, k := range r.Kernels {
		kind := kernels.Kind(k.Spec)
		add("spec "+kind, kernels.Key(k.Spec))
		add("tile "+kind, excerpt(k.Tile.String(), tileLoop))
		source, err := llvm.Emit(t, []*tile.Kernel{k.Tile})
		if err != nil {
			return nil, "", err
		}
		add("llvm "+kind, excerpt(string(source), llvmLoop))
		asm, err := llvm.Assembly(ctx, source, t)
		if err != nil {
			return nil, "", err
		}
		add("asm "+kind, excerpt(string(asm), asmLoop))
		gpu := ptx.Backend()
		launches, err := gpu.Build(k.Name, k.Spec)
		if err != nil {
			return nil, "", err
		}
		text, err := gpu.Assemble(ctx, launches.Kernels)
		if err != nil {
			return nil, "", err
		}
		add("ptx "+kind, excerpt(string(text.Bytes), ptxLoop))
	}
	return dumps, svg, nil
}

// loop locates the inner loop of a product: its first line, the lines to show before it, and the lines to show in all.
type loop struct {
	first       *regexp.Regexp
	before, all int
}

var (
	tileLoop = loop{regexp.MustCompile(`(?m)^ +(%\d+: f32x8, ){11}.* = for`), 0, 24}
	llvmLoop = loop{regexp.MustCompile(`(?m)^.*call .*@llvm.fma`), 12, 24}
	asmLoop  = loop{regexp.MustCompile(`(?m)^\tvfmadd`), 4, 24}
	ptxLoop  = loop{regexp.MustCompile(`(?m)^\tmma.sync`), 12, 24}
)

// excerpt shortens a long text to its loop and says how many lines it omits.
func excerpt(text string, l loop) string {
	at := l.first.FindStringIndex(text)
	if at == nil {
		return text
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	from := max(0, strings.Count(text[:at[0]], "\n")-l.before)
	to := min(len(lines), from+l.all)
	return fmt.Sprintf("… %d lines\n%s\n… %d lines\n", from, strings.Join(lines[from:to], "\n"), len(lines)-to)
}

// between returns the text from a beginning up to an end.
func between(text, from, to string) string {
	at := strings.Index(text, from)
	text = text[at:]
	return text[:strings.Index(text, to)]
}
