package models

import (
	"encoding/json"
	"math"
	"path/filepath"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/generate"
	"pgc/runtime/manifest"
	"pgc/runtime/native"
	"pgc/runtime/program"
)

// estimated is what a run of an executable takes where no spare thread computes, and what spare ones add.
func estimated(t *testing.T, exe string) (plain, spare int64) {
	image, err := program.OpenFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	m, err := manifest.Decode(image.Program.Model)
	if err != nil {
		t.Fatal(err)
	}
	mapped := image.Program.UnpackedBytes()
	if mapped > 0 {
		t.Errorf("%d bytes of code are unpacked, expected code that runs as it lies in a file without adapters", mapped)
	}
	for _, s := range image.Sections {
		if s.Name != program.SectionRuntime && s.Name != program.SectionWeights {
			mapped += s.Bytes
		}
	}
	n := min(m.ImageTokens+32, m.MaxTokens)
	p := image.Program
	threads := native.DefaultThreads()
	return generate.Needs(p, m, mapped, threads, n, n).Total(), p.ScratchBytes * int64(native.MostThreads(threads)-threads)
}

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
	plain, spare := estimated(t, exe)
	t.Logf("predicted %.2f MB, %.2f MB of them of spare threads, resident %.2f MB with %d tokens", float64(info.Memory)/1e6, float64(spare)/1e6, float64(ran.Peak)/1e6, ran.PromptTokens+len(ran.Tokens))
	if e := math.Abs(float64(plain)/float64(ran.Peak) - 1); e > .15 { // mostly 2 %; which pages of the program are mapped is the kernel's choice
		t.Errorf("the prediction is %.0f %% off", 100*e)
	}
	if info.Memory != plain+spare {
		t.Errorf("info predicts %d bytes, expected %d and %d of spare threads", info.Memory, plain, spare)
	}
	s, err := build.Measure(filepath.Join(demo, "paligemma2-demo"), o)
	if err != nil {
		t.Fatal(err)
	}
	if s.WeightBytes != r.WeightBytes || s.KVPerToken*300 != r.KVBytes || info.KVB != r.KVBytes || info.KV != "bf16" || s.ArenaBytes["prefill"] != r.ArenaBytes["prefill"] {
		t.Errorf("sizes %+v, the compilation reports %+v, info says %+v", s, r, info)
	}
}
