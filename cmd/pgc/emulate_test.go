package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
)

// TestEmulateRefuses: an executable without code for GPUs does not run on the processor instead, and flags of the other
// form are refused.
func TestEmulateRefuses(t *testing.T) {
	dir := t.TempDir()
	exe, out := filepath.Join(dir, "exe"), filepath.Join(dir, "counts.json")
	if _, err := build.Compile(t.Context(), filepath.Join(golden.Dir(), "pg1-odd"), exe, []byte("\x7fELF"), build.Options{CPU: "x86-64-v3", MaxTokens: 311}); err != nil {
		t.Fatal(err)
	}
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
