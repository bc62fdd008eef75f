package png

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"
)

// TestCut reads a file that is cut behind its pixels, as Pillow does, and refuses one that is cut within.
func TestCut(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 3, 2))
	m.SetGray(2, 1, color.Gray{Y: 77})
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	file := b.Bytes()
	for _, cut := range []int{0, 1, 12} {
		got, err := Decode(t.Context(), file[:len(file)-cut])
		if err != nil {
			t.Errorf("%d bytes less: %v", cut, err)
		} else if last := got.Pix[len(got.Pix)-1]; last != 77 {
			t.Errorf("%d bytes less: the last sample is %d, want 77", cut, last)
		}
	}
	for _, cut := range []int{13, 20} {
		if _, err := Decode(t.Context(), file[:len(file)-cut]); err == nil {
			t.Errorf("%d bytes less: no error", cut)
		}
	}
}
