package imageio

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"pgc/runtime/draw"
	"pgc/runtime/rgb"
)

// noise fills an image from a linear congruential generator.
func noise(w, h int, seed uint32) *rgb.Image {
	p := rgb.New(w, h)
	for i := range p.Pix {
		seed = seed*1664525 + 1013904223
		p.Pix[i] = byte(seed >> 24)
	}
	return p
}

func TestWritePNG(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.png")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := draw.Objects(noise(40, 30, 7), []draw.Object{{Label: "cat", X0: 3, Y0: 4, X1: 30, Y1: 20}})
	if err := WritePNG(path, m); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	back, err := png.Decode(bytes.NewReader(data))
	if err != nil || !bytes.Equal(rgb.FromImage(back).Pix, rgb.FromImage(m).Pix) {
		t.Errorf("what was written reads as another picture (%v)", err)
	}
	for _, bad := range []string{filepath.Join(dir, "none", "out.png"), dir, "/dev/full"} {
		err := WritePNG(bad, m)
		sentence(t, bad, err)
	}
	if err := WritePNG(os.DevNull, m); err != nil {
		t.Errorf("writing to the null device: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, expected out.png alone", entries)
	}
}

// TestWriteFails fails after the temporary file was made: the old file stays and nothing else does.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.png")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	limitFileSize(t, 100)
	err := WritePNG(path, draw.Objects(noise(64, 64, 1), nil))
	sentence(t, path, err, "file too large")
	entries, _ := os.ReadDir(dir)
	if data, _ := os.ReadFile(path); string(data) != "old" || len(entries) != 1 {
		t.Errorf("after the failure the folder holds %v and the file %q", entries, data)
	}
}
