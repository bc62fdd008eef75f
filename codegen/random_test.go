package codegen_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgc/frontend/text"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/fuzz"
	"pgc/ir/reduce"
	"pgc/ir/target"
	"pgc/ir/target/targettest"
	"pgc/passes"
	"pgc/runtime/engine"
)

var (
	graphs = flag.Int("graphs", 64, "how many random functions to compile and compare")
	seed   = flag.Uint64("seed", 0, "where their seeds begin")
	file   = flag.String("file", "", "a .pgir file for TestFile")
	last   = flag.String("last", "", "a file that always holds the function that is run: what to look at after a crash")
)

// miss is a function that does not compute what the plain one computes.
type miss struct {
	stage string // where: evaluator, passes, code, or the target that ran it
	name  string // of the function
	err   error
}

// kind is what misses of one defect have in common: where it shows, and for errors the words without names and numbers.
func (m *miss) kind() string {
	return m.stage + " " + regexp.MustCompile(`[%@]?[a-z0-9.]*[0-9][^ ]*|\[.*?\]`).ReplaceAllString(m.err.Error(), "")
}

func (m *miss) Error() string { return fmt.Sprintf("@%s: %s: %v", m.name, m.stage, m.err) }

// trial is a way to compile: the passes, those of them that are left out, and the target.
type trial struct {
	list []passes.Pass
	off  map[string]bool
	tgt  target.Target
}

// compare compiles a plain module and runs every function with random inputs: the evaluator on the plain function, the
// evaluator on the optimized one, and the machine must agree.
func (tr trial) compare(t *testing.T, plain *ir.Module, seed uint64) (misses []*miss) {
	m := plain.Clone()
	stage := "passes"
	defer func() {
		if e := recover(); e != nil {
			misses = append(misses, &miss{stage, plain.Funcs[0].Name, fmt.Errorf("panic: %v", e)})
		}
	}()
	if err := passes.Run(m, tr.list, passes.Options{Check: true, Off: tr.off}); err != nil {
		var f *passes.Failure
		name := plain.Funcs[0].Name
		if errors.As(err, &f) {
			name = f.Func
		}
		return []*miss{{stage, name, err}}
	}
	for _, f := range m.Funcs {
		if err := passes.Plan(f); err != nil {
			return []*miss{{stage, f.Name, err}}
		}
		if err := passes.CheckPlan(f); err != nil {
			return []*miss{{stage, f.Name, err}}
		}
	}
	stage = "code"
	w := randomWeights(t, plain)
	e, free, err := load(m, w, tr.tgt, 2)
	if err != nil {
		return []*miss{{stage, strings.TrimPrefix(strings.SplitN(err.Error(), ":", 2)[0], "@"), err}}
	}
	defer free()
	if err := e.Slots(e.Program.Slots); err != nil {
		t.Fatal(err)
	}
	for _, f := range plain.Funcs {
		for n := range uint64(3) {
			if found := tr.run(t, e, f, m.Func(f.Name), w, seed+n); found != nil {
				misses = append(misses, found)
				break
			}
		}
	}
	return misses
}

