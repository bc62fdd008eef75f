package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestSignals: INT and TERM end pgc where it reads what nobody writes, and within a pass.
func TestSignals(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pgc, fifo := filepath.Join(dir, "pgc"), filepath.Join(dir, "fifo.pgir")
	if err := os.Symlink(self, pgc); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, args := range [][]string{
		{"opt", fifo},
		{"opt", "-"},
		{"opt", "paligemma2-28b-896", "-p", "all", "-d", "check"},
		{"size", fifo},
	} {
		stdin, feed, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd := exec.Command(pgc, args...)
		cmd.Stdin, cmd.Stderr = stdin, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		start := time.Now()
		cmd.Process.Signal([]os.Signal{syscall.SIGINT, syscall.SIGTERM}[i%2])
		late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		err = cmd.Wait()
		late.Stop()
		if took := time.Since(start); cmd.ProcessState.ExitCode() != 1 || took > 5*time.Second || stderr.String() != "pgc: interrupted\n" {
			t.Errorf("%q: %v after %v, it says %q, expected status 1 at once and interrupted", args, err, took, stderr.String())
		}
		stdin.Close()
		feed.Close()
	}
}
