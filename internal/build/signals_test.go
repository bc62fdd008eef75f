package build

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSignalsWhileBlocked: INT and TERM end an executable that waits for input or for a reader of its output, wherever
// that is.
func TestSignalsWhileBlocked(t *testing.T) {
	exe := compiled(t, "pg2-mha")
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
	noise := picturePath("noise.png")
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
		// Both of its pipes stay open, and nobody reads the second.
		stdin, feed, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		drain, stdout, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, args...)
		var stderr bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(600 * time.Millisecond)
		start := time.Now()
		cmd.Process.Signal([]os.Signal{syscall.SIGINT, syscall.SIGTERM}[i%2])
		late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		err = cmd.Wait()
		late.Stop()
		if took := time.Since(start); cmd.ProcessState.ExitCode() != 1 || took > 5*time.Second || !strings.HasSuffix(stderr.String(), ": interrupted\n") {
			t.Errorf("%q: %v after %v, it says %q, expected status 1 at once and interrupted", args, err, took, stderr.String())
		}
		for _, f := range []*os.File{stdin, feed, drain, stdout} {
			f.Close()
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("files left: %v (%v)", entries, err)
	}
}
