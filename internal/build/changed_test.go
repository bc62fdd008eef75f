package build

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgc/golden"
	"pgc/runtime/safetensors"
)

// TestChangedWhileCompiling cuts or writes the weights of a checkpoint while they are compiled: an error names the file,
// and nothing is left.
func TestChangedWhileCompiling(t *testing.T) {
	for what, change := range map[string]func(path string, size int64) error{
		"cut to a page": func(path string, _ int64) error { return os.Truncate(path, 4096) },
		"emptied":       func(path string, _ int64) error { return os.Truncate(path, 0) },
		"cut by a byte": func(path string, size int64) error { return os.Truncate(path, size-1) },
		"cut and filled": func(path string, size int64) error {
			return errors.Join(os.Truncate(path, size/2), os.Truncate(path, size))
		},
		"written": func(path string, size int64) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte("x"), size-1)
			return err
		},
	} {
		for _, stored := range []string{"auto", "int8"} {
			dir, folder := golden.Copy(t, "colpali-odd"), t.TempDir() // which has the fewest kernels
			out := filepath.Join(folder, "exe")
			if err := os.WriteFile(out, []byte("old"), 0o755); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "model.safetensors")
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Time{}, info.ModTime().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
			done := false
			o := Options{CPU: "x86-64-v3", Storage: Storage{Weights: stored, Group: 32}, Progress: func(_ string, _, _ int64) {
				if !done {
					done = true
					if err := change(path, info.Size()); err != nil {
						t.Error(err)
					}
				}
			}}
			_, err = Compile(t.Context(), dir, out, []byte("\x7fELF"), o)
			if want := path + " has changed while it was read, from "; err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s, %s: error %v, expected %q", what, stored, err, want)
			}
			entries, _ := os.ReadDir(folder)
			if old, err := os.ReadFile(out); len(entries) != 1 || !bytes.Equal(old, []byte("old")) {
				t.Errorf("%s, %s: %d files are left, the old one is %.20q (%v)", what, stored, len(entries), old, err)
			}
		}
	}
}

// TestAdapterChangedWhileCompiling is the same for an adapter's file.
func TestAdapterChangedWhileCompiling(t *testing.T) {
	from := golden.Adapters()[0]
	ref, err := safetensors.Open(filepath.Join(from, golden.AdapterReference))
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(golden.Dir(), ref.Metadata["base"])
	ref.Close()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "adapter_model.safetensors")
	o := Options{CPU: "x86-64-v3", MaxTokens: 311, Adapter: dir, Progress: func(string, int64, int64) {
		if err := os.Truncate(path, 4096); err != nil {
			t.Error(err)
		}
	}}
	out := filepath.Join(t.TempDir(), "exe")
	_, err = Compile(t.Context(), base, out, []byte("\x7fELF"), o)
	if want := path + " has changed while it was read, from "; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, expected %q", err, want)
	}
	if _, err := os.Lstat(out); err == nil {
		t.Error("an executable is left")
	}
}
