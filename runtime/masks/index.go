package masks

import (
	"fmt"
	"image"
	"image/color"
)

// MaxIndex is the highest index of a picture with a palette.
const MaxIndex = 255

// NewIndex returns a w×h picture of indices for n objects, 0 everywhere. Colors are those of PASCAL VOC. Errors are about more
// than 255 objects.
func NewIndex(n, w, h int) (*image.Paletted, error) {
	if n > MaxIndex {
		return nil, fmt.Errorf("a picture of indices holds at most %d objects, these are %d: ask for fewer, or for a picture each", MaxIndex, n)
	}
	palette := make(color.Palette, MaxIndex+1)
	for i := range palette {
		palette[i] = vocColor(i)
	}
	return image.NewPaletted(image.Rect(0, 0, w, h), palette), nil
}

// Index returns a w×h picture of indices: 0 where no object is, i+1 where masks[i] is. Where objects overlap the later one wins.
func Index(masks []*image.Alpha, w, h int) (*image.Paletted, error) {
	p, err := NewIndex(len(masks), w, h)
	if err != nil {
		return nil, err
	}
	for i, m := range masks {
		Paint(p, m, byte(i+1))
	}
	return p, nil
}

// Paint sets an index where a mask is.
func Paint(p *image.Paletted, m *image.Alpha, index byte) {
	for y := range m.Rect.Dy() {
		row := p.Pix[p.PixOffset(m.Rect.Min.X, m.Rect.Min.Y+y):]
		for x, v := range m.Pix[y*m.Stride:][:m.Rect.Dx()] {
			if v != 0 {
				row[x] = index
			}
		}
	}
}

// vocColor returns the color that PASCAL VOC gives an index: its bits by threes, one for each of red, green and blue, the
// lowest become the highest of the color.
func vocColor(i int) color.RGBA {
	c := color.RGBA{A: 255}
	for bit := 7; i > 0; bit, i = bit-1, i>>3 {
		c.R |= byte(i&1) << bit
		c.G |= byte(i>>1&1) << bit
		c.B |= byte(i>>2&1) << bit
	}
	return c
}
