package commands

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"pgc/golden"
	"pgc/internal/e2e"
	"pgc/internal/signaltest"
)

// TestSignalsWhileBlocked: INT and TERM end an executable that waits for input or for a reader of its output, wherever
// that is.
func TestSignalsWhileBlocked(t *testing.T) {
	exe := e2e.Compiled(t, "pg2-mha")
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo") // nobody opens it
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	requests := filepath.Join(dir, "in.jsonl")
	line := `{"images":["` + fifo + `"],"prompt":""}` + "\n"
	if err := os.WriteFile(requests, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	noise := golden.Picture("noise.png")
	for i, args := range [][]string{
		{"batch", "--input", "-", "--output", "-"},
		{"batch", "--input", fifo, "--output", "-"},
		{"batch", "--input", requests, "--output", "-"},
		{"generate", "--image", "-", "--prompt", ""},
		{"generate", "--image", fifo, "--prompt", ""},
		{"generate", "--image", noise, "--prompt", "", "--draw", fifo},
		{"forward", "--image", fifo, "--prompt", "", "-o", filepath.Join(dir, "out")},
		{"forward", "--image", noise, "--prompt", "", "-o", fifo},
		{"tokenize", "--input", fifo},
	} {
		signaltest.Interrupted(t, i%2 == 1, exe, args...)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("files left: %v (%v)", entries, err)
	}
}
