package native

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMachineFiles reads a file of several reads, one that is missing, and a folder.
func TestMachineFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long")
	want := strings.Repeat("line\n", 3000)
	if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := fs.ReadFile(machine{}, path[1:]); err != nil || string(got) != want {
		t.Errorf("%d bytes (%v), expected %d", len(got), err, len(want))
	}
	if _, err := fs.ReadFile(machine{}, path[1:]+"er"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := fs.ReadFile(machine{}, filepath.Dir(path)[1:]); err == nil {
		t.Error("a folder was read")
	}
}
