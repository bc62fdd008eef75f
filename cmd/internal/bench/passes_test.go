package bench

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgc/checkpoint/random"
	"pgc/codegen/backend"
	"pgc/codegen/cpu"
	"pgc/internal/build"
	"pgc/ir"
	"pgc/ir/target"
	"pgc/models"
	"pgc/runtime/entry"
)

var update = flag.Bool("update", false, "write the tables of docs/PASSES.md anew")

// TestPassesCounts holds the two tables of docs/PASSES.md to what the passes buy on a released size, by counts.
func TestPassesCounts(t *testing.T) {
	const shape, layers = "paligemma-3b-224", 3
	m, err := build.Plain(shape, layers, build.Options{})
	if err != nil {
		t.Fatal(err)
	}
	processor, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	subject := Ablated{Module: m.Module, Name: shape, Layers: layers, ImageTokens: m.ImageTokens, Text: 10}

	a, err := subject.Count(cpu.Backend(processor), func(*Ablation) {})
	if err != nil {
		t.Fatal(err)
	}
	first := table("without", "kernels", "MB moved", "arena MB")
	same := func(r AblationRow) bool { return reflect.DeepEqual(r.Funcs, a.Rows[0].Funcs) }
	var idle []string // what changes nothing
	for _, r := range a.Rows[1:] {
		if same(r) {
			idle = append(idle, r.Without)
		}
	}
	for i, r := range a.Rows {
		if i == 0 || !same(r) {
			first += row(append([]string{r.Without}, a.cells(&r)...))
		}
		if i == 0 {
			first += row(append([]string{strings.Join(idle[:len(idle)-1], ", ") + ", or " + idle[len(idle)-1]}, a.cells(&r)...))
		}
	}

	second := table("target", "without", "kernels", "MB moved")
	lines := func(title string, s Ablated, b *backend.Backend, pass string) {
		list := slices.DeleteFunc(s.variants(), func(v variant) bool { return v.name != nothing && v.name != pass })
		a, err := s.count(b, list, func(*Ablation) {})
		if err != nil || len(a.Rows) != 2 {
			t.Fatalf("%s: without %s: %v", title, pass, err)
		}
		for _, r := range a.Rows {
			second += row(append([]string{title, r.Without}, a.cells(&r)[:2]...))
		}
	}
	onGPU := build.Options{Target: "cuda"}
	if m, err = build.Plain(shape, layers, onGPU); err != nil {
		t.Fatal(err)
	}
	gpu := subject
	gpu.Module = m.Module
	b, o, err := onGPU.FirstBackend(m.Module)
	if err != nil {
		t.Fatal(err)
	}
	gpu.Passes = o
	lines("GPU", gpu, b, "fuse-rows-prologue")
	subject.Module = adapted(t, shape, layers)
	lines("processor, with the adapter", subject, cpu.Backend(processor), "join-products")

	const path, begin, end = "../../../docs/PASSES.md", "<!-- counts: go test ./cmd/internal/bench -run Passes -update writes this -->\n", "<!-- counts end -->\n"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(raw), begin)
	if len(parts) != 3 {
		t.Fatalf("%s has no place for two tables", path)
	}
	want := parts[0]
	for i, table := range []string{first, second} {
		_, tail, ok := strings.Cut(parts[i+1], end)
		if !ok {
			t.Fatalf("%s: a table has no end", path)
		}
		want += begin + table + end + tail
	}
	if want == string(raw) {
		return
	}
	if !*update {
		t.Fatalf("the tables of %s are not what the passes buy: go test ./cmd/internal/bench -run Passes -update writes them", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func table(heads ...string) string { return row(heads) + strings.Repeat("|---", len(heads)) + "|\n" }

func row(cells []string) string { return fmt.Sprintf("| %s |\n", strings.Join(cells, " | ")) }

// adapted returns the functions of a size with an adapter of rank 16 on the products around the decoder's attention, in
// place of those without.
func adapted(t *testing.T, shape string, layers int) *ir.Module {
	_, cfg, err := random.Config(shape)
	if err != nil {
		t.Fatal(err)
	}
	cfg = cfg.WithLayers(layers)
	list, err := models.Weights(cfg)
	if err != nil {
		t.Fatal(err)
	}
	adapter := models.Adapter{Name: "a", Changes: map[string]models.Change{}}
	for _, w := range list {
		if strings.HasPrefix(w.Name, "language_model.") && strings.Contains(w.Name, ".self_attn.") {
			adapter.Changes[w.Name] = models.Change{Rank: 16, Scale: 2}
		}
	}
	if len(adapter.Changes) != 4*layers {
		t.Fatalf("an adapter of %d weights", len(adapter.Changes))
	}
	m, err := cfg.Graph(models.Options{Adapters: []models.Adapter{adapter}, MaxTokens: build.DefaultMaxTokens(cfg.Facts().ImageTokens),
		DType: func(string) ir.DType { return ir.BF16 }, KV: ir.F32})
	if err != nil {
		t.Fatal(err)
	}
	var funcs []*ir.Func
	for plain, name := range map[string]string{entry.Prefill: entry.Adapted(entry.Prefill, 1), entry.Greedy: entry.Greedy,
		entry.Step: entry.Adapted(entry.Step, 1), entry.StepBatch: entry.Mixed(entry.StepBatch)} {
		f := m.Func(name)
		if f == nil {
			t.Fatalf("no function %s", name)
		}
		f.Name = plain
		funcs = append(funcs, f)
	}
	m.Funcs = funcs
	return m
}
