package rgb

import (
	"image"
	"image/color"
)

// FromImage converts m, composited over white. A 16-bit sample of color keeps its high byte, gray ones as in SettleDeep.
func FromImage(m image.Image) *Image {
	b := m.Bounds()
	out := New(b.Dx(), b.Dy())
	eachRow := func(pix []byte, stride int, convert func(dst, src []byte)) {
		Parallel(out.Height, func(lo, hi int) {
			for y := lo; y < hi; y++ {
				convert(out.Row(y), pix[y*stride:])
			}
		})
	}
	switch m := m.(type) {
	case *image.Gray:
		eachRow(m.Pix, m.Stride, func(dst, src []byte) { Gray(dst, src) })
	case *image.Gray16:
		eachRow(m.Pix, m.Stride, func(dst, src []byte) {
			for x := range len(dst) / 3 {
				dst[3*x], dst[3*x+1] = src[2*x], src[2*x+1]
			}
		})
		out.SettleDeep(false)
	case *image.RGBA:
		eachRow(m.Pix, m.Stride, func(dst, src []byte) { premultiplied(dst, src, 1) })
	case *image.RGBA64:
		out.Doubt = doubt64(m.Pix, m.Stride, out)
		eachRow(m.Pix, m.Stride, func(dst, src []byte) { premultiplied(dst, src, 2) })
	case *image.NRGBA:
		eachRow(m.Pix, m.Stride, func(dst, src []byte) { straight(dst, src, 1) })
	case *image.NRGBA64:
		out.Doubt = doubt64(m.Pix, m.Stride, out)
		eachRow(m.Pix, m.Stride, func(dst, src []byte) { straight(dst, src, 2) })
	case *image.Paletted:
		table := paletteOverWhite(m.Palette)
		eachRow(m.Pix, m.Stride, func(dst, src []byte) {
			for x := range len(dst) / 3 {
				copy(dst[3*x:], table[src[x]][:])
			}
		})
	default:
		at := func(x, y int) color.RGBA64 {
			r, g, b, a := m.At(x, y).RGBA()
			return color.RGBA64{R: uint16(r), G: uint16(g), B: uint16(b), A: uint16(a)}
		}
		if m, ok := m.(image.RGBA64Image); ok {
			at = m.RGBA64At
		}
		n := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
		for y := range b.Dy() { // image/draw does the same, and is 35 KB
			for x := range b.Dx() {
				n.SetRGBA64(x, y, at(b.Min.X+x, b.Min.Y+y))
			}
		}
		return FromImage(n)
	}
	return out
}

// Gray repeats a gray sample for R, G and B.
func Gray(dst, src []byte) {
	for x := range len(dst) / 3 {
		v := src[x]
		dst[3*x], dst[3*x+1], dst[3*x+2] = v, v, v
	}
}

// doubt64 is the Doubt of pixels of four samples of 16 bits, the last one their opacity, which an image of size m has.
func doubt64(pix []byte, stride int, m *Image) string {
	var d Depth
	for y := range m.Height {
		row := pix[y*stride:][:8*m.Width]
		for x := range m.Width {
			d.Add(row[8*x:8*x+6], 0)
		}
	}
	return d.Doubt()
}

// straight and premultiplied convert a row of samples of the given bytes each. Samples of two bytes are big-endian and
// keep their high byte.

func straight(dst, src []byte, bytes int) {
	for x := range len(dst) / 3 {
		s := src[4*bytes*x:]
		if a := uint32(s[3*bytes]); a == 255 {
			dst[3*x], dst[3*x+1], dst[3*x+2] = s[0], s[bytes], s[2*bytes]
		} else {
			for c := range 3 {
				dst[3*x+c] = OverWhite(uint32(s[c*bytes]), a)
			}
		}
	}
}

// premultiplied undoes the multiplication before it composites, as Pillow does.
func premultiplied(dst, src []byte, bytes int) {
	for x := range len(dst) / 3 {
		s := src[4*bytes*x:]
		if a := uint32(s[3*bytes]); a == 255 {
			dst[3*x], dst[3*x+1], dst[3*x+2] = s[0], s[bytes], s[2*bytes]
		} else {
			for c := range 3 {
				dst[3*x+c] = OverWhite(Unmultiply(uint32(s[c*bytes]), a), a)
			}
		}
	}
}

// paletteOverWhite composites each entry; indices beyond the palette are black.
func paletteOverWhite(pal color.Palette) (table [256][3]byte) {
	for i, c := range pal[:min(len(pal), 256)] {
		n := color.NRGBAModel.Convert(c).(color.NRGBA)
		for k, v := range [3]byte{n.R, n.G, n.B} {
			table[i][k] = OverWhite(uint32(v), uint32(n.A))
		}
	}
	return table
}
