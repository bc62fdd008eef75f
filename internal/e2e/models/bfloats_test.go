package models

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/ir/target"
	"pgc/runtime/cpufeature"
)

// TestBFloats compiles a demo checkpoint for products of bfloat16, with and without the instruction for them: where
// transformers in float32 is sure the answers are its own, on every instruction set and whatever the number of threads,
// which changes no bit.
func TestBFloats(t *testing.T) {
	demo, rows := e2e.DemoAnswers(t)
	const name = "paligemma-demo"
	exe, cpus := filepath.Join(t.TempDir(), name), []string{"x86-64-v3"}
	if best, err := target.Find("znver4"); err != nil {
		t.Fatal(err)
	} else if err := cpufeature.Check(best.Features); err != nil {
		t.Logf("%s not run: %v", best.Name, err)
	} else {
		cpus = append([]string{best.Name}, cpus...)
	}
	r, err := build.Compile(t.Context(), filepath.Join(demo, name), exe, e2e.Runtime(t),
		build.Options{CPU: strings.Join(cpus, ","), Storage: build.Storage{Compute: "bf16"}, MaxTokens: 311})
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		BFloats bool `json:"bf16_products"`
	}
	if err := json.Unmarshal(e2e.MustRun(t, exe, "info", "--json"), &info); err != nil || !info.BFloats || len(r.Sets) != len(cpus) {
		t.Fatalf("info says %+v, %v; compiled %+v", info, err, r.Sets)
	}
	for _, s := range r.Sets {
		compared, same := 0, 0
		for i, r := range rows {
			if r.Checkpoint != name || i%5 != 0 {
				continue
			}
			args := []string{"generate", "--isa", s.CPU, "--json", "--logprobs", "--image", filepath.Join(demo, "pictures", r.Image), "--prompt", r.Prompt}
			got := e2e.Replies(t, e2e.MustRun(t, exe, args...))[0]
			compared++
			switch {
			case slices.Equal(got.Tokens, r.Tokens):
				same++
			case r.Margin > 0.1:
				t.Errorf("%s, %s %q: %q, transformers says %q and is sure by %g", s.CPU, r.Image, r.Prompt, got.Text, r.Text, r.Margin)
			}
			if compared == 1 {
				one := e2e.Replies(t, e2e.MustRun(t, exe, append(args, "--threads", "1")...))[0]
				if !slices.Equal(one.Logprobs, got.Logprobs) {
					t.Errorf("%s: log-probabilities are %v on one thread and %v on all", s.CPU, one.Logprobs, got.Logprobs)
				}
			}
		}
		t.Logf("%s: %d of %d answers are transformers'", s.CPU, same, compared)
		if compared < 12 || same < compared*8/10 {
			t.Errorf("%s: only %d of %d answers are transformers'", s.CPU, same, compared)
		}
	}
}
