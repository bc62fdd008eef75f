package jpeg

import "pgc/runtime/rgb"

// ycc reports whether the first three components are YCbCr, by libjpeg's rules (jdapimin.c, default_decompress_parms).
func (f *file) ycc() bool {
	switch len(f.comps) {
	case 3:
		switch {
		case f.jfif:
			return true
		case f.adobe:
			return f.transform != 0
		}
		return f.ids() != "RGB"
	case 4:
		return f.adobe && f.transform != 0
	}
	return false
}

// rowConverter returns the function that converts a row of every component to RGB.
func rowConverter(components int, ycc bool) func(dst []byte, c [][]byte) {
	switch {
	case components == 1:
		return func(dst []byte, c [][]byte) { rgb.Gray(dst, c[0]) }
	case components == 3 && ycc:
		return yccRow
	case components == 3:
		return rgbRow
	case ycc: // YCCK: as RGB its first three components are the amounts of ink
		return func(dst []byte, c [][]byte) { yccRow(dst, c); rgb.FromInk(dst, c[3]) }
	}
	return func(dst []byte, c [][]byte) { // CMYK, stored complemented as Adobe does
		rgbRow(dst, c)
		for i, v := range dst {
			dst[i] = 255 - v
		}
		rgb.FromInk(dst, c[3])
	}
}

// inkRow converts amounts of ink.
func inkRow(dst []byte, c [][]byte) {
	rgbRow(dst, c)
	left := make([]byte, len(c[3])) // what black leaves
	for i, v := range c[3] {
		left[i] = 255 - v
	}
	rgb.FromInk(dst, left)
}

func rgbRow(dst []byte, c [][]byte) {
	r, g, b := c[0], c[1], c[2]
	for x := range len(dst) / 3 {
		dst[3*x], dst[3*x+1], dst[3*x+2] = r[x], g[x], b[x]
	}
}

// yccRow converts as libjpeg does (jdcolor.c): ITU-R BT.601 over the full range, constants of 16 fractional bits, each
// product rounded but the two of green rounded together.
func yccRow(dst []byte, c [][]byte) {
	n := len(dst) / 3
	ys, cbs, crs := c[0][:n], c[1][:n], c[2][:n]
	for x, y := range ys {
		y, cb, cr := int32(y), int32(cbs[x])-128, int32(crs[x])-128
		d := dst[3*x : 3*x+3 : 3*x+3]
		d[0] = rgb.Clip(y + (91881*cr+32768)>>16)
		d[1] = rgb.Clip(y + (-22554*cb-46802*cr+32768)>>16)
		d[2] = rgb.Clip(y + (116130*cb+32768)>>16)
	}
}

// ids returns the components' identifiers as a string.
func (f *file) ids() string {
	var s []byte
	for _, c := range f.comps {
		s = append(s, byte(c.id))
	}
	return string(s)
}
