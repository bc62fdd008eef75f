package draw

import (
	"bytes"
	"compress/gzip"
	"flag"
	"os"
	"testing"

	"golang.org/x/image/font/gofont/gobold"
)

var update = flag.Bool("update", false, "write fonts/gobold.ttf.gz anew")

// TestFont compares the compressed font with the one of golang.org/x/image.
func TestFont(t *testing.T) {
	if *update {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		z.Write(gobold.TTF)
		z.Close()
		if err := os.WriteFile("fonts/gobold.ttf.gz", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		typefaces[0].compressed = b.Bytes()
	}
	if got, err := typefaces[0].ttf(); err != nil || !bytes.Equal(got, gobold.TTF) {
		t.Errorf("the font has %d bytes (%v), expected the %d of gobold; -update writes it", len(got), err, len(gobold.TTF))
	}
}
