package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/safetensors"
)

// TestEmulateRefuses: an executable without code for GPUs does not run on the processor instead, and flags of the other
// form are refused.
func TestEmulateRefuses(t *testing.T) {
	dir := t.TempDir()
	exe, out := filepath.Join(dir, "exe"), filepath.Join(dir, "counts.json")
	e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg1-odd"), []byte("\x7fELF"), build.Options{CPU: "x86-64-v3", MaxTokens: 311})
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{exe, "info"}, 1, "pgc: " + exe + " has no code for GPUs: compile it with --target cuda or cpu,cuda\n"},
		{[]string{"--layers", "1", exe, "info"}, 2, "pgc: --layers is given without --shape, expected both\n"},
	} {
		code, stderr := pgc(t, nil, append([]string{"emulate", "--counts", out}, c.args...)...)
		if code != c.status || !strings.HasPrefix(stderr, c.want) {
			t.Errorf("%q: status %d, %q, expected %d, %q", c.args, code, stderr, c.status, c.want)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("counts were written")
	}
}

// TestEmulateCommands runs every command of executables for GPUs in the emulator.
func TestEmulateCommands(t *testing.T) {
	dir := t.TempDir()
	noise, shapes := filepath.Join(golden.Dir(), "pictures", "noise.png"), filepath.Join(golden.Dir(), "pictures", "shapes.png")
	exes := map[string]string{}
	for _, name := range []string{"pg1-odd", "colpali-odd"} {
		exes[name] = filepath.Join(dir, name)
		e2e.Build(t, exes[name], filepath.Join(golden.Dir(), name), []byte("\x7fELF"), build.Options{Target: "cuda", MaxTokens: 311})
	}
	emulated := func(model string, args ...string) string {
		t.Helper()
		stdout, err := os.CreateTemp(dir, "stdout")
		if err != nil {
			t.Fatal(err)
		}
		defer stdout.Close()
		if code, stderr := pgc(t, stdout, append([]string{"emulate", exes[model]}, args...)...); code != 0 || stderr != "" && !(strings.HasPrefix(stderr, "warning: ") && strings.Contains(stderr, "the answer was cut at 3 tokens")) {
			t.Errorf("%s %q: status %d, %q", model, args, code, stderr)
		}
		text, err := os.ReadFile(stdout.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	tokensOf := func(line string) string {
		var answer struct{ Tokens []int32 }
		if err := json.Unmarshal([]byte(line), &answer); err != nil || len(answer.Tokens) != 3 {
			t.Errorf("%q: %v, expected 3 tokens", line, err)
		}
		return fmt.Sprint(answer.Tokens)
	}
	if text := emulated("pg1-odd", "tokenize", "caption en"); !strings.HasPrefix(text, "[") {
		t.Errorf("tokenize: %q", text)
	}
	if text := emulated("pg1-odd", "info"); !strings.Contains(text, "\nGPU memory   ") || !strings.Contains(text, "\ndevice       cuda:0, an emulated GPU") {
		t.Errorf("info: %q", text)
	}
	settings := []string{"--max-new-tokens", "3", "--prompt", "caption en", "--json"}
	one := tokensOf(emulated("pg1-odd", append([]string{"generate", "--image", noise}, settings...)...))
	two := tokensOf(emulated("pg1-odd", append([]string{"generate", "--image", shapes}, settings...)...))
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	var requests strings.Builder
	for i, picture := range []string{noise, shapes, noise} {
		fmt.Fprintf(&requests, `{"id": "%d", "images": [%q], "prompt": "caption en", "max_new_tokens": 3}`+"\n", i, picture)
	}
	if err := os.WriteFile(in, []byte(requests.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	emulated("pg1-odd", "batch", "--input", in, "--output", out)
	lines, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(lines)), "\n") {
		if got, want := tokensOf(line), []string{one, two, one}[i]; got != want {
			t.Errorf("line %d of the batch: %s, alone %s", i, got, want)
		}
	}
	for _, args := range [][]string{{"pg1-odd", "forward", "--image", noise, "--prompt", "caption en", "--suffix", "cat"}, {"colpali-odd", "embed", noise},
		{"colpali-odd", "embed", "--query", "caption en"}} {
		path := filepath.Join(dir, "out.safetensors")
		emulated(args[0], append(args[1:], "-o", path)...)
		if f, err := safetensors.Open(path); err != nil || len(f.Names()) == 0 {
			t.Errorf("%q: %v", args, err)
		} else {
			f.Close()
		}
	}
	if text := emulated("colpali-odd", "rank", "--query", "caption en", noise, shapes); strings.Count(text, "\n") != 2 || !strings.Contains(text, noise) {
		t.Errorf("rank: %q", text)
	}
}

// TestBenchRefuses: what cannot be timed is refused in a sentence that names what can.
func TestBenchRefuses(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "exe")
	e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg1-odd"), []byte("\x7fELF"), build.Options{Target: "cuda", MaxTokens: 311})
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"paligemma-3b-224"}, 2, "pgc: paligemma-3b-224 has no weights: expected --device cuda, which times its kernels without, or --ablate"},
		{[]string{exe, "--device", "gpu"}, 2, "pgc: --device gpu is not known: expected cpu, cuda, a GPU by its number such as cuda:1, or emulated"},
		{[]string{exe, "--device", "emulated", "--roofline", "a.svg"}, 2, "pgc: --roofline a.svg: the limits of a GPU are not measured, expected --device cpu"},
		{[]string{exe, "--device", "cpu", "--text", "3", "--new", "1"}, 1, "pgc: " + exe + ": its code for sm_80 does not run here"},
		{[]string{exe, "--counts"}, 2, "pgc: --counts is given without --ablate: expected both"},
		{[]string{exe, "--layers", "1"}, 2, "pgc: --layers is given without --ablate, or --device cuda and a released size: expected either"},
	} {
		if code, stderr := pgc(t, nil, append([]string{"bench", "--no-verify"}, c.args...)...); code != c.status || !strings.HasPrefix(stderr, c.want) {
			t.Errorf("%q: status %d, %q, expected %d, %q", c.args, code, stderr, c.status, c.want)
		}
	}
}

// TestBenchCounts: without a machine to time on, what passes buy is counted for the target that is named.
func TestBenchCounts(t *testing.T) {
	for target, rows := range map[string]string{"cpu": "| join-products |", "cuda": "| fuse-rows-prologue |"} {
		stdout, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
		if err != nil {
			t.Fatal(err)
		}
		if code, stderr := pgc(t, stdout, "bench", "--ablate", filepath.Join(golden.Dir(), "pg1-odd", "config.json"), "--counts", "--target", target, "--text", "3"); code != 0 {
			t.Fatalf("--target %s: status %d, %s", target, code, stderr)
		}
		out, err := os.ReadFile(stdout.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"| nothing |", "| every optional pass |", rows, "/ a step of a batch\n\n| without | kernels | MB moved | arena MB |\n"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("--target %s: expected %q in\n%s", target, want, out)
			}
		}
	}
}
