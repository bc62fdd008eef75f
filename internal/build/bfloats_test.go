package build

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"pgc/runtime/cpufeature"
)

// TestBFloats compiles a demo checkpoint for products of bfloat16, with and without the instruction for them: where
// transformers in float32 is sure the answers are its own, on every instruction set and whatever the number of threads,
// which changes no bit.
func TestBFloats(t *testing.T) {
	demo, rows := demoAnswers(t)
	const name = "paligemma-demo"
	exe := filepath.Join(t.TempDir(), name)
	r, err := Compile(t.Context(), filepath.Join(demo, name), exe, runtimeELF(t),
		Options{CPU: "cooperlake,x86-64-v3", Storage: Storage{Compute: "bf16"}})
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		BFloats bool `json:"bf16_products"`
	}
	if err := json.Unmarshal(mustRun(t, exe, "info", "--json"), &info); err != nil || !info.BFloats || len(r.Sets) != 2 {
		t.Fatalf("info says %+v, %v; compiled %+v", info, err, r.Sets)
	}
	for _, s := range r.Sets {
		if cpufeature.Check(s.Features) != nil {
			t.Logf("%s not run: this CPU lacks some of %v", s.CPU, s.Features)
			continue
		}
		compared, same := 0, 0
		for i, r := range rows {
			if r.Checkpoint != name || i%5 != 0 {
				continue
			}
			args := []string{"generate", "--isa", s.CPU, "--json", "--logprobs", "--image", filepath.Join(demo, "pictures", r.Image), "--prompt", r.Prompt}
			got := replies(t, mustRun(t, exe, args...))[0]
			compared++
			switch {
			case slices.Equal(got.Tokens, r.Tokens):
				same++
			case r.Margin > 0.1:
				t.Errorf("%s, %s %q: %q, transformers says %q and is sure by %g", s.CPU, r.Image, r.Prompt, got.Text, r.Text, r.Margin)
			}
			if compared == 1 {
				one := replies(t, mustRun(t, exe, append(args, "--threads", "1")...))[0]
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

// TestCompute lists what --compute may say.
func TestCompute(t *testing.T) {
	for text, want := range map[string]arithmetic{"": {integers: true}, "int8": {integers: true}, "f32": {}, "bf16": {bfloats: true},
		"int8,bf16": {true, true}, "bf16,int8": {true, true}} {
		if got, err := (Storage{Compute: text}).arithmetic(); err != nil || got != want {
			t.Errorf("--compute %q: %+v, %v; expected %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"f16", "f32,int8", "bf16,", "bf16,bf16", ","} {
		if a, err := (Storage{Compute: text}).arithmetic(); err == nil {
			t.Errorf("--compute %q: %+v, expected an error", text, a)
		}
	}
}
