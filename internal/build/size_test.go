package build

import (
	"encoding/json"
	"math"
	"path/filepath"
	"testing"

	"pgc/golden"
)

// TestMemory compares what info and Measure predict with what a run has resident.
func TestMemory(t *testing.T) {
	demo := filepath.Join(golden.Dir(), "../models/paligemma/demo")
	exe := filepath.Join(t.TempDir(), "demo")
	o := Options{CPU: "x86-64-v3", KV: "bf16", MaxTokens: 300}
	r, err := Compile(t.Context(), filepath.Join(demo, "paligemma2-demo"), exe, runtimeELF(t), o)
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		KV     string
		KVB    int64 `json:"kv_bytes"`
		Memory int64 `json:"memory_bytes"`
	}
	if err := json.Unmarshal(mustRun(t, exe, "info", "--json"), &info); err != nil {
		t.Fatal(err)
	}
	var ran struct {
		Tokens       []int
		PromptTokens int   `json:"prompt_tokens"`
		Peak         int64 `json:"peak_rss_bytes"`
	}
	out := mustRun(t, exe, "generate", "--json", "--image", filepath.Join(demo, "pictures/05-purple.png"), "--prompt", "caption en caption en caption en")
	if err := json.Unmarshal(out, &ran); err != nil {
		t.Fatal(err)
	}
	t.Logf("predicted %.2f MB, resident %.2f MB with %d tokens", float64(info.Memory)/1e6, float64(ran.Peak)/1e6, ran.PromptTokens+len(ran.Tokens))
	if e := math.Abs(float64(info.Memory)/float64(ran.Peak) - 1); e > .15 { // mostly 2 %; which pages of the program are mapped is the kernel's choice
		t.Errorf("the prediction is %.0f %% off", 100*e)
	}
	s, err := Measure(filepath.Join(demo, "paligemma2-demo"), o)
	if err != nil {
		t.Fatal(err)
	}
	if s.WeightBytes != r.WeightBytes || s.KVPerToken*300 != r.KVBytes || info.KVB != r.KVBytes || info.KV != "bf16" || s.ArenaBytes["prefill"] != r.ArenaBytes["prefill"] {
		t.Errorf("sizes %+v, the compilation reports %+v, info says %+v", s, r, info)
	}
}

// TestMeasure adds up models whose weights are not there.
func TestMeasure(t *testing.T) {
	for name, want := range map[string]struct {
		parameters int64 // and the padding of panels at most
		kv         int64
	}{"paligemma-3b-224": {2923466480, 36864}, "paligemma2-28b-896": {0, 753664}} {
		s, err := Measure(name, Options{CPU: "x86-64-v3"})
		if err != nil {
			t.Fatal(err)
		}
		if want.parameters != 0 && s.Parameters != want.parameters || s.KVPerToken != want.kv || s.WeightBytes < 2*s.Parameters || s.WeightBytes > 2*s.Parameters*1001/1000 ||
			s.Full.Total() <= s.One.Total() || s.One.Total() <= s.WeightBytes {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
