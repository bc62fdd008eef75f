package adapters

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	e2e.Build(t, exe, checkpoint, e2e.Runtime(t), o)
	return exe
}

// TestAdapters compiles every adapter of golden with its base, and compares the logits with those of the merged model of
// transformers.
func TestAdapters(t *testing.T) {
	for i, dir := range golden.Adapters() {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			r := readReference(t, dir)
			exe := compiled(t, dir, build.Options{}) // which names its base
			r.compare(t, exe, r.merged)
			if i == 0 {
				same(t, exe, compiled(t, r.base, build.Options{Adapter: dir}))
			}
		})
	}
}

// TestKept keeps all adapters of golden that have one base in one executable, and compares the logits with those of
// transformers with the adapter beside the base.
func TestKept(t *testing.T) {
	of := map[string][]reference{}
	for _, dir := range golden.Adapters() {
		r := readReference(t, dir)
		of[r.base] = append(of[r.base], r)
	}
	for base, list := range of {
		t.Run(filepath.Base(base), func(t *testing.T) {
			var kept []hf.Kept
			var names []string
			for _, r := range list {
				names = append(names, filepath.Base(r.dir))
				kept = append(kept, hf.Kept{Name: filepath.Base(r.dir), Dir: r.dir})
			}
			exe := compiledOf(t, base, kept)
			for i, r := range list {
				r.compare(t, exe, r.apart, "--adapter", names[i])
			}
			for group := range slices.Chunk(names, 7) {
				inBatch(t, exe, append(group, ""))
			}
		})
	}
}

// TestKeptInBFloats keeps an adapter beside a base whose products are of bfloat16 on both sides: in a batch its answers have the bits
// of single runs, and logits are those of transformers within bfloat16's rounding.
func TestKeptInBFloats(t *testing.T) {
	r := readReference(t, filepath.Join(golden.Dir(), "adapters", "linear"))
	r.limit = 0.03
	o := build.Options{Adapters: []hf.Kept{{Name: "linear", Dir: r.dir}}}
	o.Weights, o.Compute = "bf16", "bf16"
	exe := compiled(t, r.base, o)
	r.compare(t, exe, r.apart, "--adapter", "linear")
	inBatch(t, exe, []string{"linear", ""})
}

// compiledOf is the executable of a base with adapters beside it, which is shared where it is that of e2e.WithAdapters.
func compiledOf(t *testing.T, base string, kept []hf.Kept) string {
	t.Helper()
	if filepath.Base(base) == "pg2-odd" && os.Getenv("PGC_ADAPTERS") == "" {
		return e2e.WithAdapters(t)
	}
	return compiled(t, base, build.Options{Adapters: kept})
}

func same(t *testing.T, a, b string) {
	t.Helper()
	x, _ := os.ReadFile(a)
	if y, err := os.ReadFile(b); err != nil || !bytes.Equal(x, y) {
		t.Errorf("%s is not %s, byte for byte (%v)", a, b, err)
	}
}

// TestKeptAdapters asks about two pictures with adapters and without: in a batch every answer has the bits of a single run, and
// those without an adapter have the bits of an executable that has none.
func TestKeptAdapters(t *testing.T) {
	exe, alone := e2e.WithAdapters(t), e2e.Compiled(t, "pg2-odd")
	answers := map[string]bool{}
	for _, a := range inBatch(t, exe, []string{"linear", "", "beside", "louder", "tokens", "head"}) {
		answers[a] = true
	}
	if len(answers) != 8 {
		t.Errorf("only %d answers differ, expected those of five adapters and the base about two pictures", len(answers))
	}
	if got := ask(t, alone, "", "noise.png"); !answers[got] {
		t.Errorf("an executable without adapters answers %s, which none of %v is", got, answers)
	}
}

// ask is what an executable answers about a picture.
func ask(t *testing.T, exe, adapter, picture string) string {
	t.Helper()
	args := []string{"generate", "--image", golden.Picture(picture), "--prompt", "caption en", "--max-new-tokens", "9", "--json", "--logprobs"}
	if adapter != "" {
		args = append(args, "--adapter", adapter)
	}
	return answerOf(t, e2e.MustRun(t, exe, args...))
}

// inBatch asks with adapters, over again until there are eight requests, one by one and in one batch, and expects the same
// bits, and the same tokens where nothing asks for logits. It returns the answers.
func inBatch(t *testing.T, exe string, adapters []string) (single []string) {
	t.Helper()
	in := map[bool]*bytes.Buffer{true: {}, false: {}} // by whether log-probabilities are asked for
	for i := range 8 {
		adapter, picture := adapters[i%len(adapters)], []string{"noise.png", "shapes.png"}[i/len(adapters)%2]
		for logprobs, lines := range in {
			fmt.Fprintf(lines, `{"images": [%q], "prompt": "caption en", "max_new_tokens": 9, "logprobs": %v, "adapter": %q}`+"\n", golden.Picture(picture), logprobs, adapter)
		}
		single = append(single, ask(t, exe, adapter, picture))
	}
	for logprobs, lines := range in {
		cmd := exec.Command(exe, "batch", "--input", "-", "--output", "-")
		cmd.Stdin = lines
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range bytes.Split(bytes.TrimSpace(out), []byte("\n")) {
			if got := answerOf(t, line); got != single[i] && !(!logprobs && strings.HasPrefix(single[i], strings.TrimSuffix(got, "[]"))) {
				t.Errorf("request %d with adapter %q in a batch: %s, alone %s", i, adapters[i%len(adapters)], got, single[i])
			}
		}
	}
	return single
}

// answerOf is what an answer in JSON says of its tokens.
func answerOf(t *testing.T, text []byte) string {
	t.Helper()
	var a struct {
		Tokens   []int
		Logprobs []float64
	}
	if err := json.Unmarshal(text, &a); err != nil || len(a.Tokens) == 0 {
		t.Fatalf("%v: %s", err, text)
	}
	return fmt.Sprint(a.Tokens, a.Logprobs)
}
