package check

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/ptx/emulated"
	"pgc/codegen/weights"
	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/internal/gputest"
	"pgc/ir/quant"
	"pgc/ir/target"
	"pgc/runtime/cpufeature"
	"pgc/runtime/entry"
	"pgc/runtime/program"
)

func options() build.Options { return build.Options{CPU: "x86-64-v3", MaxTokens: 311} }

func checkpoint(name string) string { return filepath.Join(golden.Dir(), name) }

// executable compiles a checkpoint; what is checked never starts, so that any bytes do for the runtime.
func executable(t *testing.T, name string, o build.Options) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	e2e.Build(t, out, checkpoint(name), []byte("\x7fELF of nothing"), o)
	return out
}

func kernels(t *testing.T, path string) (report string, mismatches int) {
	t.Helper()
	return kernelsWith(t, path, options())
}

func kernelsWith(t *testing.T, path string, o build.Options) (report string, mismatches int) {
	t.Helper()
	var b strings.Builder
	mismatches, err := Kernels(t.Context(), &b, path, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), mismatches
}

// A checkpoint and the executable made of it run the same kernels, all of them right.
func TestKernels(t *testing.T) {
	for _, name := range []string{"pg1-bf16", "pg2-odd", "colpali-odd"} {
		fresh, mismatches := kernels(t, checkpoint(name))
		if mismatches > 0 || strings.Count(fresh, "\n") < 20 {
			t.Errorf("%s: %d mismatches:\n%s", name, mismatches, fresh)
		}
		shipped, mismatches := kernels(t, executable(t, name, options()))
		if mismatches > 0 || shipped != fresh {
			t.Errorf("%s: the executable: %d mismatches:\n%s\nwant\n%s", name, mismatches, shipped, fresh)
		}
	}
}

// A vocabulary that is large enough has functions for parts of the head, and every model some for several tokens.
func TestKernelsOfParts(t *testing.T) {
	o := options()
	o.Draft = "ngram"
	report, mismatches := kernelsWith(t, filepath.Join(golden.Dir(), "..", "models", "paligemma", "demo", "paligemma2-demo"), o)
	if mismatches > 0 {
		t.Errorf("%d mismatches:\n%s", mismatches, report)
	}
	for _, f := range []string{entry.Span, entry.Few, entry.SpanBatch, entry.FewBatch, entry.Rows, entry.Verify} {
		if !strings.Contains(report, "@"+f+" ") {
			t.Errorf("nothing of %s in\n%s", f, report)
		}
	}
}

// Kernels with weights in every format are right, whether the codes are those that the evaluator chooses or searched
// for; in an executable and of a checkpoint.
func TestKernelsOfFormats(t *testing.T) {
	for _, f := range quant.Formats() {
		o, name := options(), "colpali-odd" // which has the fewest kernels, and none that decode
		if f == quant.Int4 {
			name = "pg1-odd"
		}
		o.Storage = build.Storage{Weights: f.String(), Search: true, Keep: []string{"language_model.layers.0.mlp.*=int8"}}
		for _, path := range []string{checkpoint(name), executable(t, name, o)} {
			var b strings.Builder
			mismatches, err := Kernels(t.Context(), &b, path, o, nil)
			if err != nil || mismatches > 0 || strings.Count(b.String(), "i8g128") < 3 {
				t.Errorf("%s as %s: %v, %d mismatches:\n%s", path, f, err, mismatches, b.String())
			}
		}
	}
}

// An executable compiled without some passes carries which; all of its instruction sets that this machine has are
// checked.
func TestKernelsWithoutPasses(t *testing.T) {
	o := options()
	o.CPU = "x86-64-v3,x86-64-v4"
	o.Passes.Off = map[string]bool{"fuse-row": true, "fuse-matmul": true}
	report, mismatches := kernels(t, executable(t, "colpali-odd", o)) // which has the fewest kernels
	if mismatches > 0 {
		t.Errorf("%d mismatches:\n%s", mismatches, report)
	}
	for _, name := range strings.Split(o.CPU, ",") {
		tgt, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		want := "\n" + name + ":\n"
		if cpufeature.Check(tgt.Features) != nil {
			want = "\n" + name + " is not checked: "
		}
		if !strings.Contains("\n"+report, want) {
			t.Errorf("the report does not say %q:\n%s", want, report)
		}
	}
}

