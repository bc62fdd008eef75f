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

// reference is what transformers computes with an adapter.
type reference struct {
	dir, base    string // the folders of the adapter and of its base
	merged       []float32
	apart        []float32 // with the adapter beside float32 weights
	limit        float64   // of errors, as a fraction of the largest logit
	image, words string
}

func readReference(t *testing.T, dir string) reference {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(dir, golden.AdapterReference))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	own, err := strconv.ParseFloat(f.Metadata["logits_error"], 64) // of transformers' float32
	if err != nil {
		t.Fatal(err)
	}
	r := reference{dir: dir, base: filepath.Join(golden.Dir(), f.Metadata["base"]), merged: golden.Floats(f, "logits"), apart: golden.Floats(f, "apart"),
		limit: max(1e-5, 10*own), image: golden.Picture(f.Metadata["image"]), words: f.Metadata["prompt"]}
	if r.apart == nil {
		r.apart = r.merged
	}
	return r
}

// compare runs an executable on the reference's prompt, and compares logits.
func (r reference) compare(t *testing.T, exe string, want []float32, flags ...string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.safetensors")
	e2e.MustRun(t, exe, append([]string{"forward", "--image", r.image, "--prompt", r.words, "-o", out}, flags...)...)
	got, err := safetensors.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	logits := golden.Floats(got, "logits")
	e, at := golden.Error(logits[len(logits)-len(want):], want)
	if !(e <= r.limit) {
		t.Errorf("%v: element %d is off by %g of the largest, limit %g", flags, at, e, r.limit)
	}
	t.Logf("%v: %.2g of the largest, limit %.2g", flags, e, r.limit)
}

func compiled(t *testing.T, checkpoint string, o build.Options) (exe string) {
	t.Helper()
	exe = filepath.Join(t.TempDir(), "exe")
	o.CPU, o.MaxTokens = "x86-64-v3", 311
	if _, err := build.Compile(t.Context(), checkpoint, exe, e2e.Runtime(t), o); err != nil {
		t.Fatal(err)
	}
	return exe
}

// TestAdapters compiles every adapter of golden with its base, and compares the logits with those of transformers: of
// the merged model, and of the model with the adapter beside it, where it is kept. One that may not be kept is merged
// into float32 weights, which is the same.
func TestAdapters(t *testing.T) {
	for i, dir := range golden.Adapters() {
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			r := readReference(t, dir)
			exe := compiled(t, dir, build.Options{}) // which names its base
			r.compare(t, exe, r.merged)
			if i == 0 {
				same(t, exe, compiled(t, r.base, build.Options{Adapter: dir}))
			}
			switch {
			case filepath.Base(r.base) == "pg2-odd":
				r.compare(t, e2e.WithAdapters(t), r.apart, "--adapter", name)
			case mayBeKept(t, r):
				r.compare(t, compiled(t, r.base, build.Options{Adapters: []hf.Kept{{Name: name, Dir: dir}}}), r.apart, "--adapter", name)
			default:
				r.compare(t, compiled(t, r.base, build.Options{Adapter: dir, Storage: build.Storage{Weights: "f32"}}), r.apart)
			}
		})
	}
}

// mayBeKept reports whether an adapter can be kept beside its base.
func mayBeKept(t *testing.T, r reference) bool {
	t.Helper()
	c, err := hf.Load(r.base, hf.Options{Keep: []hf.Kept{{Name: "tuned", Dir: r.dir}}})
	if err == nil {
		c.Close()
	} else if !strings.Contains(err.Error(), "expected LoRA of other layers") {
		t.Fatal(err)
	}
	return err == nil
}

func same(t *testing.T, a, b string) {
	t.Helper()
	x, _ := os.ReadFile(a)
	if y, err := os.ReadFile(b); err != nil || !bytes.Equal(x, y) {
		t.Errorf("%s is not %s, byte for byte (%v)", a, b, err)
	}
}

// TestKeptAdapters decodes eight requests with three adapters and without in one batch: every answer has the bits of a
// single run, and those without an adapter have the bits of an executable that has none.
func TestKeptAdapters(t *testing.T) {
	exe, alone := e2e.WithAdapters(t), e2e.Compiled(t, "pg2-odd")
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
	for i, adapter := range []string{"linear", "", "louder", "beside", "linear", "", "beside", "louder"} {
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
