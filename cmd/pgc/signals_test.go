package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgc/internal/signaltest"
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
		signaltest.Interrupted(t, i%2 == 1, pgc, args...)
	}
}

// runs reports whether a process runs a program of a folder.
func runs(folder string) bool {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	return slices.ContainsFunc(links, func(link string) bool {
		program, err := os.Readlink(link)
		return err == nil && filepath.Dir(program) == folder
	})
}

// TestRunSignal interrupts pgc run while the executable waits for input: alone, and together with the executable, as a
// terminal does.
func TestRunSignal(t *testing.T) {
	r := newRunner(t)
	for _, all := range []bool{false, true} {
		stdin, feed, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd := r.command("--image", "-", "--prompt", "")
		cmd.Stdin, cmd.Stderr, cmd.SysProcAttr = stdin, &stderr, &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < 600 && !runs(r.cache()); n++ {
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
