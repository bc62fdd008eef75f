package build

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/golden"
	"pgc/ir/target"
	"pgc/runtime/safetensors"
)

// layersOf are those that peft adapts, by target_modules.
var layersOf = map[string]*regexp.Regexp{
	"all-linear":            regexp.MustCompile(`^(.*\.(?:[qkvo]_proj|out_proj|gate_proj|up_proj|down_proj|fc1|fc2|linear))\.weight$`),
	`.*\.(?:q_proj|v_proj)`: regexp.MustCompile(`^(.*\.(?:[qv]_proj))\.weight$`),
}

// newAdapter writes an adapter of a checkpoint as peft does, in float32 and of zeros, and returns its folder and the bytes of its tensors'
// file.
func newAdapter(t *testing.T, checkpoint, modules string, rank int) (dir string, size int64) {
	t.Helper()
	dir = t.TempDir()
	raw, err := json.Marshal(map[string]any{"peft_type": "LORA", "r": rank, "lora_alpha": 8, "target_modules": modules})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := hf.Load(checkpoint, hf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var specs []safetensors.Spec
	for _, w := range c.Weights {
		layer := layersOf[modules].FindStringSubmatch(w.Name)
		if layer == nil {
			continue
		}
		for i, shape := range [][]int{{rank, w.Shape[1]}, {w.Shape[0], rank}} {
			specs = append(specs, safetensors.Spec{Name: "base_model.model.model." + layer[1] + []string{".lora_A.weight", ".lora_B.weight"}[i], DType: "F32", Shape: shape})
		}
	}
	path := filepath.Join(dir, "adapter_model.safetensors")
	f, err := safetensors.Create(path, nil, specs)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range specs {
		if _, err := f.Write(make([]byte, 4*s.Shape[0]*s.Shape[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return dir, info.Size()
}

// TestAdapterGrowth bounds what adapters make a file larger, beside a model as small as the demo and one whose widths are some dozens, none
// of them a panel's, and whose kernels are as large as others'. With a first adapter code is deflated, for CPUs so much that the file may
// get smaller; a second one has functions of its own. For GPUs a first one brings kernels that take more than a tiny model's factors.
func TestAdapterGrowth(t *testing.T) {
	const linear, some = "all-linear", `.*\.(?:q_proj|v_proj)`
	demo, tiny := filepath.Join(golden.Dir(), "..", "models", "paligemma", "demo", "paligemma-demo"), filepath.Join(golden.Dir(), "pg1-bf16")
	for _, c := range []struct {
		checkpoint, modules string
		rank                int
		o                   Options
		most                []float64 // of each adapter's bytes
	}{
		{demo, linear, 4, Options{Storage: Storage{Weights: "auto"}, CPU: target.Default}, []float64{1.1, 1.1}},
		{demo, linear, 4, Options{Storage: Storage{Weights: "int4"}, CPU: target.Default}, []float64{1.1, 1.1}},
		{demo, some, 4, Options{CPU: "armv8-a"}, []float64{1.1, 1.1}},
		{demo, some, 4, Options{Target: "cuda"}, []float64{1.1, 1.1}},
		{tiny, linear, 4, Options{CPU: "x86-64-v3"}, []float64{1.1, 1.1}},
		{tiny, some, 4, Options{CPU: target.Default}, []float64{1.1, 1.1}},
		{tiny, linear, 16, Options{CPU: target.Default}, []float64{1.1, 1.1, 1.1}},
		{tiny, linear, 4, Options{CPU: "armv8-a"}, []float64{1.1, 1.1}},
		{tiny, linear, 4, Options{Target: "cuda"}, []float64{2.1, 0.9}},
	} {
		dir, adapter := newAdapter(t, c.checkpoint, c.modules, c.rank)
		before := sizeOf(t, c.checkpoint, c.o)
		for i, most := range c.most {
			c.o.Adapters = append(c.o.Adapters, hf.Kept{Name: fmt.Sprint(i), Dir: dir})
			after := sizeOf(t, c.checkpoint, c.o)
			growth := float64(after-before) / float64(adapter)
			before = after
			what := fmt.Sprintf("%s %s, %s of rank %d, %s: adapter %d", filepath.Base(c.checkpoint), c.o.Storage.Weights, c.modules, c.rank, c.o.Target+c.o.CPU, i)
			t.Logf("%s: %.3f of its %d bytes", what, growth, adapter)
			if growth > most {
				t.Errorf("%s: the file grows by %.3f of its %d bytes, expected at most %g", what, growth, adapter, most)
			}
		}
	}
}

// sizeOf is the size of what a checkpoint compiles to, without the runtime.
func sizeOf(t *testing.T, checkpoint string, o Options) int64 {
	t.Helper()
	out := filepath.Join(t.TempDir(), "exe")
	runtime := append([]byte("\x7fELF"), make([]byte, 60)...)
	if runtime[18] = byte(elf.EM_X86_64); o.CPU == "armv8-a" {
		runtime[18] = byte(elf.EM_AARCH64)
	}
	if _, err := Compile(t.Context(), checkpoint, out, runtime, o); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
