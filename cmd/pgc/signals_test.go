package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgc/golden"
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
		time.Sleep(600 * time.Millisecond)
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

// TestRunSignal interrupts pgc run while the executable waits for input: alone, and together with the executable, as a
// terminal does.
func TestRunSignal(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bin", "pgcrt-"+runtime.GOARCH), "pgc/cmd/pgcrt")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, msg)
	}
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := filepath.Abs(filepath.Join(golden.Dir(), "pg1-odd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, all := range []bool{false, true} {
		stdin, feed, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd := &exec.Cmd{Path: self, Args: []string{"pgc", "run", checkpoint, "--image", "-", "--prompt", ""}, Dir: dir, Stdin: stdin, Stderr: &stderr,
			Env: append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(dir, "cache")), SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for range 600 {
			if found, _ := filepath.Glob(filepath.Join(dir, "cache", "pgc", "pg1-odd-*")); len(found) > 0 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		pid := cmd.Process.Pid
		if all {
			pid = -pid
		}
		syscall.Kill(pid, syscall.SIGINT)
		err = cmd.Wait()
		if got := stderr.String(); cmd.ProcessState.ExitCode() != 1 || strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "pg1-odd-") || !strings.HasSuffix(got, ": interrupted\n") {
			t.Errorf("all %v: %v, it says %q, expected status 1 and that the executable was interrupted", all, err, got)
		}
		stdin.Close()
		feed.Close()
	}
}
