package debug

import (
	"bytes"
	"encoding/xml"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"pgc/frontend/text"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/passes"
)

const source = `symbol S <= 9

func @f(
    %x: input f32[S,7],
    %w: weight "w" f32[6,7],
    %g: weight "g" f32[6]) {
  %0 = exp %x : f32[S,7]
  %1 = constant {dtype=f32, shape=[], values=[0.5]} : f32[]
  %2 = mul %0, %1 : f32[S,7]
  %3 = einsum %2, %w {spec="ab,cb->ac"} : f32[S,6]
  %4 = gelu_tanh %3 : f32[S,6]
  %5 = mul %4, %4 : f32[S,6]
  %6 = reduce_sum %5 : f32[S,1]
  %7 = div %4, %6 : f32[S,6]
  %8 = mul %7, %g : f32[S,6]
  %9 = tanh %8 : f32[S,6]
  %10 = add %9, %8 : f32[S,6]
  return y=%10 : f32[S,6]
}
`

func module(t *testing.T, src string) *ir.Module {
	t.Helper()
	m, err := text.Parse("test.pgir", src)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func run(t *testing.T, list ...string) string {
	t.Helper()
	var b bytes.Buffer
	a, err := Parse(list, &b)
	if err != nil {
		t.Fatal(err)
	}
	if err := passes.Run(module(t, source), passes.Pipeline, a.Options); err != nil {
		t.Fatal(err)
	}
	if err := a.Finish(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOptions(t *testing.T) {
	all := run(t, "after-change")
	for _, want := range []string{"// after fuse-matmul: 1 rewrite\n", "// after fuse-row: 1 rewrite\n", "// after fuse-map: 1 rewrite\n"} {
		if strings.Count(all, want) != 1 {
			t.Errorf("after-change: %d times %q in\n%s", strings.Count(all, want), want, all)
		}
	}
	if strings.Contains(all, "after cse") {
		t.Error("after-change printed a pass that changed nothing")
	}
	if got := run(t, "after=dce"); !strings.HasPrefix(got, "// after dce: 0 rewrites\n"+source[strings.Index(source, "func"):]) {
		t.Errorf("after=dce:\n%s", got)
	}
	if got := run(t, "after-change", "fuse-row/off"); strings.Contains(got, "after fuse-row") {
		t.Errorf("fuse-row/off:\n%s", got)
	}
	unasked := 0 // passes that no backend has to ask for
	for _, p := range passes.Pipeline {
		if !p.Asked {
			unasked++
		}
	}
	if got := run(t, "time"); strings.Count(got, "\n") != unasked+1 {
		t.Errorf("time:\n%s", got)
	}
	if got := run(t, "fuse=1"); !strings.Contains(got, "1 rewrite done, the last one of") {
		t.Errorf("fuse=1: %s", got)
	}
	if got := run(t, "fuse=0", "after-change"); strings.Contains(got, "after fuse") {
		t.Errorf("fuse=0 fused:\n%s", got)
	}
}

func TestUnknown(t *testing.T) {
	for _, list := range [][]string{{"tim"}, {"nothing/off"}, {"legalize/off"}, {"after=x"}, {"fuse=many"}, {"html"}, {"svg"}, {"fuse=-1"}} {
		if _, err := Parse(list, nil); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("-d %s: %v", list[0], err)
		}
	}
}

func TestPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.html")
	run(t, "html="+path)
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"as built", "fuse-matmul", "fuse-row", `<div class="changed">`, `<b data-v="`, "<option>f</option>"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page has no %s", want)
		}
	}
	if bytes.Contains(page, []byte("src=")) || bytes.Contains(page, []byte("http")) {
		t.Error("the page needs other files")
	}
	// The result keeps its identity through all columns: it can be followed from the add to the row that computes it.
	if n := bytes.Count(page, []byte(`return y = <b data-v="13">`)); n < 3 {
		t.Errorf("the result is followed through %d columns", n)
	}
}

func TestDot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.dot")
	run(t, "dot="+path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The map, the matmul and the row, with an edge for each of their operands and one to the result.
	if boxes, edges := strings.Count(string(text), " [label="), strings.Count(string(text), " -> "); boxes != 3 || edges != 6 {
		t.Errorf("%d boxes and %d edges, want 3 and 6:\n%s", boxes, edges, text)
	}
	if strings.Count(string(text), "{") < 2 || !strings.Contains(string(text), `label="@f"`) {
		t.Errorf("not a picture of @f:\n%s", text)
	}
}

