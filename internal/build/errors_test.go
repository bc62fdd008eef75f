package build

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/codegen/cpu/cputest"
	"pgc/golden"
)

// TestBrokenCheckpoints breaks one thing at a time: one clear sentence, the old output kept, nothing left behind.
func TestBrokenCheckpoints(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(dir string)
		opt    Options
		want   []string
	}{
		{"no config", func(d string) { os.Remove(filepath.Join(d, "config.json")) }, Options{}, []string{"config.json"}},
		{"no weights", func(d string) { os.Remove(filepath.Join(d, "model.safetensors")) }, Options{}, []string{"model.safetensors"}},
		{"no tokenizer", func(d string) { os.Remove(filepath.Join(d, "tokenizer.json")) }, Options{}, []string{"tokenizer.json"}},
		{"model type", func(d string) {
			golden.Edit(t, filepath.Join(d, "config.json"), `"model_type": "gemma"`, `"model_type": "llama"`)
		}, Options{},
			[]string{"config.json", "model_type", "llama", "gemma2"}},
		{"misshapen tensor", func(d string) {
			golden.Edit(t, filepath.Join(d, "config.json"), `"intermediate_size": 71`, `"intermediate_size": 72`)
		}, Options{},
			[]string{"language_model.model.layers.0.mlp.gate_proj.weight", "[71 43]", "[72 43]"}},
		{"missing tensor", func(d string) {
			golden.Edit(t, filepath.Join(d, "config.json"), `"num_hidden_layers": 3,
  "num_attention_heads": 5`, `"num_hidden_layers": 4,
  "num_attention_heads": 5`)
		}, Options{}, []string{"language_model.layers.3.input_layernorm.weight", "missing"}},
		{"truncated weights", func(d string) { os.Truncate(filepath.Join(d, "model.safetensors"), 100_000) }, Options{}, []string{"model.safetensors", "truncated"}},
		{"weights option", func(string) {}, Options{Storage: Storage{Weights: "int3"}}, []string{"Weights int3", "bf16"}},
		{"kv option", func(string) {}, Options{KV: "f16"}, []string{"KV f16", "f32 or bf16"}},
		{"too large for f16", func(d string) {
			golden.SetFloat(t, filepath.Join(d, "model.safetensors"), "language_model.model.layers.1.mlp.up_proj.weight", 1e5)
		},
			Options{Storage: Storage{Weights: "f16"}}, []string{"language_model.layers.1.mlp.up_proj.weight", "65504", "bf16"}},
		{"target option", func(string) {}, Options{Target: "metal"}, []string{"Target metal", "cpu, cuda or cpu,cuda"}},
		{"f32 products on a GPU", func(string) {}, Options{Target: "cpu,cuda", Storage: Storage{Compute: "f32"}}, []string{"Compute f32", "bf16"}},
		{"integer products on a GPU", func(string) {}, Options{Target: "cuda", Storage: Storage{Compute: "int8"}}, []string{"Compute int8", "bf16"}},
		{"floats on a GPU", func(string) {}, Options{Target: "cuda", Storage: Storage{Weights: "f16"}}, []string{"Weights f16", "auto, bf16, int8, int4"}},
		{"floats kept on a GPU", func(string) {}, Options{Target: "cuda", Storage: Storage{Keep: []string{"*=f32"}}}, []string{"Keep *=f32", "bf16, int8, int4"}},
		{"NaN", func(d string) {
			golden.SetFloat(t, filepath.Join(d, "model.safetensors"), "language_model.model.layers.1.mlp.up_proj.weight", math.NaN())
		}, Options{}, []string{"model.safetensors: tensor language_model.layers.1.mlp.up_proj.weight", "infinite or NaN in row 0", "diverged"}},
		{"draft option", func(string) {}, Options{Draft: "pg3b"}, []string{"Draft \"pg3b\"", "ngram or off"}},
		{"runtime option", func(string) {}, Options{Runtime: "small"}, []string{"Runtime \"small\"", "full or least"}},
		{"least runtime for GPUs", func(string) {}, Options{Runtime: "least", Target: "cpu,cuda"}, []string{"Runtime least", "no GPU"}},
		{"least runtime that segments", func(string) {}, Options{Runtime: "least", Frozen: Frozen{Task: []string{"segment cat"}}}, []string{"Runtime least", "expected full"}},
		{"cpu option", func(string) {}, Options{CPU: "z80"}, []string{"CPU z80", "x86-64-v3"}},
		{"too large a capacity", func(string) {}, Options{MaxTokens: 100_001}, []string{"MaxTokens 100001", "up to 100000"}},
		{"pattern that matches nothing", func(string) {}, Options{Storage: Storage{Keep: []string{"vision_tower.*=f32", "visiontower.*=f32"}}},
			[]string{"Keep visiontower.*=f32 matches no matrix", "language_model.layers.2.mlp.down_proj.weight"}},
		{"pattern of vectors", func(string) {}, Options{Storage: Storage{Keep: []string{"*.bias=f32"}}}, []string{"Keep *.bias=f32 matches no matrix"}},
		{"capacity", func(string) {}, Options{MaxTokens: 5}, []string{"MaxTokens 5"}},
		{"long prompt", func(string) {}, Options{Frozen: Frozen{Prompt: []string{"caption en", strings.Repeat("word ", 400)}}},
			[]string{`Prompt "word word`, "needs 2027 tokens", "the KV cache holds 311", "--max-tokens 2027 or more"}},
		{"classes that do not fit", func(string) {}, Options{Frozen: Frozen{Task: []string{"detect cat ; " + strings.Repeat("word ", 40)}}},
			[]string{`Task "detect cat ; word word`, "the KV cache holds 311"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := golden.Copy(t, "pg1-odd")
			c.damage(dir)
			folder := t.TempDir()
			out := filepath.Join(folder, "exe")
			if err := os.WriteFile(out, []byte("old"), 0o755); err != nil {
				t.Fatal(err)
			}
			if c.opt.CPU == "" {
				c.opt.CPU = "x86-64-v3"
			}
			if c.opt.MaxTokens == 0 {
				c.opt.MaxTokens = 311
			}
			_, err := Compile(t.Context(), dir, out, []byte("elf"), c.opt)
			if err == nil {
				t.Fatal("no error")
			}
			t.Log(err)
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
			names, _ := os.ReadDir(folder)
			if old, _ := os.ReadFile(out); string(old) != "old" || len(names) != 1 {
				t.Errorf("the output is %q, beside it %v", old, names)
			}
		})
	}
	if _, err := Compile(t.Context(), filepath.Join(t.TempDir(), "nothing"), filepath.Join(t.TempDir(), "x"), nil, Options{CPU: "x86-64-v3"}); err == nil ||
		!strings.Contains(err.Error(), "no checkpoint at") {
		t.Errorf("error %v", err)
	}
}

// TestDeterministic compiles twice, to different places: the files are equal. The second time llc runs anew, whatever
// the tests share.
func TestDeterministic(t *testing.T) {
	elf := []byte("\x7fELF and so on")
	var files [2][]byte
	for i := range files {
		if i == 1 {
			cputest.Alone(t)
		}
		out := filepath.Join(t.TempDir(), "exe")
		if _, err := Compile(t.Context(), filepath.Join(golden.Dir(), "colpali-odd"), out, elf, Options{CPU: "x86-64-v3,x86-64-v4"}); err != nil {
			t.Fatal(err)
		}
		files[i], _ = os.ReadFile(out)
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two compilations differ")
	}
}
