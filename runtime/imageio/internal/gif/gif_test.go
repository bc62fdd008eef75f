package gif

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"testing"
)

// TestBeyond decodes a frame that reaches beyond the canvas of the header: as in Pillow the canvas grows by what it lacks.
func TestBeyond(t *testing.T) {
	palette := color.Palette{color.RGBA{10, 20, 30, 255}, color.RGBA{200, 100, 50, 255}}
	for _, c := range []struct{ frame, header, want image.Rectangle }{
		{image.Rect(0, 0, 5, 4), image.Rect(0, 0, 5, 4), image.Rect(0, 0, 5, 4)},
		{image.Rect(0, 0, 5, 4), image.Rect(0, 0, 3, 2), image.Rect(0, 0, 5, 4)},
		{image.Rect(7, 3, 12, 7), image.Rect(0, 0, 10, 8), image.Rect(0, 0, 12, 8)},
		{image.Rect(2, 1, 4, 9), image.Rect(0, 0, 10, 8), image.Rect(0, 0, 10, 9)},
		{image.Rect(1, 1, 3, 3), image.Rect(0, 0, 10, 8), image.Rect(0, 0, 10, 8)},
	} {
		m := image.NewPaletted(c.frame, palette)
		for i := range m.Pix {
			m.Pix[i] = 1
		}
		var b bytes.Buffer
		all := &gif.GIF{Image: []*image.Paletted{m, m}, Delay: []int{1, 1}, Config: image.Config{ColorModel: palette, Width: 20, Height: 20}}
		if err := gif.EncodeAll(&b, all); err != nil {
			t.Fatal(err)
		}
		data := b.Bytes()
		data[canvasAt], data[canvasAt+2] = byte(c.header.Max.X), byte(c.header.Max.Y)
		if size, err := Size(data); size != c.want.Max || err != nil {
			t.Errorf("%v on %v: size %v, expected %v, error %v", c.frame, c.header, size, c.want.Max, err)
		}
		got, err := Decode(t.Context(), data)
		if err != nil {
			t.Fatal(err)
		}
		for y := range c.want.Max.Y {
			for x := range c.want.Max.X {
				want := palette[0]
				if image.Pt(x, y).In(c.frame) {
					want = palette[1]
				}
				r, g, bl, _ := want.RGBA()
				if p := got.Pix[3*(y*got.Width+x):]; p[0] != byte(r>>8) || p[1] != byte(g>>8) || p[2] != byte(bl>>8) {
					t.Fatalf("%v on %v: pixel %d, %d is %v", c.frame, c.header, x, y, p[:3])
				}
			}
		}
	}
}
