package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/runtime/program"
)

// TestDamagedExecutable: check and bench refuse damaged weights, unless they are asked not to look.
func TestDamagedExecutable(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	exe := filepath.Join(t.TempDir(), "exe")
	if _, err := build.Compile(t.Context(), filepath.Join(golden.Dir(), "pg2-mha"), exe, []byte("\x7fELF"), build.Options{CPU: "x86-64-v3", MaxTokens: 311}); err != nil {
		t.Fatal(err)
	}
	image, err := program.OpenFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	w := image.Program.Weights[0]
	at := image.Sections[1].Offset + w.Offset
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
