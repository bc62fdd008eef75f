package imageio

import "pgc/runtime/rgb"

// orient turns p upright. Orientation o says where row 0 and column 0 of p belong: 1 top left, 2 top right, 3 bottom
// right, 4 bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom.
func orient(p *rgb.Image, o int) *rgb.Image {
	if o < 2 || o > 8 {
		return p
	}
	q := rgb.New(p.Width, p.Height)
	q.Doubt = p.Doubt
	if o >= 5 {
		q.Width, q.Height = p.Height, p.Width
	}
	rgb.Parallel(q.Height, func(lo, hi int) {
		for y := lo; y < hi; y++ {
			// The source pixel of (0, y) and the step for each further column.
			sx, sy, dx, dy := 0, y, 1, 0
			if o >= 5 {
				sx, sy, dx, dy = y, 0, 0, 1
			}
			if o == 2 || o == 3 || o == 7 || o == 8 {
				sx, dx = p.Width-1-sx, -dx
			}
			if o == 3 || o == 4 || o == 6 || o == 7 {
				sy, dy = p.Height-1-sy, -dy
			}
			from, step := 3*(sy*p.Width+sx), 3*(dy*p.Width+dx)
			dst := q.Row(y)
			for i := 0; i < len(dst); i += 3 {
				copy(dst[i:i+3], p.Pix[from:from+3])
				from += step
			}
		}
	})
	return q
}
