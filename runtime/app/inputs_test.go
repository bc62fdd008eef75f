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

// TestLinkedFolders: a folder of pictures may consist of links to folders, each of which is gone through once where they lead in a
// circle.
func TestLinkedFolders(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"all/cats/.hidden", "all/dogs/old", "set/birds"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"all/cats/1.jpg", "all/cats/.hidden/9.jpg", "all/dogs/old/2.png", "all/dogs/3.tar", "set/birds/4.jpg"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"set/cats": "../all/cats", "set/dogs": "../all/dogs", "set/birds/more": "../../all/cats", "all/dogs/old/up": "..", "all/dogs/self": ".",
		"set/lost": "nowhere", "set/.git": "../all", "start": "set"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, input := range []string{"set", "start"} {
		got, err := listFiles(filepath.Join(dir, input))
		for i, name := range got {
			got[i], _ = filepath.Rel(filepath.Join(dir, input), name)
		}
		if want := []string{"birds/4.jpg", "birds/more/1.jpg", "cats/1.jpg", "dogs/3.tar", "dogs/old/2.png"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", input, got, err, want)
		}
	}
}
