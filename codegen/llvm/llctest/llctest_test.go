package llctest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgc/codegen/internal/link"
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
	ages := map[string]time.Duration{"new": time.Hour, "old": maxAge + time.Hour, "locks": maxAge + time.Hour}
	for name, age := range ages {
		size := 9
		if name == "locks" { // holds nothing
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
		if err := tidy(dir, maxBytes, now); err != nil {
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
	if got := strings.Join(left(), " "); got != "locks new" {
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
	if got := strings.Join(left(), " "); got != "locks newer" {
		t.Errorf("where the latest fill the room, left are %s", got)
	}
}

// TestTidySometimes: the folder is tidied once an hour.
func TestTidySometimes(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	old := filepath.Join(dir, "old")
	tidied := func(at time.Time) bool {
		if err := errors.Join(os.WriteFile(old, make([]byte, 9), 0o600), os.Chtimes(old, now.Add(-2*maxAge), now.Add(-2*maxAge)), tidySometimes(dir, at)); err != nil {
			t.Fatal(err)
		}
		_, err := os.Stat(old)
		return err != nil
	}
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {tidyAfter / 2, false}, {tidyAfter + time.Second, true}, {tidyAfter + time.Minute, false}, {0, true} /* the clock went back */} {
		if got := tidied(now.Add(c.after)); got != c.want {
			t.Errorf("%v after the first time: tidied %v", c.after, got)
		}
	}
}

// What is kept is made once for a key, by whoever asks; failures and damage are not kept.
func TestKept(t *testing.T) {
	was := folder
	folder = t.TempDir()
	t.Cleanup(func() { folder = was })
	runs := 0
	ask := func(key, want string, fails error) {
		t.Helper()
		got, err := Kept([]byte(key), func() ([]byte, error) {
			runs++
			return []byte(want), fails
		})
		if err != fails || err == nil && string(got) != want {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	failed := errors.New("failed")
	ask("a", "", failed)
	for range 2 {
		ask("a", "A", nil)
		ask("b", "B", nil)
	}
	if runs != 3 {
		t.Errorf("made %d times, expected 3", runs)
	}
	files, err := filepath.Glob(filepath.Join(folder, "kept", "????????????????*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("kept are %v, %v", files, err)
	}
	for _, f := range files {
		if err := os.WriteFile(f, make([]byte, 40), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ask("a", "A", nil)
	for _, version := range []string{"1", "22", "22"} { // of another program, what is kept is that of its version
		path := filepath.Join(t.TempDir(), "tool")
		if version == "22" {
			path = filepath.Join(folder, "tool")
		}
		if _, err := os.Stat(path); err != nil {
			if err := os.WriteFile(path, []byte("#!/bin/sh\necho "+version+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		got, err := KeptOf(path, []byte("a"), func() ([]byte, error) {
			runs++
			return []byte(version), nil
		})
		if err != nil || string(got) != version {
			t.Errorf("of a program of version %s: %q, %v", version, got, err)
		}
	}
	folder = "off"
	ask("a", "A", nil)
	if runs != 7 {
		t.Errorf("made %d times, expected 7", runs)
	}
}

// A test that is alone runs llc itself.
func TestAlone(t *testing.T) {
	shared, functions := llvm.Run, llvm.RunFunctions
	t.Cleanup(func() { llvm.Run, llvm.RunFunctions = shared, functions })
	kept := [][]byte{[]byte("kept")}
	llvm.Run = func(context.Context, string, []string, []byte) ([]byte, error) { return kept[0], nil }
	llvm.RunFunctions = func(context.Context, string, []string, []llvm.Function) ([][]byte, error) { return kept, nil }
	t.Run("alone", func(t *testing.T) {
		Alone(t)
		if out, err := llvm.Run(t.Context(), "echo", []string{"made"}, nil); err != nil || string(out) != "made\n" {
			t.Errorf("got %q, %v", out, err)
		}
		out, err := llvm.RunFunctions(t.Context(), "cat", []string{"-"}, []llvm.Function{{Text: []byte("made")}})
		if err != nil || len(out) != 1 || string(out[0]) != "made\n" {
			t.Errorf("of functions: got %q, %v", out, err)
		}
	})
	if out, _ := llvm.Run(t.Context(), "", nil, nil); string(out) != "kept" {
		t.Errorf("afterwards: %q", out)
	}
	if out, _ := llvm.RunFunctions(t.Context(), "", nil, nil); len(out) != 1 {
		t.Errorf("of functions, afterwards: %q", out)
	}
}

// A program that is lent llc gets what this process made, and what llc says of itself and of errors.
func TestLend(t *testing.T) {
	was := folder
	folder = t.TempDir()
	t.Cleanup(func() { folder = was })
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
	v, err := version(own)
	if err != nil {
		t.Fatal(err)
	}
	if err := (&store{dir: folder}).write(key(v, args, ir), []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if got, err := llvm.Exec(t.Context(), path, args, ir); err != nil || string(got) != "kept" {
		t.Errorf("the second time: %q, %v", got, err)
	}
	if _, err := llvm.Exec(t.Context(), path, args, []byte("?")); err == nil || !strings.Contains(err.Error(), "error") {
		t.Errorf("an error: %v", err)
	}
}

// What was damaged is made anew.
func TestDamagedObjects(t *testing.T) {
	dir := t.TempDir()
	s, path, runs := counting(t, dir)
	for n := int32(1); n < 4; n++ {
		if out, err := s.get(t.Context(), path, nil, []byte("x")); err != nil || string(out) != "x" || runs.Load() != n {
			t.Fatalf("got %q, %v after %d runs, expected %d", out, err, runs.Load(), n)
		}
		names, err := filepath.Glob(filepath.Join(dir, strings.Repeat("?", 64)))
		if err != nil || len(names) != 1 {
			t.Fatalf("kept are %v, %v", names, err)
		}
		data, err := os.ReadFile(names[0])
		if err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			data[0] ^= 1
		} else {
			data = data[:len(data)-1]
		}
		if err := os.WriteFile(names[0], data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Functions are compiled once each, whatever others they are asked for with, also by many at once, and are what llc makes
// of them together: the blob that is linked from them is the same.
func TestFunctionsAreCompiledOnce(t *testing.T) {
	path, err := llvm.FindLLC()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-O3", "-filetype=obj", "-relocation-model=pic", "-function-sections", "-mtriple=x86_64-linux-gnu", "-mcpu=x86-64-v3", "-o", "-", "-"}
	var fs []llvm.Function
	for i := range 40 {
		fs = append(fs, llvm.Function{Symbol: fmt.Sprint("f", i), Externs: []string{"declare <8 x float> @llvm.fabs.v8f32(<8 x float>)\n"}, Text: fmt.Appendf(nil, `define void @f%d(<8 x float>* %%p) {
  %%v = load <8 x float>, <8 x float>* %%p
  %%a = call <8 x float> @llvm.fabs.v8f32(<8 x float> %%v)
  %%w = fadd <8 x float> %%a, <float %d.0, float 2.0, float 3.0, float 4.0, float 5.0, float 6.0, float 7.0, float 8.0>
  store <8 x float> %%w, <8 x float>* %%p
  ret void
}
`, i, i%7)})
	}
	var compiled atomic.Int32
	s := &store{t.TempDir(), func(ctx context.Context, path string, args []string, ir []byte) ([]byte, error) {
		compiled.Add(int32(strings.Count(string(ir), "define ")))
		return llvm.Exec(ctx, path, args, ir)
	}}
	ask := func(fs []llvm.Function) [][]byte {
		objs, err := s.functions(t.Context(), path, args, fs)
		if err != nil {
			t.Error(err)
		}
		return objs
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { ask(fs[5*i : 5*i+20]) })
	}
	wg.Wait()
	kept := ask(fs)
	if n := compiled.Load(); n != 40 || len(kept) != 40 {
		t.Fatalf("%d functions were compiled and %d objects given, expected 40", n, len(kept))
	}
	made, err := llvm.ExecFunctions(t.Context(), path, args, fs)
	if err != nil {
		t.Fatal(err)
	}
	blob := func(objs [][]byte) []byte {
		image, err := link.Link(objs)
		if err != nil {
			t.Fatal(err)
		}
		return image.Code
	}
	if !bytes.Equal(blob(kept), blob(made)) {
		t.Error("what is kept differs from what llc makes of all")
	}
	whole := slices.Concat(args, []string{"-mattr=+avx512f"})
	if objs, err := s.functions(t.Context(), path, whole, fs); err != nil || len(objs) != len(made) || compiled.Load() != 40 {
		t.Errorf("with constants of 64 bytes: %d objects, %v, %d functions compiled by the store", len(objs), err, compiled.Load())
	}
	bad := []llvm.Function{{Symbol: "bad", Text: []byte("define void @bad() { ret i32 1 }\n")}, fs[0]}
	if _, err := s.functions(t.Context(), path, args, bad); err == nil {
		t.Error("what llc rejects was given")
	}
}
