package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/program"
)

// TestDamagedExecutable: check and bench refuse damaged weights, unless they are asked not to look.
func TestDamagedExecutable(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	exe := filepath.Join(t.TempDir(), "exe")
	e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg2-mha"), []byte("\x7fELF"), build.Options{CPU: "x86-64-v3", MaxTokens: 311})
	image, err := program.OpenFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	w := image.Program.Weights[0]
	weights := slices.IndexFunc(image.Sections, func(s program.SectionInfo) bool { return s.Name == program.SectionWeights })
	at := image.Sections[weights].Offset + w.Offset
	image.Close()
	content, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	content[at] ^= 1 // the lowest bit of a float32: kernels and evaluator still agree
	if err := os.WriteFile(exe, content, 0o755); err != nil {
		t.Fatal(err)
	}
	want := "pgc: " + exe + ": section weights: tensor " + w.Name + " is damaged: copy the file anew from where it is whole, or compile it again\n"
	for _, command := range []string{"check", "bench"} {
		if code, stderr := pgc(t, nil, command, exe); code != 1 || stderr != want {
			t.Errorf("%s: status %d, %q, expected %q", command, code, stderr, want)
		}
	}
	if code, stderr := pgc(t, nil, "check", exe, "--no-verify"); code != 0 || strings.Contains(stderr, "damaged") {
		t.Errorf("check --no-verify: status %d, %q", code, stderr)
	}
}

// TestExecutableCut cuts an executable while its kernels run: whatever reads it, the end is a sentence and status 1.
func TestExecutableCut(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole")
	e2e.Build(t, whole, filepath.Join(golden.Dir(), "pg2-mha"), []byte("\x7fELF"), build.Options{CPU: "x86-64-v3", MaxTokens: 311})
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{200 * time.Millisecond, 600 * time.Millisecond} {
		exe := filepath.Join(t.TempDir(), "exe")
		if err := os.WriteFile(exe, content, 0o755); err != nil {
			t.Fatal(err)
		}
		cut := time.AfterFunc(after, func() { os.Truncate(exe, 4096) })
		code, stderr := pgc(t, nil, "bench", exe, "--new", "200", "--no-verify")
		if cut.Stop() {
			t.Errorf("it ended before the file was cut: status %d, %q", code, stderr)
		}
		if code != 1 || !strings.HasPrefix(stderr, "pgc: ") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("cut after %v: status %d, %q", after, code, stderr)
		}
	}
}
