// Package signaltest interrupts programs for tests.
package signaltest

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Interrupted starts a program whose standard input and output stay open and unread, sends it INT, or TERM if term,
// while it waits, and expects that it ends at once with status 1 and says that it was interrupted.
func Interrupted(t *testing.T, term bool, path string, args ...string) {
	t.Helper()
	stdin, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	drain, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, f := range []*os.File{stdin, feed, drain, stdout} {
			f.Close()
		}
	}()
	var stderr bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(600 * time.Millisecond)
	start, signal := time.Now(), syscall.SIGINT
	if term {
		signal = syscall.SIGTERM
	}
	cmd.Process.Signal(signal)
	late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	err = cmd.Wait()
	late.Stop()
	if took := time.Since(start); cmd.ProcessState.ExitCode() != 1 || took > 5*time.Second || strings.Count(stderr.String(), "\n") != 1 ||
		!strings.HasSuffix(stderr.String(), ": interrupted\n") {
		t.Errorf("%q: %v after %v, it says %q, expected status 1 at once and interrupted", args, err, took, stderr.String())
	}
}