// run calls a function with random inputs and compares all of its results.
func (tr trial) run(t *testing.T, e *engine.Engine, f, optimized *ir.Func, w weights, seed uint64) *miss {
	in, syms, err := inputs(f, seed)
	if err != nil {
		t.Fatal(err)
	}
	want, err := evaluated(f, in, w, syms)
	if err != nil {
		return &miss{"evaluator", f.Name, err}
	}
	fused, err := evaluated(optimized, in, w, syms)
	if err != nil {
		return &miss{"passes", f.Name, err}
	}
	near, native := 1e-9, 2e-4
	if fuzz.Rough(f) {
		near, native = 2e-2, 4e-2
	}
	for _, p := range f.Params {
		if p.Kind == ir.Input || p.Kind == ir.State {
			putTensor(t, e, f.Module, f.Name, p.Name, p.Type, in[p.Name])
		}
	}
	if *last != "" {
		one := &ir.Module{Symbols: f.Module.Symbols}
		f.Clone(one)
		if err := os.WriteFile(*last, fmt.Appendf(nil, "// seed %d, %s, %v, without %v\n%s", seed, tr.tgt.Name, syms, tr.off, one), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	call(t, e, f.Name, syms)
	for _, r := range f.Results {
		name := r.Name
		if r.State != nil {
			name = r.State.Name
		}
		got := eval.New(r.Value.Type.DType, want[name].Shape...)
		getTensor(t, e, f.Module, f.Name, name, r.Value.Type, got)
		if d := difference(fused[name], want[name]); !(d < near) {
			return &miss{"passes", f.Name, fmt.Errorf("%s is changed by %g of the largest, with %v", name, d, syms)}
		} else if d := difference(got, want[name]); !(d < native) {
			return &miss{tr.tgt.Name, f.Name, fmt.Errorf("%s is %g of the largest away, with %v", name, d, syms)}
		}
	}
	return nil
}

// inputs are random inputs and states of a function and values of its symbols.
func inputs(f *ir.Func, seed uint64) (map[string]*eval.Tensor, map[string]int, error) {
	rng := rand.New(rand.NewPCG(3, seed))
	syms := fuzz.Syms(f, seed)
	in := map[string]*eval.Tensor{}
	for _, p := range f.Params {
		if p.Kind == ir.Weight {
			continue
		}
		r := ir.Range{Lo: -2, Hi: 2}
		if p.Type.DType == ir.I32 {
			r = ir.Range{Lo: 0, Hi: float64(min(fuzz.Rows, syms["T"]))} // a row of a table, or a position among T keys
		}
		x, err := eval.Random(rng, p.Type, syms, r)
		if err != nil {
			return nil, nil, err
		}
		in[p.Name] = x
	}
	return in, syms, nil
}

// difference is the greatest difference in parts of the largest magnitude, or of 4e-3 if that is less: of numbers up to 2
// that cancel, units in the last place are left.
func difference(got, want *eval.Tensor) float64 {
	worst, top := 0.0, 4e-3
	for i, v := range want.Data {
		if d := math.Abs(got.Data[i] - v); d > worst || math.IsNaN(d) {
			worst = d
		}
		top = math.Max(top, math.Abs(v))
	}
	return worst / top
}

// smallest is the text of the smallest module found that is missed in the same way.
func (tr trial) smallest(t *testing.T, plain *ir.Module, seed uint64, m *miss) string {
	one := &ir.Module{Symbols: plain.Symbols}
	plain.Func(m.name).Clone(one)
	small := reduce.Module(one, func(c *ir.Module) bool {
		found := tr.compare(t, c, seed)
		return len(found) > 0 && found[0].kind() == m.kind()
	})
	return small.String()
}

// TestRandomGraphs compiles random functions and compares them with the evaluator on the plain ones: after the passes,
// of which some are left out, and natively on every target. A function that differs is made small and printed: it
// belongs among the fixtures of TestFound.
func TestRandomGraphs(t *testing.T) {
	const batch = 16 // functions in one module
	for first := 0; first < *graphs; first += batch {
		at := *seed + uint64(first)
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			plain := fuzz.NewModule()
			for i := range min(batch, *graphs-first) {
				fuzz.Func(plain, at+uint64(i))
			}
			if err := plain.Verify(); err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(at, 5))
			off := map[string]bool{}
			switch at / batch % 4 { // one batch in four without some of the passes, one without all
			case 1:
				for _, name := range optional() {
					off[name] = rng.IntN(4) == 0
				}
			case 3:
				off = allOptional()
			}
			for _, tgt := range targettest.Runnable(t) {
				tr := trial{passes.Pipeline, off, tgt}
				for _, m := range tr.compare(t, plain, at) {
					t.Errorf("%v\nwithout the passes %v; the smallest such function:\n%s", m, off, tr.smallest(t, plain, at, m))
				}
			}
		})
	}
}

// TestFound runs the functions that were once compiled wrong, and others like them: testdata/found/*.pgir. The fixtures
// of the passes are among the others.
func TestFound(t *testing.T) {
	whole := &ir.Module{} // all of them in one, so that equal kernels are compiled once
	n := 0
	for _, pattern := range []string{"testdata/found/*.pgir", "../passes/testdata/*/*.pgir"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%d fixtures %s, %v", len(paths), pattern, err)
		}
		for _, path := range paths {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			src, _, _ := strings.Cut(string(raw), "// ----\n")
			m, err := text.Parse(path, src)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range m.Funcs {
				n++
				adopt(whole, f, fmt.Sprintf("f%d.%s", n, strings.TrimSuffix(filepath.Base(path), ".pgir")))
			}
		}
	}
	if err := whole.Verify(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d functions", n)
	for i, tgt := range targettest.Runnable(t) {
		for _, off := range []map[string]bool{nil, allOptional()}[:2-i] {
			for _, found := range (trial{passes.Pipeline, off, tgt}).compare(t, whole, 1) {
				t.Errorf("%d passes off: %v", len(off), found)
			}
		}
	}
}

// adopt adds a function of another module to m with names of its own; symbols of one name get the least of their
// bounds.
func adopt(m *ir.Module, f *ir.Func, name string) {
	for _, s := range f.Module.Symbols {
		i := slices.IndexFunc(m.Symbols, func(have ir.Symbol) bool { return have.Name == s.Name })
		if i < 0 {
			m.Symbols = append(m.Symbols, s)
		} else {
			m.Symbols[i].Max = min(m.Symbols[i].Max, s.Max)
		}
	}
	g := f.Clone(m)
	g.Name = name
	for _, p := range g.Params {
		p.Name = name + "." + p.Name
		if p.Kind == ir.Weight {
			p.Key = p.Name
		}
	}
	for i, r := range g.Results {
		if r.State == nil {
			g.Results[i].Name = name + ".result." + r.Name // an input and a result of one name would share memory
		}
	}
}

// optional are the names of the passes that can be left out.
func optional() (names []string) {
	for _, p := range passes.Pipeline {
		if !p.Required {
			names = append(names, p.Name)
		}
	}
	return names
}

func allOptional() map[string]bool {
	off := map[string]bool{}
	for _, name := range optional() {
		off[name] = true
	}
	return off
}

// TestFile compares the functions of one file: -file after a crash.
func TestFile(t *testing.T) {
	if *file == "" {
		t.Skip("no -file")
	}
	src, err := os.ReadFile(*file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := text.Parse(*file, string(src))
	if err != nil {
		t.Fatal(err)
	}
	for _, tgt := range targettest.Runnable(t) {
		for _, off := range []map[string]bool{nil, allOptional()} {
			tr := trial{passes.Pipeline, off, tgt}
			for _, found := range tr.compare(t, m, *seed) {
				t.Errorf("%d passes off: %v; the smallest such function:\n%s", len(off), found, tr.smallest(t, m, *seed, found))
			}
		}
	}
}
