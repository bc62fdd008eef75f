package draw

import (
	"bytes"
	"compress/gzip"
	"flag"
	"os"
	"testing"

	"golang.org/x/image/font/gofont/gobold"
)

var update = flag.Bool("update", false, "write gobold.ttf.gz anew")

// TestFont compares the compressed font with the one of golang.org/x/image.
func TestFont(t *testing.T) {
	if *update {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		z.Write(gobold.TTF)
		z.Close()
		if err := os.WriteFile("gobold.ttf.gz", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		compressed = b.Bytes()
	}
	if got, err := ttf(); err != nil || !bytes.Equal(got, gobold.TTF) {
		t.Errorf("the font has %d bytes (%v), expected the %d of gobold; -update writes it", len(got), err, len(gobold.TTF))
	}
}
