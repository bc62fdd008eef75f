package build

import (
	"encoding/json"
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

// TestAdapterGrowth bounds what adapters of rank 4 make a file larger, on a model as small as the demo: a first one, with which code is
// deflated, and a second one, which has functions of its own.
func TestAdapterGrowth(t *testing.T) {
	demo := filepath.Join(golden.Dir(), "..", "models", "paligemma", "demo", "paligemma-demo")
	dir, adapter := newAdapter(t, demo, "all-linear", 4)
	size := func(o Options) int64 {
		out := filepath.Join(t.TempDir(), "exe")
		if _, err := Compile(t.Context(), demo, out, []byte("\x7fELF"), o); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(out)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for _, stored := range []string{"auto", "int4"} {
		o := Options{Storage: Storage{Weights: stored}, CPU: target.Default}
		before := size(o)
		for _, name := range []string{"first", "second"} {
			o.Adapters = append(o.Adapters, hf.Kept{Name: name, Dir: dir})
			after := size(o)
			growth := float64(after-before) / float64(adapter)
			before = after
			t.Logf("%s: %.3f of %d bytes for the %s", stored, growth, adapter, name)
			if growth > 1.1 {
				t.Errorf("%s: the file grows by %.3f of the %s adapter's %d bytes, expected at most 1.1", stored, growth, name, adapter)
			}
		}
	}
}
