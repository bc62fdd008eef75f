package draw

import (
	"image"
	"image/color"
	"math"
)

// roundRect is a rectangle with rounded corners, edges at pixel borders. Painting by its signed distance function gives
// antialiased corners and crisp straight lines.
type roundRect struct{ x0, y0, x1, y1, radius float64 }

// distance returns how far (x, y) lies outside the edge, negative inside.
func (r roundRect) distance(x, y float64) float64 {
	radius := min(r.radius, (r.x1-r.x0)/2, (r.y1-r.y0)/2)
	dx := math.Abs(x-(r.x0+r.x1)/2) - (r.x1-r.x0)/2 + radius
	dy := math.Abs(y-(r.y0+r.y1)/2) - (r.y1-r.y0)/2 + radius
	return math.Hypot(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0) - radius
}

func (r roundRect) fill(m *image.RGBA, c color.RGBA) {
	r.paint(m, r.bounds(), c, func(d float64) float64 { return -d })
}

// stroke paints the band from depth a to depth b inside the edge; a negative depth is outside.
func (r roundRect) stroke(m *image.RGBA, a, b float64, c color.RGBA) {
	band := func(d float64) float64 { return min(-d-a, b+d) }
	out := r.bounds().Inset(-int(math.Ceil(max(-a, 0))))
	in := int(math.Ceil(max(b, r.radius))) + 1
	core := r.bounds().Inset(in)
	if core.Empty() {
		r.paint(m, out, c, band)
		return
	}
	for _, side := range []image.Rectangle{
		{out.Min, image.Pt(out.Max.X, core.Min.Y)},
		{image.Pt(out.Min.X, core.Max.Y), out.Max},
		{image.Pt(out.Min.X, core.Min.Y), image.Pt(core.Min.X, core.Max.Y)},
		{image.Pt(core.Max.X, core.Min.Y), image.Pt(out.Max.X, core.Max.Y)},
	} {
		r.paint(m, side, c, band)
	}
}

func (r roundRect) bounds() image.Rectangle {
	return image.Rect(int(math.Floor(r.x0)), int(math.Floor(r.y0)), int(math.Ceil(r.x1)), int(math.Ceil(r.y1)))
}

// paint blends c over the pixels of area. depth turns the distance of a pixel's center into how deep it lies in the
// shape; antialiasing ramps over half a pixel on either side of the edge.
func (r roundRect) paint(m *image.RGBA, area image.Rectangle, c color.RGBA, depth func(distance float64) float64) {
	area = area.Intersect(m.Rect)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			cover := min(depth(r.distance(float64(x)+0.5, float64(y)+0.5))+0.5, 1)
			if cover > 0 {
				mix(m.Pix[m.PixOffset(x, y):], c, cover*float64(c.A)/255)
			}
		}
	}
}

// mix blends color c over an opaque pixel.
func mix(pix []byte, c color.RGBA, opacity float64) {
	for i, v := range [3]uint8{c.R, c.G, c.B} {
		pix[i] = uint8(math.Round(float64(pix[i]) + opacity*(float64(v)-float64(pix[i]))))
	}
}
