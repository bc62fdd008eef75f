package passes

import (
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgc/frontend/text"
	"pgc/ir"
	"pgc/ir/eval"
)

var update = flag.Bool("update", false, "write the expected output of the fixtures anew")

const separator = "// ----\n"

// TestFixtures runs testdata/<pass>/*.pgir: a RUN line with passes, a module, and behind the separator the module that
// they make of it. Both are evaluated on random inputs and must agree.
func TestFixtures(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.pgir")
	if err != nil || len(files) < 16 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(path, "testdata/"), ".pgir"), func(t *testing.T) { fixture(t, path) })
	}
}

func fixture(t *testing.T, path string) {
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	input, want, _ := strings.Cut(string(raw), separator)
	first, _, _ := strings.Cut(input, "\n")
	list, ok := strings.CutPrefix(first, "// RUN: ")
	if !ok {
		t.Fatalf("the first line is %q, expected // RUN: PASS,PASS", first)
	}
	m, err := text.Parse(path, input)
	if err != nil {
		t.Fatal(err)
	}
	before := m.Clone()
	for _, name := range strings.Split(list, ",") {
		pipeline := Pipeline
		if name != "all" {
			p := Find(name)
			if p == nil {
				t.Fatalf("no pass %s", name)
			}
			pipeline = []Pass{*p}
		}
		if err := Run(m, pipeline, Options{Check: true, With: []string{name}}); err != nil {
			t.Fatal(err)
		}
	}
	got := m.String()
	if *update {
		if err := os.WriteFile(path, []byte(input+separator+got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unexpected output (-want +got):\n%s", diff)
	}
	for i, f := range m.Funcs {
		sameMeaning(t, before.Funcs[i], f)
	}
}

// sameMeaning evaluates two functions on random inputs, with several values of the symbols.
func sameMeaning(t *testing.T, before, after *ir.Func) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 3, 7} {
		syms := map[string]int{}
		for _, s := range before.Module.Symbols {
			syms[s.Name] = min(n, s.Max)
		}
		if _, ok := syms["past"]; ok {
			syms["past"] = 2
			syms["T"] = syms["S"] + 2
		}
		in := map[string]*eval.Tensor{}
		for _, p := range before.Params {
			r := ir.Range{Lo: -2, Hi: 2}
			if p.Type.DType == ir.I32 {
				r = ir.Range{Lo: 0, Hi: 1}
			}
			if p.Name == "positions" { // some sequences have none
				r = ir.Range{Lo: -2, Hi: 4}
			}
			v, err := eval.Random(rng, p.Type, syms, r)
			if err != nil {
				t.Fatal(err)
			}
			in[p.Name] = v
			if p.Kind == ir.Weight {
				in[p.Key] = v
			}
		}
		want, err := eval.Func(before, in, syms)
		if err != nil {
			t.Fatal(err)
		}
		got, err := eval.Func(after, in, syms)
		if err != nil {
			t.Fatal(err)
		}
		for name, w := range want {
			worst, top := 0.0, 1e-9
			for i, v := range w.Data {
				worst = max(worst, math.Abs(v-got[name].Data[i]))
				top = max(top, math.Abs(v))
			}
			t.Logf("@%s n=%d %s: error %.2g of the largest", before.Name, n, name, worst/top)
			if !(worst/top < 1e-9) {
				t.Errorf("@%s n=%d: %s differs by %g of the largest", before.Name, n, name, worst/top)
			}
		}
	}
}
