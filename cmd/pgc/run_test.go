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
	"pgc/internal/e2e"
)

// putRuntime puts the runtime into a folder, where pgc beside it finds it.
func putRuntime(t *testing.T, bin string) {
	t.Helper()
	elf, err := e2e.Runtime(t), os.MkdirAll(bin, 0o777)
	if err == nil {
		err = os.WriteFile(filepath.Join(bin, "pgcrt-"+runtime.GOARCH), elf, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// runner runs pgc run of a golden checkpoint in a folder of its own, which has the runtime.
type runner struct{ self, checkpoint, dir string }

func newRunner(t *testing.T) runner {
	t.Helper()
	r := runner{dir: t.TempDir()}
	putRuntime(t, filepath.Join(r.dir, "bin"))
	var err error
	if r.self, err = filepath.Abs(os.Args[0]); err != nil {
		t.Fatal(err)
	}
	if r.checkpoint, err = filepath.Abs(filepath.Join(golden.Dir(), "pg1-odd")); err != nil {
		t.Fatal(err)
	}
	return r
}

// cache is the folder of the executables.
func (r runner) cache() string { return filepath.Join(r.dir, "cache", "pgc") }

// command is pgc run with the executable's arguments.
func (r runner) command(args ...string) *exec.Cmd {
	return &exec.Cmd{Path: r.self, Args: append([]string{"pgc", "run", r.checkpoint}, args...), Dir: r.dir,
		Env: append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(r.dir, "cache"))}
}

// TestRunCache damages what lies in the cache of pgc run: it is compiled anew, in a sentence, and the answer is right.
func TestRunCache(t *testing.T) {
	r := newRunner(t)
	r.checkpoint = filepath.Join(filepath.Dir(r.checkpoint), "colpali-odd") // which has the fewest kernels
	cached := r.cache()
	run := func() (int, string, string) {
		var stdout, stderr bytes.Buffer
		cmd := r.command("tokenize", "caption en")
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.Run()
		return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
	}
	code, want, stderr := run()
	if code != 0 || want == "" || stderr != "" {
		t.Fatalf("status %d, %q, %q", code, want, stderr)
	}
	found, err := filepath.Glob(filepath.Join(cached, "colpali-odd-*"))
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