// damaged gives one tensor with a flipped sign bit.
type damaged struct {
	weights.Source
	key string
}

func (d damaged) Tensor(key string) (weights.Tensor, error) {
	t, err := d.Source.Tensor(key)
	if key == d.key {
		t.Data = slices.Clone(t.Data)
		t.Data[len(t.Data)-1] ^= 0x80
	}
	return t, err
}

// A kernel that reads one weight otherwise than the evaluator is found, and no other is blamed.
func TestKernelsFindsFaults(t *testing.T) {
	tgt, err := target.Find(options().CPU)
	if err != nil {
		t.Fatal(err)
	}
	l, err := load(t.Context(), checkpoint("pg1-odd"), tgt, options(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	l.source = damaged{l.source, "vision_tower.encoder.layers.0.mlp.fc1.weight"}
	if err := l.inputs(5); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	mismatches, err := l.function(t.Context(), &b, entry.EncodeImage, map[string]int{entry.SymRow: 0}, map[int]bool{})
	if err != nil {
		t.Fatal(err)
	}
	if mismatches != 1 || strings.Count(b.String(), "MISS") != 1 {
		t.Errorf("%d mismatches, want 1:\n%s", mismatches, b.String())
	}
}

// An executable whose graph is gone or another's cannot be checked, and says so.
func TestForeignExecutable(t *testing.T) {
	path := executable(t, "pg1-odd", options())
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	image, err := program.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if _, _, err := build.Relower("app", image); err != nil {
		t.Errorf("its own graph: %v", err)
	}
	launches := &image.Program.Funcs[1].Launches
	for what, change := range map[string]func(){
		"an argument elsewhere": func() { (*launches)[0].Args[0].Offset += 64 },
		"other tasks":           func() { (*launches)[0].Tasks = program.C(1234) },
		"a launch less":         func() { *launches = (*launches)[1:] },
	} {
		kept := slices.Clone(*launches)
		kept[0].Args = slices.Clone(kept[0].Args)
		change()
		if _, _, err := build.Relower("app", image); err == nil || !strings.Contains(err.Error(), "another pgc") {
			t.Errorf("%s: %v, expected an error that another pgc made it", what, err)
		}
		*launches = kept
	}
	if _, err := Kernels(t.Context(), &strings.Builder{}, os.Args[0], options(), nil); err == nil {
		t.Error("a test binary was taken for an executable of pgc's")
	}
	if _, err := Reference(t.Context(), &strings.Builder{}, path, "x", options()); err == nil || !strings.Contains(err.Error(), "checkpoint directory") {
		t.Errorf("reference of an executable: %v", err)
	}
}

// TestKernelsOnGPU compares every kernel for GPUs, run in the emulator or on a GPU where PGC_CUDA is set, with the evaluator, for every
// storage that products on a GPU read.
func TestKernelsOnGPU(t *testing.T) {
	for _, c := range [][2]string{{"pg1-odd", "bf16"}, {"pg2-odd", "int8"}, {"pg1-odd", "int4"}} {
		o := build.Options{MaxTokens: 40, Storage: build.Storage{Weights: c[1]}}
		var b strings.Builder
		mismatches, err := Kernels(t.Context(), &b, checkpoint(c[0]), o, gputest.GPUs(&emulated.Driver{}))
		if err != nil || mismatches > 0 || strings.Count(b.String(), "matmul_") < 10 {
			t.Errorf("%v: %v, %d mismatches:\n%s", c, err, mismatches, b.String())
		}
	}
}
