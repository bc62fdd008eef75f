// Package rgb holds the image type that decoders make, preprocessing reads and drawing starts from, and the arithmetic
// on 8-bit samples that they share: compositing over white, undoing premultiplication, clipping. All of it is exactly
// Pillow's.
package rgb

// Image is an 8-bit RGB image, rows from the top, packed without padding.
type Image struct {
	Width, Height int
	Pix           []byte // 3*Width*Height bytes: R, G, B of each pixel
	Doubt         string // why the pixels may not be what was meant, a clause about "it"; "" where nothing says so
}

// New returns a black image.
func New(width, height int) *Image {
	return &Image{Width: width, Height: height, Pix: make([]byte, 3*width*height)}
}

// Row returns the 3*Width bytes of row y.
func (m *Image) Row(y int) []byte { return m.Pix[3*y*m.Width : 3*(y+1)*m.Width] }

// OverWhite composites one sample of opacity a over white as Pillow's alpha_composite does onto an opaque white
// background (AlphaComposite.c): s*a + 255*(255-a), divided by 255 in fixed-point arithmetic with 7 extra bits.
func OverWhite(s, a uint32) byte {
	if a == 0 {
		return 255
	}
	t := (s*a+255*(255-a))<<7 + 0x80<<7
	return byte((t>>8 + t) >> 8 >> 7)
}

// Unmultiply undoes the multiplication of a sample by its opacity a, as Pillow does.
func Unmultiply(v, a uint32) uint32 {
	if a == 0 {
		return 0
	}
	return min(255*v/a, 255)
}

// FromInk turns amounts of cyan, magenta and yellow, in place, into RGB. black is the complement of the amount of
// black, a byte a pixel. The formula is Pillow's (cmyk2rgb in Convert.c): k - ink*k/255.
func FromInk(row, black []byte) {
	for x := range len(row) / 3 {
		k, d := uint32(black[x]), row[3*x:3*x+3]
		for c, ink := range d {
			t := uint32(ink)*k + 128
			d[c] = byte(k - (t>>8+t)>>8)
		}
	}
}

// Clip limits v to 0…255.
func Clip(v int32) byte {
	if uint32(v) <= 255 {
		return byte(v)
	}
	if v < 0 {
		return 0
	}
	return 255
}
