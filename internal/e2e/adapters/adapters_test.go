package adapters

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/safetensors"
)

// TestAdapters compiles every adapter of golden with its base, and compares the logits with those of transformers: of
// the merged model, and with float32 weights, or where it is kept, of the model with the adapter beside it.
func TestAdapters(t *testing.T) {
	elf := e2e.Runtime(t)
	for _, dir := range golden.Adapters() {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ref, err := safetensors.Open(filepath.Join(dir, golden.AdapterReference))
			if err != nil {
				t.Fatal(err)
			}
			defer ref.Close()
			own, err := strconv.ParseFloat(ref.Metadata["logits_error"], 64) // of transformers' float32
			if err != nil {
				t.Fatal(err)
			}
			base := filepath.Join(golden.Dir(), ref.Metadata["base"])
			for _, c := range []struct {
				want       string
				checkpoint string
				options    build.Options
				flags      []string
			}{
				{"logits", base, build.Options{Adapter: dir}, nil},
				{"logits", dir, build.Options{}, nil}, // which names its base
				{"apart", base, build.Options{Adapter: dir, Storage: build.Storage{Weights: "f32"}}, nil},
				{"apart", base, build.Options{Adapters: []hf.Kept{{Name: "tuned", Dir: dir}}}, []string{"--adapter", "tuned"}},
			} {
				want := golden.Floats(ref, c.want)
				if want == nil {
					want = golden.Floats(ref, "logits") // which are the same
				}
				exe, out := filepath.Join(t.TempDir(), "exe"), filepath.Join(t.TempDir(), "out.safetensors")
				c.options.CPU, c.options.MaxTokens = "x86-64-v3", 311
				_, err := build.Compile(t.Context(), c.checkpoint, exe, elf, c.options)
				if c.flags != nil && err != nil && strings.Contains(err.Error(), "may not: expected LoRA of other layers") {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				e2e.MustRun(t, exe, append([]string{"forward", "--image", golden.Picture(ref.Metadata["image"]), "--prompt", ref.Metadata["prompt"], "-o", out}, c.flags...)...)
				got, err := safetensors.Open(out)
				if err != nil {
					t.Fatal(err)
				}
				logits := golden.Floats(got, "logits")
				got.Close()
				e, at := golden.Error(logits[len(logits)-len(want):], want)
				if limit := max(1e-5, 10*own); !(e <= limit) {
					t.Errorf("%s of %s: element %d is off by %g of the largest, limit %g", c.want, c.checkpoint, at, e, limit)
				}
				t.Logf("%s %v: %.2g of the largest; transformers' own error is %.2g", c.want, c.flags, e, own)
			}
		})
	}
}

// TestKeptAdapters decodes eight requests with three adapters and without in one batch: every answer has the bits of a
// single run, and those without an adapter have the bits of an executable that has none.
func TestKeptAdapters(t *testing.T) {
	base := filepath.Join(golden.Dir(), "pg2-odd")
	other := filepath.Join(t.TempDir(), "other") // the adapter linear at another strength
	if err := os.CopyFS(other, os.DirFS(filepath.Join(golden.Dir(), "adapters", "linear"))); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(other, "adapter_config.json")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, bytes.Replace(text, []byte(`"lora_alpha": 8`), []byte(`"lora_alpha": 31`), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	kept := []hf.Kept{{Name: "one", Dir: filepath.Join(golden.Dir(), "adapters", "linear")}, {Name: "two", Dir: other},
		{Name: "three", Dir: filepath.Join(golden.Dir(), "adapters", "beside")}}
	dir := t.TempDir()
	exe, alone := filepath.Join(dir, "exe"), filepath.Join(dir, "alone")
	for path, o := range map[string]build.Options{exe: {Adapters: kept}, alone: {}} {
		o.CPU, o.MaxTokens = "x86-64-v3", 311
		if _, err := build.Compile(t.Context(), base, path, e2e.Runtime(t), o); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(exe, adapter, picture string) string {
		args := []string{"generate", "--image", golden.Picture(picture), "--prompt", "caption en", "--max-new-tokens", "9", "--json", "--logprobs"}
		if adapter != "" {
			args = append(args, "--adapter", adapter)
		}
		return answerOf(t, e2e.MustRun(t, exe, args...))
	}
	var in bytes.Buffer
	var single []string
	answers := map[string]bool{}
	for i, adapter := range []string{"one", "", "two", "three", "one", "", "three", "two"} {
		picture := []string{"noise.png", "shapes.png"}[i/4]
		fmt.Fprintf(&in, `{"images": [%q], "prompt": "caption en", "max_new_tokens": 9, "logprobs": true, "adapter": %q}`+"\n", golden.Picture(picture), adapter)
		single = append(single, ask(exe, adapter, picture))
		answers[single[i]] = true
		if adapter == "" && single[i] != ask(alone, "", picture) {
			t.Errorf("without an adapter the answer is %s, expected the base's", single[i])
		}
	}
	if len(answers) < 8 {
		t.Errorf("only %d answers differ, expected those of three adapters and the base about two pictures", len(answers))
	}
	cmd := exec.Command(exe, "batch", "--input", "-", "--output", "-")
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range bytes.Split(bytes.TrimSpace(out), []byte("\n")) {
		if got := answerOf(t, line); got != single[i] {
			t.Errorf("request %d in a batch: %s, alone %s", i, got, single[i])
		}
	}
}

// answerOf is what an answer in JSON says of its tokens.
func answerOf(t *testing.T, text []byte) string {
	t.Helper()
	var a struct {
		Tokens   []int
		Logprobs []float64
	}
	if err := json.Unmarshal(text, &a); err != nil || len(a.Logprobs) == 0 {
		t.Fatalf("%v: %s", err, text)
	}
	return fmt.Sprint(a.Tokens, a.Logprobs)
}
