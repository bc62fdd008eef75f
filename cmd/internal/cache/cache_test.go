package cache

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pgc/checkpoint/hf"
)

// write makes files of a folder by name and content.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T) *Folder {
	t.Helper()
	f, err := Open(filepath.Join(t.TempDir(), "deep", "cache"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestOpen makes a folder that is the user's alone and refuses one that others may write.
func TestOpen(t *testing.T) {
	f := open(t)
	if info, err := os.Stat(f.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v, %v, expected mode 0700", info, err)
	}
	for mode, want := range map[os.FileMode]string{0o755: "", 0o775: "(mode 0775), expected mode 0755", 0o702: "(mode 0702), expected mode 0700"} {
		if err := os.Chmod(f.dir, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Open(f.dir)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasSuffix(err.Error(), want) || !strings.Contains(err.Error(), f.dir)) {
			t.Errorf("mode %o: error %v, expected %q", mode, err, want)
		}
	}
	if os.Geteuid() == 0 {
		if err := errors.Join(os.Chmod(f.dir, 0o700), os.Chown(f.dir, 12345, -1)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(f.dir); err == nil || !strings.HasSuffix(err.Error(), "user 12345 owns it, expected user 0") {
			t.Errorf("another's folder: %v", err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, filepath.Dir(file), map[string]string{"file": ""})
	if _, err := Open(file); err == nil || err.Error() != "cannot make the cache folder "+file+": not a directory" {
		t.Errorf("a file: %v", err)
	}
}

// TestName: the name follows the content of what the compiler reads, whatever sizes and times say, and nothing else.
func TestName(t *testing.T) {
	f := open(t)
	dir := filepath.Join(t.TempDir(), "model $x")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"config.json": "{}", "model.safetensors": "weights 1", "tokenizer.json": "t", "notes.txt": "n"})
	compiler := filepath.Join(t.TempDir(), "pgc")
	write(t, filepath.Dir(compiler), map[string]string{"pgc": "compiler 1"})
	facts := []any{"v1", "x86-64-v3", []string{"avx2"}}
	name := func() string {
		t.Helper()
		n, err := f.Name(t.Context(), dir, hf.Options{}, []string{compiler}, facts...)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := name()
	if !strings.HasPrefix(first, "model__x-") {
		t.Errorf("the name is %s", first)
	}
	weights := filepath.Join(dir, "model.safetensors")
	info, err := os.Stat(weights)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond) // until the files are old enough to be remembered
	if again := name(); again != first || len(f.load().Sums) != 4 {
		t.Errorf("%s after %s; remembered %v, expected four files", again, first, f.load().Sums)
	}
	seen := map[string]string{first: "at first"}
	differs := func(what string) {
		t.Helper()
		n := name()
		if old, twice := seen[n]; twice {
			t.Errorf("%s: the name is that of %s", what, old)
		}
		seen[n] = what
	}
	write(t, dir, map[string]string{"model.safetensors": "weights 2"})
	if err := os.Chtimes(weights, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	differs("weights of the same size and time")
	write(t, dir, map[string]string{"LICENSE": "mine"})
	differs("a license")
	write(t, filepath.Dir(compiler), map[string]string{"pgc": "compiler 2"})
	differs("another compiler")
	facts[2] = []string{"avx2", "avx512f"}
	differs("another CPU")
	last := name()
	write(t, dir, map[string]string{"notes.txt": "changed"})
	if err := os.Chtimes(weights, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if name() != last {
		t.Error("the name depends on more than content")
	}
	if err := os.WriteFile(filepath.Join(f.dir, memoryFile), []byte("{damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if name() != last {
		t.Error("without the memory the name is another")
	}
}

// TestOddMemory: what lies in the place of the memory is neither followed, waited for nor an obstacle.
func TestOddMemory(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, filepath.Dir(outside), map[string]string{"outside": "mine"})
	for what, put := range map[string]func(path string) error{
		"a link":   func(path string) error { return os.Symlink(outside, path) },
		"a FIFO":   func(path string) error { return unix.Mkfifo(path, 0o600) },
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		f := open(t)
		if err := put(filepath.Join(f.dir, memoryFile)); err != nil {
			t.Fatal(err)
		}
		write(t, f.dir, map[string]string{"exe": ""})
		if err := f.update(func(m *memory) error { m.Used["exe"] = 7; return nil }); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if f.load().Used["exe"] != 7 {
			t.Errorf("%s: nothing is remembered", what)
		}
	}
	if data, err := os.ReadFile(outside); err != nil || string(data) != "mine" {
		t.Errorf("a link was followed: %q, %v", data, err)
	}
}

// TestTrim removes what was used longest ago, never what is asked for.
func TestTrim(t *testing.T) {
	f := open(t)
	f.Limit = 25
	m := f.load()
	for i, name := range []string{"kept", "c", "a", "b"} {
		write(t, f.dir, map[string]string{name: "0123456789"})
		at := time.Unix(1000, 0)
		if err := os.Chtimes(filepath.Join(f.dir, name), at, at); err != nil {
			t.Fatal(err)
		}
		m.Used[name] = int64(2000+i) * 1e9
	}
	if err := f.trim(m, "kept"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != "b" || entries[1].Name() != "kept" {
		t.Errorf("left are %v (%v), expected b and kept", entries, err)
	}
}
