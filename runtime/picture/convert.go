package picture

import (
	"fmt"
	"image"
	"image/color"
)

// overWhite composites one sample of opacity a over white: exactly Pillow's
// alpha_composite onto an opaque white background (AlphaComposite.c), that is
// s*a + 255*(255-a) divided by 255 in its fixed-point arithmetic with 7 extra bits.
func overWhite(s, a uint32) byte {
	if a == 0 {
		return 255
	}
	t := (s*a+255*(255-a))<<7 + 0x80<<7
	return byte((t>>8 + t) >> 8 >> 7)
}

// fromImage converts what the decoders of PNG and GIF return, placing
// it at the top left of the result.
func fromImage(m image.Image) (*Picture, error) {
	b := m.Bounds()
	p := New(b.Dx(), b.Dy())
	row := func(pix []byte, stride, y int) []byte { return pix[y*stride:] }
	each := func(f func(dst []byte, y int)) {
		parallel(p.Height, func(lo, hi int) {
			for y := lo; y < hi; y++ {
				f(p.RGB[3*y*p.Width:3*(y+1)*p.Width], y)
			}
		})
	}
	switch m := m.(type) {
	case *image.Gray:
		each(func(dst []byte, y int) { grey(dst, row(m.Pix, m.Stride, y), 1) })
	case *image.Gray16:
		each(func(dst []byte, y int) { grey(dst, row(m.Pix, m.Stride, y), 2) })
	case *image.RGBA:
		each(func(dst []byte, y int) { premultipliedRow(dst, row(m.Pix, m.Stride, y), 1) })
	case *image.RGBA64:
		each(func(dst []byte, y int) { premultipliedRow(dst, row(m.Pix, m.Stride, y), 2) })
	case *image.NRGBA:
		each(func(dst []byte, y int) { straightRow(dst, row(m.Pix, m.Stride, y), 1) })
	case *image.NRGBA64:
		each(func(dst []byte, y int) { straightRow(dst, row(m.Pix, m.Stride, y), 2) })
	case *image.Paletted:
		table := paletteOverWhite(m.Palette)
		each(func(dst []byte, y int) {
			src := row(m.Pix, m.Stride, y)
			for x := range len(dst) / 3 {
				copy(dst[3*x:], table[src[x]][:])
			}
		})
	default:
		return nil, fmt.Errorf("unsupported pixel layout %T", m)
	}
	return p, nil
}

// grey, straightRow and premultipliedRow convert a row of samples of the given bytes
// each; a 16-bit sample is big-endian and gives its high byte.
func grey(dst, src []byte, bytes int) {
	for x := range len(dst) / 3 {
		v := src[bytes*x]
		dst[3*x], dst[3*x+1], dst[3*x+2] = v, v, v
	}
}

func straightRow(dst, src []byte, bytes int) {
	for x := range len(dst) / 3 {
		s := src[4*bytes*x:]
		if a := uint32(s[3*bytes]); a == 255 {
			dst[3*x], dst[3*x+1], dst[3*x+2] = s[0], s[bytes], s[2*bytes]
		} else {
			for c := range 3 {
				dst[3*x+c] = overWhite(uint32(s[c*bytes]), a)
			}
		}
	}
}

// premultipliedRow undoes the multiplication as Pillow does before compositing.
func premultipliedRow(dst, src []byte, bytes int) {
	for x := range len(dst) / 3 {
		s := src[4*bytes*x:]
		if a := uint32(s[3*bytes]); a == 255 {
			dst[3*x], dst[3*x+1], dst[3*x+2] = s[0], s[bytes], s[2*bytes]
		} else {
			for c := range 3 {
				dst[3*x+c] = overWhite(unmultiply(uint32(s[c*bytes]), a), a)
			}
		}
	}
}

// unmultiply undoes the multiplication of a sample by its opacity a, as Pillow does.
func unmultiply(v, a uint32) uint32 {
	if a == 0 {
		return 0
	}
	return min(255*v/a, 255)
}

// paletteOverWhite composites each entry; indices beyond the palette are black.
func paletteOverWhite(pal color.Palette) (table [256][3]byte) {
	for i, c := range pal[:min(len(pal), 256)] {
		n := color.NRGBAModel.Convert(c).(color.NRGBA)
		for k, v := range [3]byte{n.R, n.G, n.B} {
			table[i][k] = overWhite(uint32(v), uint32(n.A))
		}
	}
	return table
}
