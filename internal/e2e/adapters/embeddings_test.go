package adapters

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/safetensors"
)

// TestKeptEmbeddings keeps two adapters beside a model that makes embeddings: with one they are those of the model that the
// adapter is merged into, without they have the bits of an executable that has none.
func TestKeptEmbeddings(t *testing.T) {
	base := filepath.Join(golden.Dir(), "colpali-odd")
	c, err := hf.Load(base, hf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := t.TempDir()
	var kept []hf.Kept
	for i, name := range []string{"one", "two"} {
		kept = append(kept, hf.Kept{Name: name, Dir: filepath.Join(dir, name)})
		writeAdapter(t, c, kept[i].Dir, uint64(i), nil)
	}
	compiled := func(name string, o build.Options) string {
		exe := filepath.Join(dir, name+".exe")
		o.CPU, o.Weights = "x86-64-v3", "f32"
		e2e.Build(t, exe, base, e2e.Runtime(t), o)
		return exe
	}
	embedded := func(exe string, args ...string) []byte {
		out := filepath.Join(dir, "out.safetensors")
		e2e.MustRun(t, exe, append([]string{"embed", "-o", out}, args...)...)
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	together, alone := compiled("together", build.Options{Adapters: kept}), compiled("alone", build.Options{})
	seen := map[string]bool{}
	for _, what := range []string{golden.Picture("shapes.png"), "--query=a cat"} {
		if !bytes.Equal(embedded(together, what), embedded(alone, what)) {
			t.Errorf("%s: without an adapter the embedding is not the base's", what)
		}
		for _, k := range kept {
			got, merged := embedded(together, "--adapter", k.Name, what), embedded(compiled(k.Name, build.Options{Adapter: k.Dir}), what)
			seen[string(got)] = true
			if e, at := golden.Error(vectors(t, got), vectors(t, merged)); !(e < 1e-5) {
				t.Errorf("%s with %s: element %d is off by %g of the largest", what, k.Name, at, e)
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d embeddings differ, expected those of two adapters of a picture and of a query", len(seen))
	}
	if status, _, stderr := e2e.Status(together, "embed", "--adapter", "three", "--query=a", "-o", filepath.Join(dir, "no")); status == 0 || !strings.Contains(stderr, "expected one of one, two") {
		t.Errorf("an adapter that is not there: status %d, %s", status, stderr)
	}
}

// writeAdapter writes a LoRA of rank 3 of layers of either tower, of the projection and of other modules, and saved modules
// whole.
func writeAdapter(t *testing.T, c *hf.Checkpoint, dir string, seed uint64, saved []string, others ...string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 17))
	var specs []safetensors.Spec
	for _, w := range c.Weights {
		module, ok := strings.CutSuffix(c.Model.Hub(w.Name), ".weight")
		if !ok || len(w.Shape) != 2 || !slices.ContainsFunc(append(others, "q_proj", "fc1", "embedding_proj"), func(part string) bool { return strings.Contains(module, part) }) {
			continue
		}
		a, b := "lora_A.weight", "lora_B.weight"
		high, wide := w.Shape[0], w.Shape[1]
		if w.Name == c.Model.Embedding {
			a, b, high, wide = "lora_embedding_A", "lora_embedding_B", wide, high
		}
		for _, s := range []safetensors.Spec{{Name: a, Shape: []int{3, wide}}, {Name: b, Shape: []int{high, 3}}} {
			specs = append(specs, safetensors.Spec{Name: "base_model.model." + module + "." + s.Name, DType: safetensors.F32, Shape: s.Shape})
		}
	}
	for _, name := range saved {
		shape := []int{c.Config.Facts().VocabSize, c.Config.Facts().HiddenSize}
		specs = append(specs, safetensors.Spec{Name: "base_model.model." + c.Model.Hub(name+".weight"), DType: safetensors.F32, Shape: shape})
	}
	out, err := safetensors.Create(filepath.Join(dir, "adapter_model.safetensors"), nil, specs)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range specs {
		values := make([]float32, s.Shape[0]*s.Shape[1])
		for i := range values {
			values[i] = float32(rng.NormFloat64() / math.Sqrt(3) / 2)
		}
		if err := out.WriteFloat32s(values); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(saved)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Appendf(nil, `{"peft_type": "LORA", "r": 3, "lora_alpha": 4, "target_modules": ["q_proj", "fc1"], "modules_to_save": %s}`, list)
	if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestKeptTable keeps an adapter whose LoRA is of the embedding, too, and one that has another embedding and another head: the
// logits are those of the merged model in float32, in which the two stay apart.
func TestKeptTable(t *testing.T) {
	for name, saved := range map[string][]string{"pg2-odd": nil, "pg2-mha": {"language_model.embed_tokens", "lm_head"}} {
		base, dir := filepath.Join(golden.Dir(), name), t.TempDir()
		c, err := hf.Load(base, hf.Options{})
		if err != nil {
			t.Fatal(err)
		}
		adapter := filepath.Join(dir, "adapter")
		if saved == nil {
			writeAdapter(t, c, adapter, 5, nil, "embed_tokens")
		} else {
			writeAdapter(t, c, adapter, 5, saved)
		}
		c.Close()
		var logits [][]float32
		for i, o := range []build.Options{{Adapter: adapter}, {Adapters: []hf.Kept{{Name: "tuned", Dir: adapter}}}, {}} {
			exe, out := filepath.Join(dir, "exe"), filepath.Join(dir, "out")
			o.CPU, o.MaxTokens, o.Weights = "x86-64-v3", 311, "f32"
			e2e.Build(t, exe, base, e2e.Runtime(t), o)
			args := []string{"forward", "--image", golden.Picture("shapes.png"), "--prompt", "detect cat", "-o", out}
			if i == 1 {
				args = append(args, "--adapter", "tuned")
			}
			e2e.MustRun(t, exe, args...)
			f, err := safetensors.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			logits = append(logits, golden.Floats(f, "logits"))
			f.Close()
		}
		if e, at := golden.Error(logits[1], logits[0]); !(e < 1e-5) {
			t.Errorf("%s: element %d is off by %g of the largest", name, at, e)
		}
		if e, _ := golden.Error(logits[2], logits[0]); e < 1e-3 {
			t.Errorf("%s: the adapter changes logits by %g of the largest only", name, e)
		}
	}
}

// vectors are the elements of an embedding's file.
func vectors(t *testing.T, text []byte) []float32 {
	t.Helper()
	path := filepath.Join(t.TempDir(), "embedding")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return golden.Floats(f, "embeddings.0")
}
