package llctest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgc/codegen/llvm"
)

// counting is a store over a program that is run so often and echoes what it is given.
func counting(t *testing.T, dir string) (s *store, path string, runs *atomic.Int32) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "llc")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho LLVM version 17\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	runs = new(atomic.Int32)
	return &store{dir, func(_ context.Context, _ string, args []string, ir []byte) ([]byte, error) {
		runs.Add(1)
		return []byte(strings.Join(args, " ") + string(ir)), nil
	}}, path, runs
}

// Many that ask at once, of two processes, get the same from one run; another argument, text or program is another
// object.
func TestObjectsAreMadeOnce(t *testing.T) {
	dir := t.TempDir()
	a, path, runs := counting(t, dir)
	b := &store{dir, a.run}
	ask := func(s *store, path, arg, ir string) {
		t.Helper()
		out, err := s.get(t.Context(), path, []string{arg}, []byte(ir))
		if err != nil || string(out) != arg+ir {
			t.Errorf("%s of %s gave %q, %v", arg, ir, out, err)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		for _, s := range []*store{a, b} {
			wg.Go(func() { ask(s, path, "-O3", "x") })
		}
	}
	wg.Wait()
	if n := runs.Load(); n != 1 {
		t.Errorf("%d runs for one object", n)
	}
	_, other, _ := counting(t, dir)
	ask(a, path, "-O2", "x")
	ask(a, path, "-O3", "y")
	ask(a, other, "-O3", "x")
	if n := runs.Load(); n != 4 {
		t.Errorf("%d runs for four objects", n)
	}
}

func TestFailuresAreNotKept(t *testing.T) {
	s, path, _ := counting(t, t.TempDir())
	run, failed := s.run, errors.New("rejected")
	s.run = func(context.Context, string, []string, []byte) ([]byte, error) { return nil, failed }
	if _, err := s.get(t.Context(), path, nil, nil); err != failed {
		t.Errorf("got %v, expected %v", err, failed)
	}
	s.run = run
	if _, err := s.get(t.Context(), path, nil, nil); err != nil {
		t.Errorf("after a failure: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.get(ctx, path, nil, nil); err != context.Canceled {
		t.Errorf("canceled: got %v", err)
	}
}

func TestTidy(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	ages := map[string]time.Duration{"new": time.Hour, "old": maxAge + time.Hour, "lock-00": maxAge + time.Hour}
	for name, age := range ages {
		size := 9
		if name == "lock-00" { // holds nothing
			size = 0
		}
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (names []string) {
		if err := tidy(dir, now); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	if got := strings.Join(left(), " "); got != "lock-00 new" {
		t.Errorf("left are %s", got)
	}
	f, err := os.Create(filepath.Join(dir, "newer"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(maxBytes); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if got := strings.Join(left(), " "); got != "lock-00 newer" {
		t.Errorf("where the latest fill the room, left are %s", got)
	}
}

// A test that is alone runs llc itself.
func TestAlone(t *testing.T) {
	shared := llvm.Run
	t.Cleanup(func() { llvm.Run = shared })
	llvm.Run = func(context.Context, string, []string, []byte) ([]byte, error) { return []byte("kept"), nil }
	t.Run("alone", func(t *testing.T) {
		Alone(t)
		if out, err := llvm.Run(t.Context(), "echo", []string{"made"}, nil); err != nil || string(out) != "made\n" {
			t.Errorf("got %q, %v", out, err)
		}
	})
	if out, _ := llvm.Run(t.Context(), "", nil, nil); string(out) != "kept" {
		t.Errorf("afterwards: %q", out)
	}
}

// A program that is lent llc gets what this process made, and what llc says of itself and of errors.
func TestLend(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	restore, err := Lend()
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	path, err := exec.LookPath("llc")
	if err != nil {
		t.Fatal(err)
	}
	own := os.Getenv(lent)
	says, err := llvm.Exec(t.Context(), own, []string{"--version"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := llvm.Exec(t.Context(), path, []string{"--version"}, nil); err != nil || string(got) != string(says) {
		t.Errorf("the version is %q, %v, expected %q", got, err, says)
	}
	ir, args := []byte("define void @k() {\n  ret void\n}\n"), []string{"-filetype=asm", "-o", "-", "-"}
	first, err := llvm.Exec(t.Context(), path, args, ir)
	if err != nil || !strings.Contains(string(first), "k:") {
		t.Fatalf("got %q, %v", first, err)
	}
	kept := filepath.Join(os.TempDir(), fmt.Sprintf("pgc-objects-%d", os.Getuid()))
	v, err := version(own)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(kept, key(v, args, ir)), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := llvm.Exec(t.Context(), path, args, ir); err != nil || string(got) != "kept" {
		t.Errorf("the second time: %q, %v", got, err)
	}
	if _, err := llvm.Exec(t.Context(), path, args, []byte("?")); err == nil || !strings.Contains(err.Error(), "error") {
		t.Errorf("an error: %v", err)
	}
}
