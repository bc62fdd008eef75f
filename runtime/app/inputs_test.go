package app

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestLostPictures: a picture whose link leads nowhere, as in a folder of which only the links were copied, is not passed over.
func TestLostPictures(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"lost.jpg", "notes.txt"} {
		if err := os.Symlink("nowhere", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "there.jpg"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, input := range []string{dir, filepath.Join(dir, "*")} {
		got, err := listFiles(input)
		for i, name := range got {
			got[i] = filepath.Base(name)
		}
		if err != nil || !slices.Equal(got, []string{"lost.jpg", "there.jpg"}) {
			t.Errorf("%s: %q, %v", input, got, err)
		}
	}
}
