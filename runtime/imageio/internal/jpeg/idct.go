package jpeg

import "pgc/runtime/rgb"

// zigzag maps the order in which coefficients are coded to natural order: 8 times the vertical plus the horizontal
// frequency.
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

// Cosines in 13 fractional bits, as libjpeg's slow integer transform has them (jidctint.c; Loeffler, Ligtenberg and
// Moschytz, ICASSP 1989).
const (
	dctBits = 13
	dctMore = 2 // fractional bits kept between the passes

	c0298 = 2446
	c0390 = 3196
	c0541 = 4433
	c0765 = 6270
	c0899 = 7373
	c1175 = 9633
	c1501 = 12299
	c1847 = 15137
	c1961 = 16069
	c2053 = 16819
	c2562 = 20995
	c3072 = 25172
)

// butterfly transforms 8 values, scaled by 2^13.
func butterfly(x *[8]int32) {
	z := (x[2] + x[6]) * c0541
	even2, even3 := z-x[6]*c1847, z+x[2]*c0765
	even0, even1 := (x[0]+x[4])<<dctBits, (x[0]-x[4])<<dctBits
	a, b, c, d := even0+even3, even1+even2, even1-even2, even0-even3

	z1, z2 := -(x[7]+x[1])*c0899, -(x[5]+x[3])*c2562
	z5 := (x[7] + x[3] + x[5] + x[1]) * c1175
	z3, z4 := z5-(x[7]+x[3])*c1961, z5-(x[5]+x[1])*c0390
	p, q := x[7]*c0298+z1+z3, x[5]*c2053+z2+z4
	r, s := x[3]*c3072+z2+z3, x[1]*c1501+z1+z4

	x[0], x[7] = a+s, a-s
	x[1], x[6] = b+r, b-r
	x[2], x[5] = c+q, c-q
	x[3], x[4] = d+p, d-p
}

// inverseDCT writes the 8x8 samples of a block to dst with the bits of libjpeg: columns first.
func inverseDCT(dst []byte, stride int, b *[64]int16, q *quantTable) {
	var work [64]int32
	flat := true // only the DC coefficient is there
	for x := range 8 {
		if b[8+x]|b[16+x]|b[24+x]|b[32+x]|b[40+x]|b[48+x]|b[56+x] == 0 {
			v := int32(b[x]) * q[x] << dctMore
			flat = flat && (x == 0 || v == 0)
			for y := 0; y < 64; y += 8 {
				work[y+x] = v
			}
			continue
		}
		flat = false
		var column [8]int32
		for y := range column {
			column[y] = int32(b[8*y+x]) * q[8*y+x]
		}
		butterfly(&column)
		for y, v := range column {
			work[8*y+x] = (v + 1<<(dctBits-dctMore-1)) >> (dctBits - dctMore)
		}
	}
	if flat {
		v := rgb.Clip((work[0]+1<<(dctMore+2))>>(dctMore+3) + 128)
		for y := range 8 {
			row := dst[y*stride : y*stride+8]
			for x := range row {
				row[x] = v
			}
		}
		return
	}
	for y := range 8 {
		row := (*[8]int32)(work[8*y:])
		butterfly(row)
		out := dst[y*stride : y*stride+8]
		for x, v := range row {
			out[x] = rgb.Clip((v+1<<(dctBits+dctMore+2))>>(dctBits+dctMore+3) + 128)
		}
	}
}

// transform computes the samples of a progressive component, smoothed or not.
func (c *component) transform(smooth bool) {
	rgb.Parallel(c.down, func(lo, hi int) {
		var work [64]int16
		for by := lo; by < hi; by++ {
			for bx := range c.across {
				b := (*[64]int16)(c.coefs[64*(by*c.stride+bx):])
				if smooth {
					work = c.smooth(bx, by)
					b = &work
				}
				inverseDCT(c.plane.pix[8*by*c.plane.stride+8*bx:], c.plane.stride, b, c.quant)
			}
		}
	})
	c.coefs = nil
}
