package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pgc/golden"
)

// TestRunCache damages what lies in the cache of pgc run: it is compiled anew, in a sentence, and the answer is right.
func TestRunCache(t *testing.T) {
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
	cached := filepath.Join(dir, "cache", "pgc")
	run := func() (int, string, string) {
		var stdout, stderr bytes.Buffer
		cmd := &exec.Cmd{Path: self, Args: []string{"pgc", "run", checkpoint, "tokenize", "caption en"}, Dir: dir, Stdout: &stdout, Stderr: &stderr,
			Env: append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))}
		cmd.Run()
		return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
	}
	code, want, stderr := run()
	if code != 0 || want == "" || stderr != "" {
		t.Fatalf("status %d, %q, %q", code, want, stderr)
	}
	found, err := filepath.Glob(filepath.Join(cached, "pg1-odd-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the cache holds %v, %v", found, err)
	}
	exe := found[0]
	good, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	again := func(what string, fresh bool) {
		t.Helper()
		code, got, stderr := run()
		notice := "the cached executable " + exe + " is compiled anew: "
		if code != 0 || got != want || fresh != strings.HasPrefix(stderr, notice) || !fresh && stderr != "" || strings.Count(stderr, "\n") > 1 {
			t.Errorf("%s: status %d, %q, %q; compiled anew is expected to be %v", what, code, got, stderr, fresh)
		}
		if now, err := os.ReadFile(exe); err != nil || !bytes.Equal(now, good) {
			t.Errorf("%s: the cache holds another executable (%v)", what, err)
		}
	}
	again("as it was", false)
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	middle := bytes.Clone(good)
	middle[len(middle)-len(middle)/20] ^= 1
	for what, data := range map[string][]byte{"empty": {}, "cut": good[:len(good)*2/3], "one bit of the runtime": flipped, "one bit behind it": middle, "a script": []byte("#!/bin/sh\necho no\n")} {
		if err := os.WriteFile(exe, data, 0o700); err != nil {
			t.Fatal(err)
		}
		again(what, true)
	}
	for _, mode := range []os.FileMode{0o600, 0o777} {
		if err := os.Chmod(exe, mode); err != nil {
			t.Fatal(err)
		}
		again(mode.String(), true)
	}
	if err := os.Chmod(cached, 0o777); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(); code != 1 || stderr != "pgc: the cache folder "+cached+" is not safe: others may write it (mode 0777), expected mode 0755\n" {
		t.Errorf("a folder that others may write: status %d, %q", code, stderr)
	}
}

// TestRunNamesSignal names the signal that ended the executable.
func TestRunNamesSignal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "killed")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nkill -SEGV $$\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := execute(t.Context(), path, nil); err == nil || err.Error() != path+" was ended by SIGSEGV (segmentation fault), expected it to exit" {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := execute(t.Context(), path, nil); err != exitStatus(3) {
		t.Errorf("error %v, expected exit status 3", err)
	}
}
