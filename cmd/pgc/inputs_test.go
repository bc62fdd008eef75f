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

// TestFlagsWithoutEffect notes flags that change nothing beside the others.
func TestFlagsWithoutEffect(t *testing.T) {
	for line, want := range map[string]string{
		"--group 64":                        "--group has no effect with --weights auto: int8 and int4 have groups",
		"--group 64 --weights bf16":         "--group has no effect with --weights bf16: int8 and int4 have groups",
		"--search":                          "--search has no effect with --weights auto: it looks for the scales of int4",
		"--search --weights int8":           "--search has no effect with --weights int8: it looks for the scales of int4",
		"--emit-dir here":                   "--emit-dir has no effect without --emit",
		"--search --group 32 --keep *=int4": "",
		"--group 32 --weights int8":         "",
	} {
		code, stderr := pgc(t, nil, append([]string{"compile", "none", "-o", filepath.Join(t.TempDir(), "x")}, strings.Fields(line)...)...)
		noted, _, _ := strings.Cut(stderr, "\n")
		if code != 1 || want != "" && noted != "pgc: note: "+want || want == "" && strings.Contains(stderr, "note") {
			t.Errorf("%s: status %d, %q, expected the note %q and that there is no checkpoint", line, code, stderr, want)
		}
	}
}
