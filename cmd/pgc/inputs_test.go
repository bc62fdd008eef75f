package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestEndlessInputs: what has no end, or only after a terabyte, is refused in a sentence before it fills the memory.
func TestEndlessInputs(t *testing.T) {
	dir := t.TempDir()
	sparse, endless := filepath.Join(dir, "sparse.json"), filepath.Join(dir, "endless.json")
	if err := os.WriteFile(sparse, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(sparse, 1<<40); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", endless); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"opt", "/dev/zero"}, {"size", sparse}, {"size", endless}, {"random", sparse, "-o", filepath.Join(dir, "new")},
		{"random", endless, "-o", filepath.Join(dir, "new")}, {"opt", sparse}, {"opt", endless},
		{"ptx", "run", sparse, "-o", filepath.Join(dir, "out")}, {"ptx", "run", endless, "-o", filepath.Join(dir, "out")},
	} {
		code, stderr := pgc(t, nil, args...)
		if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "expected at most") {
			t.Errorf("%q: status %d, %q, expected a sentence", args, code, stderr)
		}
	}
}

// TestGraphFromPipe reads a graph once from what can be read only once.
func TestGraphFromPipe(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	go os.WriteFile(fifo, []byte(addPGIR), 0)
	var stdout, stderr bytes.Buffer
	cmd := &exec.Cmd{Path: os.Args[0], Args: []string{"pgc", "opt", fifo}, Stdout: &stdout, Stderr: &stderr}
	if err := cmd.Run(); err != nil || !strings.HasPrefix(stdout.String(), "func @f(") {
		t.Errorf("%v, %q, %q, expected the graph", err, stdout.String(), stderr.String())
	}
}

// TestFlagsWithoutEffect refuses flags that change nothing beside the others.
func TestFlagsWithoutEffect(t *testing.T) {
	out := filepath.Join(t.TempDir(), "x")
	for line, want := range map[string]string{
		"--group 64":                "--group is given with --weights auto, expected int8 or int4, which have groups",
		"--group 64 --weights bf16": "--group is given with --weights bf16",
		"--search":                  "--search is given with --weights auto, expected int4, whose scales it looks for",
		"--search --weights int8":   "--search is given with --weights int8",
		"--emit-dir " + out:         "--emit-dir is given without --emit, expected both",
	} {
		code, stderr := pgc(t, nil, append([]string{"compile", "../../golden/pg1-odd", "-o", out}, strings.Fields(line)...)...)
		if code != 2 || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "pgc: "+want) {
			t.Errorf("%s: status %d, %q, expected 2, %s", line, code, stderr, want)
		}
	}
	// With a pattern whose matrices have groups they have an effect, so that the next thing that is wrong is told.
	code, stderr := pgc(t, nil, "compile", "none", "-o", out, "--search", "--group", "32", "--keep", "*=int4")
	if code != 1 || strings.Contains(stderr, "--search") || strings.Contains(stderr, "--group") {
		t.Errorf("status %d, %q", code, stderr)
	}
}
