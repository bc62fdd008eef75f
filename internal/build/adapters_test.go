package build

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/golden"
	"pgc/runtime/safetensors"
)

// otherRank writes an adapter like that of a folder, with a rank and a lora_alpha of its own. Its factors are zeros.
func otherRank(t *testing.T, from string, rank int, alpha float64) string {
	t.Helper()
	to := t.TempDir()
	raw, err := os.ReadFile(filepath.Join(from, "adapter_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	config["r"], config["lora_alpha"] = rank, alpha
	if raw, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, "adapter_config.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(filepath.Join(from, "adapter_model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var specs []safetensors.Spec
	for _, key := range f.Names() {
		x, _ := f.Tensor(key)
		shape := []int{rank, x.Shape[1]}
		if strings.Contains(x.Name, "lora_B") {
			shape = []int{x.Shape[0], rank}
		}
		specs = append(specs, safetensors.Spec{Name: x.Name, DType: x.DType, Shape: shape})
	}
	w, err := safetensors.Create(filepath.Join(to, "adapter_model.safetensors"), nil, specs)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range specs {
		if _, err := w.Write(make([]byte, 4*s.Shape[0]*s.Shape[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestAdaptersShareKernels expects an adapter beside others to add no kernels but the one that compares the numbers of a batch's
// adapters with its own, whatever its rank and its factor; and the first adapter to add first factors and few products, not a second
// copy of all of the base's.
func TestAdaptersShareKernels(t *testing.T) {
	base, linear := filepath.Join(golden.Dir(), "pg2-odd"), filepath.Join(golden.Dir(), "adapters", "linear")
	others := []hf.Kept{{Name: "five", Dir: otherRank(t, linear, 5, 3)}, {Name: "nineteen", Dir: otherRank(t, linear, 19, 19)}}
	for _, storage := range []Storage{{Weights: "int4"}, {Weights: "auto"}} {
		count := func(kept ...hf.Kept) int {
			s, err := Measure(base, Options{Storage: storage, CPU: "x86-64-v3", Adapters: kept})
			if err != nil {
				t.Fatal(err)
			}
			return s.Kernels
		}
		none, one := count(), count(hf.Kept{Name: "linear", Dir: linear})
		t.Logf("%s: %d kernels without adapters, %d with one", storage.Weights, none, one)
		if one > none+24 {
			t.Errorf("%s: %d kernels without adapters and %d with one, expected at most 24 more", storage.Weights, none, one)
		}
		kept := []hf.Kept{{Name: "linear", Dir: linear}}
		for i, other := range others {
			kept = append(kept, other)
			if n := count(kept...); n > one+i+1 {
				t.Errorf("%s: %d kernels with one adapter and %d with %d, the last of them %q; expected %d", storage.Weights, one, n, i+2, other.Name, one+i+1)
			}
		}
	}
}