// TestSVG reads a picture back: a box for every operation, parameter and result, none over another, and every edge
// downwards.
func TestSVG(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.svg")
	run(t, "svg="+path)
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var picture struct {
		Rects []struct {
			Class string  `xml:"class,attr"`
			X     float64 `xml:"x,attr"`
			Y     float64 `xml:"y,attr"`
			W     string  `xml:"width,attr"`
			H     string  `xml:"height,attr"`
		} `xml:"rect"`
		Paths []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal(src, &picture); err != nil {
		t.Fatalf("not XML: %v", err)
	}
	boxes := picture.Rects[1:] // behind the background
	if len(boxes) != 3+3+1 || len(picture.Paths) != 6 {
		t.Errorf("%d boxes and %d edges, want 7 and 6:\n%s", len(boxes), len(picture.Paths), src)
	}
	number := func(s string) float64 { f, _ := strconv.ParseFloat(s, 64); return f }
	for i, a := range boxes {
		for _, b := range boxes[:i] {
			if a.X < b.X+number(b.W) && b.X < a.X+number(a.W) && a.Y < b.Y+number(b.H) && b.Y < a.Y+number(a.H) {
				t.Errorf("%+v lies over %+v", a, b)
			}
		}
	}
	if bytes.Contains(src, []byte("href")) || !bytes.Contains(src, []byte("gelu_tanh(@0)")) {
		t.Errorf("needs other files, or lacks the epilogue:\n%s", src)
	}
}

// broken makes a function invalid: the first operation loses its operands.
var broken = passes.Pass{Name: "broken", Run: func(f *ir.Func, _ *passes.Budget) int { f.Ops[0].In = nil; return 1 }}

// A pass that fails leaves a file, from which the same failure comes again.
func TestReplay(t *testing.T) {
	t.Chdir(t.TempDir())
	list := []passes.Pass{*passes.Find("fuse-matmul"), broken}
	err := passes.Run(module(t, source), list, passes.Options{Check: true})
	var failure *passes.Failure
	if !errors.As(err, &failure) || failure.Pass != "broken" {
		t.Fatalf("the planted fault was reported as %v", err)
	}
	if err := Explain(err); !strings.Contains(err.Error(), "pgc opt -p broken -d check pgc-repro-broken.pgir") {
		t.Errorf("no command to replay in %v", err)
	}
	src, rerr := os.ReadFile("pgc-repro-broken.pgir")
	if rerr != nil {
		t.Fatal(rerr)
	}
	if !strings.HasPrefix(string(src), "// pgc opt -p broken -d check pgc-repro-broken.pgir\n") || !strings.Contains(string(src), "matmul") {
		t.Errorf("the file does not hold the function before the pass:\n%s", src)
	}
	again := passes.Run(module(t, string(src)), []passes.Pass{broken}, passes.Options{Check: true})
	// Only the line differs: the file begins with the command.
	fault := func(err error) string { _, rest, _ := strings.Cut(err.Error(), " @f "); return rest }
	if again == nil || fault(again) != fault(err) {
		t.Errorf("replayed: %v, at first: %v", again, err)
	}
	panics := passes.Pass{Name: "panics", Run: func(f *ir.Func, _ *passes.Budget) int { return len(f.Ops[99].In) }}
	if err := passes.Run(module(t, source), []passes.Pass{panics}, passes.Options{Check: true}); !errors.As(err, &failure) || failure.Pass != "panics" {
		t.Errorf("a panic was reported as %v", err)
	}
}

// wrong turns the n-th elementwise operation of a kind into another: a planted wrong rewrite among right ones.
func wrong(m *ir.Module, budget int) (done int, last string) {
	b := &passes.Budget{Left: budget}
	planted := passes.Pass{Name: "planted", Run: func(f *ir.Func, b *passes.Budget) int {
		n := 0
		for _, op := range f.Ops {
			if !op.Def.Elementwise() || !b.Take(op) {
				continue
			}
			n++
			if op.Def == ir.OpTanh {
				op.Def = ir.OpExp
			}
		}
		return n
	}}
	list := append([]passes.Pass{planted}, passes.Pipeline...)
	if err := passes.Run(m, list, passes.Options{Budget: b, Check: true}); err != nil {
		panic(err)
	}
	return b.Done, b.Last
}

// Bisection over the number of rewrites finds the wrong one.
func TestBisection(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	syms := map[string]int{"S": 5}
	plain := module(t, source)
	in := map[string]*eval.Tensor{}
	for _, p := range plain.Funcs[0].Params {
		v, err := eval.Random(rng, p.Type, syms, ir.Range{Lo: -1, Hi: 1})
		if err != nil {
			t.Fatal(err)
		}
		in[p.Name] = v
	}
	result := func(m *ir.Module) []float64 {
		out, err := eval.Func(m.Funcs[0], in, syms)
		if err != nil {
			t.Fatal(err)
		}
		return out["y"].Data
	}
	want := result(plain)
	total, _ := wrong(module(t, source), math.MaxInt)
	first := sort.Search(total, func(n int) bool {
		m := module(t, source)
		wrong(m, n)
		for i, v := range result(m) {
			if math.Abs(v-want[i]) > 1e-9 {
				return true
			}
		}
		return false
	})
	_, last := wrong(module(t, source), first)
	if first == 0 || first >= total || !strings.Contains(last, "= tanh") {
		t.Errorf("of %d rewrites, number %d was found to be wrong: %s", total, first, last)
	}
	t.Logf("rewrite %d of %d: %s", first, total, last)
}
