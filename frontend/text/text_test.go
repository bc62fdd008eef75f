package text

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pgc/frontend"
	"pgc/ir"
	"pgc/ir/eval"
)

var update = flag.Bool("update", false, "rewrite the expected errors and canonical forms of testdata")

func read(t testing.TB, path string) string {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

func files(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return paths
}

// same fails unless parsing the text of m gives its text again.
func roundTrip(t *testing.T, name string, m *ir.Module) {
	t.Helper()
	text := m.String()
	again, err := Parse(name, text)
	if err != nil {
		t.Errorf("%s: what was printed does not parse: %v\n%s", name, err, text)
		return
	}
	if diff := cmp.Diff(text, again.String()); diff != "" {
		t.Errorf("%s changes when printed and parsed:\n%s", name, diff)
	}
	if len(again.Funcs) != len(m.Funcs) || len(again.Symbols) != len(m.Symbols) {
		t.Fatalf("%s: %d functions and %d symbols, want %d and %d", name, len(again.Funcs), len(again.Symbols), len(m.Funcs), len(m.Symbols))
	}
	for i, f := range m.Funcs {
		g := again.Funcs[i]
		for j, op := range f.Ops {
			if o := g.Ops[j]; o.Def != op.Def || !slices.EqualFunc(o.Results, op.Results, func(x, y *ir.Value) bool { return x.Type.Equal(y.Type) }) || !ir.AttrsEqual(op.Def, o.Attrs, op.Attrs) {
				t.Errorf("%s: @%s operation %d is %s, want %s", name, f.Name, j, o, op)
			}
		}
		for j, p := range f.Params {
			if q := g.Params[j]; q.Name != p.Name || q.Kind != p.Kind || q.Key != p.Key || !q.Type.Equal(p.Type) {
				t.Errorf("%s: @%s parameter %d is %+v, want %+v", name, f.Name, j, q, p)
			}
		}
	}
}

// parse(print(m)) == m for every operation of the table with all its attributes, and for a clone.
func TestPrintedModulesParse(t *testing.T) {
	for _, def := range ir.Ops() {
		cases, err := eval.Cases(def)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			roundTrip(t, c.Name, c.Func.Module)
			if def.Fused() {
				op := c.Func.Ops[0]
				c.Func.ReplaceResults(op, def.Expand(ir.Before(c.Func, op), op))
				roundTrip(t, c.Name+" expanded", c.Func.Module.Clone())
			}
		}
	}
}

// print(parse(s)) is the canonical text beside s.
func TestCanonicalForm(t *testing.T) {
	for _, path := range files(t, "testdata/*.pgir") {
		got, err := Format(path, read(t, path))
		if err != nil {
			t.Error(err)
			continue
		}
		golden := strings.TrimSuffix(path, ".pgir") + ".canonical"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(read(t, golden), got); diff != "" {
			t.Errorf("%s is not printed as %s has it:\n%s", path, golden, diff)
		}
		if again, err := Format(golden, got); err != nil || again != got {
			t.Errorf("the canonical form of %s is not its own: %v", path, err)
		}
	}
}

