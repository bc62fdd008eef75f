package models

import (
	"encoding/json"
	"math"
	"path/filepath"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
)

// TestMemory compares what info and Measure predict with what a run has resident.
func TestMemory(t *testing.T) {
	demo := filepath.Join(golden.Dir(), "../models/paligemma/demo")
	exe := filepath.Join(t.TempDir(), "demo")
	o := build.Options{CPU: "x86-64-v3", KV: "bf16", MaxTokens: 300}
	r := e2e.Build(t, exe, filepath.Join(demo, "paligemma2-demo"), e2e.Runtime(t), o)
	var info struct {
		KV     string
		KVB    int64 `json:"kv_bytes"`
		Memory int64 `json:"memory_bytes"`
	}
	if err := json.Unmarshal(e2e.MustRun(t, exe, "info", "--json"), &info); err != nil {
		t.Fatal(err)
	}
	var ran struct {
		Tokens       []int
		PromptTokens int   `json:"prompt_tokens"`
		Peak         int64 `json:"peak_rss_bytes"`
	}
	out := e2e.MustRun(t, exe, "generate", "--json", "--image", filepath.Join(demo, "pictures/05-purple.png"), "--prompt", "caption en caption en caption en")
	if err := json.Unmarshal(out, &ran); err != nil {
		t.Fatal(err)
	}
	t.Logf("predicted %.2f MB, resident %.2f MB with %d tokens", float64(info.Memory)/1e6, float64(ran.Peak)/1e6, ran.PromptTokens+len(ran.Tokens))
	if e := math.Abs(float64(info.Memory)/float64(ran.Peak) - 1); e > .15 { // mostly 2 %; which pages of the program are mapped is the kernel's choice
		t.Errorf("the prediction is %.0f %% off", 100*e)
	}
	s, err := build.Measure(filepath.Join(demo, "paligemma2-demo"), o)
	if err != nil {
		t.Fatal(err)
	}
	if s.WeightBytes != r.WeightBytes || s.KVPerToken*300 != r.KVBytes || info.KVB != r.KVBytes || info.KV != "bf16" || s.ArenaBytes["prefill"] != r.ArenaBytes["prefill"] {
		t.Errorf("sizes %+v, the compilation reports %+v, info says %+v", s, r, info)
	}
}
