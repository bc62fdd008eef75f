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
	r := e2e.Build(t, exe, filepath.Join(demo, name), e2e.Runtime(t), build.Options{CPU: strings.Join(cpus, ","), Storage: build.Storage{Compute: "bf16"}, MaxTokens: 311})
	var info struct {
		BFloats bool `json:"bf16_products"`
	}
	if err := json.Unmarshal(e2e.MustRun(t, exe, "info", "--json"), &info); err != nil || !info.BFloats || len(r.Sets) != len(cpus) {
		t.Fatalf("info says %+v, %v; compiled %+v", info, err, r.Sets)
	}
	var some []e2e.DemoAnswer
	for i, r := range rows {
		if r.Checkpoint == name && i%5 == 0 {
			some = append(some, r)
		}
	}
	in := asked(t, some, true)
	for _, s := range r.Sets {
		answer := func(threads string) []e2e.Reply {
			return e2e.Replies(t, e2e.MustRun(t, exe, "batch", "--isa", s.CPU, "--threads", threads, "--input", in, "--output", "-"))
		}
		same, one, two := 0, answer("1"), answer("2")
		if len(one) != len(some) || len(two) != len(some) {
			t.Fatalf("%s: %d and %d answers to %d requests", s.CPU, len(one), len(two), len(some))
		}
		for i, got := range two {
			switch r := some[i]; {
			case slices.Equal(got.Tokens, r.Tokens):
				same++
			case r.Margin > 0.1:
				t.Errorf("%s, %s %q: %q, transformers says %q and is sure by %g", s.CPU, r.Image, r.Prompt, got.Text, r.Text, r.Margin)
			}
			if !slices.Equal(one[i].Logprobs, got.Logprobs) {
				t.Errorf("%s: log-probabilities are %v on one thread and %v on two", s.CPU, one[i].Logprobs, got.Logprobs)
			}
		}
		t.Logf("%s: %d of %d answers are transformers'", s.CPU, same, len(some))
		if len(some) < 12 || same < len(some)*8/10 {
			t.Errorf("%s: only %d of %d answers are transformers'", s.CPU, same, len(some))
		}
	}
}