// Every section of testdata/errors, headed by "// ERROR: message", gives that message.
func TestErrors(t *testing.T) {
	for _, path := range files(t, "testdata/errors/*.pgir") {
		sections := strings.Split(read(t, path), "// ERROR: ")
		for i, s := range sections[1:] {
			want, src, _ := strings.Cut(s, "\n")
			_, err := Parse("f.pgir", src)
			got := fmt.Sprint(err)
			if *update && err != nil {
				sections[i+1] = got + "\n" + src
			} else if got != want {
				t.Errorf("%s section %d:\n got %s\nwant %s", path, i+1, got, want)
			}
			if e, ok := err.(*ir.Error); err != nil && (!ok || e.Loc.File != "f.pgir") {
				t.Errorf("%s section %d: error has no place: %v", path, i+1, err)
			}
		}
		if *update {
			if err := os.WriteFile(path, []byte(strings.Join(sections, "// ERROR: ")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// large is a module with about n operations: decoder layers of odd sizes.
func large(t testing.TB, n int) *ir.Module {
	t.Helper()
	m, err := frontend.Build(func(m *frontend.Module) {
		S := m.Symbol("S", 1024)
		m.Func("layers", func(f *frontend.Func) {
			x := f.Input("x", ir.F32, S, 96)
			cos, sin := f.Input("cos", ir.F32, S, 8), f.Input("sin", ir.F32, S, 8)
			for l := range n / 50 {
				w := func(name string, dims ...any) *frontend.Value {
					return f.Weight(fmt.Sprintf("layers.%d.%s.weight", l, name), ir.BF16, dims...)
				}
				h := frontend.RMSNorm(x, w("input_layernorm", 96), 1e-6)
				q := frontend.Rotary(frontend.Reshape(frontend.Linear(h, w("q_proj", 96, 96), nil), S, 6, 16), cos, sin)
				k := frontend.Rotary(frontend.Reshape(frontend.Linear(h, w("k_proj", 16, 96), nil), S, 1, 16), cos, sin)
				p := frontend.Softmax(frontend.Mul(frontend.Einsum("srh,tgh->grst", q, k), 0.25))
				a := frontend.Reshape(frontend.Einsum("grst,tgh->srh", p, k), S, 96)
				x = frontend.Add(x, frontend.Linear(a, w("o_proj", 96, 96), nil))
				g := frontend.GeluTanh(frontend.Linear(x, w("gate_proj", 200, 96), nil))
				x = frontend.Add(x, frontend.Linear(frontend.Mul(g, frontend.Linear(x, w("up_proj", 200, 96), nil)), w("down_proj", 96, 200), nil))
			}
			f.Return("y", x)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLargeModule(t *testing.T) {
	m := large(t, 5000)
	roundTrip(t, "large", m)
	text := m.String()
	start := processorTime(t)
	if _, err := Parse("large", text); err != nil {
		t.Fatal(err)
	}
	took := processorTime(t) - start
	t.Logf("%d operations, %d bytes: %v", len(m.Funcs[0].Ops), len(text), took)
	if took > 3*time.Second {
		t.Errorf("parsing takes %v", took)
	}
}

// processorTime is what this process has used so far; how busy the machine is does not matter.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkParse(b *testing.B) {
	text := large(b, 5000).String()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Parse("large", text); err != nil {
			b.Fatal(err)
		}
	}
}

// Whatever the bytes, parsing ends with a module whose text is canonical or with an error that has a place.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.pgir", "testdata/errors/*.pgir"} {
		for _, path := range files(f, pattern) {
			for _, s := range strings.Split(read(f, path), "// ERROR: ") {
				f.Add(s)
			}
		}
	}
	for _, def := range ir.Ops() {
		cases, err := eval.Cases(def)
		if err != nil {
			f.Fatal(err)
		}
		for _, c := range cases {
			f.Add(c.Func.Module.String())
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		m, err := Parse("fuzz", src)
		if err != nil {
			if e, ok := err.(*ir.Error); !ok || e.Loc.File != "fuzz" {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		text := m.String()
		again, err := Format("fuzz", text)
		if err != nil {
			t.Fatalf("the canonical text does not parse: %v\n%s", err, text)
		}
		if again != text {
			t.Fatalf("the canonical text changes:\n%s", cmp.Diff(text, again))
		}
	})
}

func TestDeepNestingIsAnError(t *testing.T) {
	src := "func @f(%x: input f32[]) { %0 = map %x {exprs=[" + strings.Repeat("neg(", 1_000_000)
	if _, err := Parse("f.pgir", src); err == nil || !strings.Contains(err.Error(), "nested deeper than 10000") {
		t.Errorf("got %.200v", err)
	}
}

// Format returns the canonical form of a text.
func Format(file, src string) (string, error) {
	m, err := Parse(file, src)
	if err != nil {
		return "", err
	}
	return m.String(), nil
}

// used is the processor time of this process: a machine that others use, too, does not lengthen it.
func used(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestMany: what is looked up name by name is bounded, so that a text of megabytes is refused at once.
func TestMany(t *testing.T) {
	many := func(n int, line string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(line, "#", fmt.Sprint(i)))
		}
		return b.String()
	}
	body := "func @f(%x: input f32[2]) {\n  %0 = exp %x : f32[2]\n  return "
	for want, src := range map[string]string{
		"200000 symbols, expected at most 1000":             many(200_000, "symbol S# <= 8\n"),
		"20000 functions, expected at most 10000":           many(20_000, strings.ReplaceAll(body, "@f", "@f#")+"y=%0\n}\n"),
		"@f returns 100001 results, expected at most 10000": body + many(100_000, "y#=%0, ") + "z=%0\n}\n",
		"a string of 1000002 bytes, expected at most 4096":  "func @f(%x: weight \"" + strings.Repeat("a", 1_000_000) + "\" f32[2]) {\n",
	} {
		start := used(t)
		if _, err := Parse("f.pgir", src); err == nil || !strings.Contains(err.Error(), want) || used(t)-start > 20*time.Second {
			t.Errorf("%.200v after %v of processor time, expected %s", err, used(t)-start, want)
		}
	}
}
