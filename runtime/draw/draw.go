// Package draw draws labeled boxes over images, in sizes and colors that suit each image.
package draw

import (
	"cmp"
	"image"
	"image/color"
	"math"
	"slices"

	"pgc/runtime/rgb"
)

// Box is a labeled rectangle in pixels of the image: X grows to the right, Y downwards, the corner (X0, Y0) is the
// upper left one.
type Box struct {
	Label          string
	X0, Y0, X1, Y1 float64
}

// Boxes returns p with the boxes and their labels drawn over it. Lines and text scale with the image. A label has the
// same color in every image unless two labels of one image would share it. Tags stay inside the image and avoid each
// other where there is room. Parts of boxes outside the image are cut off, and boxes with a NaN or wholly outside are
// left out.
func Boxes(p *rgb.Image, boxes []Box) *image.RGBA {
	m := opaque(p)
	st := newStyle(p)
	colors := labelColors(boxes)
	boxes = visible(boxes, m.Rect)
	// Large boxes first, so that small ones and their tags stay on top.
	slices.SortStableFunc(boxes, func(a, b Box) int { return cmp.Compare(b.area(), a.area()) })
	for _, b := range boxes {
		st.outline(m, b, colors[b.Label])
	}
	var taken []image.Rectangle
	for i := len(boxes) - 1; i >= 0; i-- { // the smallest choose the position of their tag first
		if b := boxes[i]; b.Label != "" {
			taken = append(taken, st.tag(m, b, colors[b.Label], boxes, taken))
		}
	}
	return m
}

// opaque converts p to an image to draw on.
func opaque(p *rgb.Image) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		m.Pix[4*i], m.Pix[4*i+1], m.Pix[4*i+2], m.Pix[4*i+3] = p.Pix[3*i], p.Pix[3*i+1], p.Pix[3*i+2], 255
	}
	return m
}

func (b Box) area() float64 { return (b.X1 - b.X0) * (b.Y1 - b.Y0) }

// visible returns the boxes cut to the frame, corners put in order.
func visible(boxes []Box, frame image.Rectangle) []Box {
	var out []Box
	w, h := float64(frame.Dx()), float64(frame.Dy())
	for _, b := range boxes {
		if math.IsNaN(b.X0) || math.IsNaN(b.Y0) || math.IsNaN(b.X1) || math.IsNaN(b.Y1) {
			continue
		}
		x0, x1 := min(b.X0, b.X1), max(b.X0, b.X1)
		y0, y1 := min(b.Y0, b.Y1), max(b.Y0, b.Y1)
		if x1 < 0 || y1 < 0 || x0 > w || y0 > h {
			continue
		}
		out = append(out, Box{b.Label, max(x0, 0), max(y0, 0), min(x1, w), min(y1, h)})
	}
	return out
}

// style holds the sizes that suit one image, in pixels.
type style struct {
	line   float64 // width of a box's line
	radius float64 // of its corners
	text   float64 // font size
	font   face
}

func newStyle(p *rgb.Image) *style {
	side := math.Sqrt(float64(p.Width) * float64(p.Height))
	line := max(1, math.Round(side/160+0.5))
	text := min(max(9, side/28), float64(p.Height)/3, float64(p.Width)/3)
	return &style{line: line, radius: 2 * line, text: max(text, 5), font: newFace(max(text, 5))}
}

// outline draws the line of a box inside its rectangle, with a faint dark edge on both sides that keeps it visible on
// any background.
func (st *style) outline(m *image.RGBA, b Box, c color.RGBA) {
	x0, y0 := math.Round(b.X0), math.Round(b.Y0)
	x1, y1 := max(math.Round(b.X1), x0+2*st.line), max(math.Round(b.Y1), y0+2*st.line)
	edge := max(1, st.line/3)
	r := roundRect{x0, y0, x1, y1, st.radius}
	r.stroke(m, -edge, st.line+edge, color.RGBA{0, 0, 0, 90})
	r.stroke(m, 0, st.line, c)
}

// tag draws the label of b on a plate of color c, at the best of several positions, and returns the plate.
func (st *style) tag(m *image.RGBA, b Box, c color.RGBA, boxes []Box, taken []image.Rectangle) image.Rectangle {
	pad := math.Round(st.text * 0.34)
	text := st.font.fit(b.Label, float64(m.Rect.Dx())-2*pad-2)
	w := int(math.Ceil(st.font.width(text) + 2*pad))
	h := int(math.Ceil(st.font.ascent + st.font.descent + pad*0.6))
	at := tagPosition(b, w, h, m.Rect, boxes, taken)
	plate := roundRect{float64(at.Min.X), float64(at.Min.Y), float64(at.Max.X), float64(at.Max.Y), min(st.radius, float64(h)/3)}
	plate.fill(m, c)
	st.font.draw(m, text, float64(at.Min.X)+pad, float64(at.Min.Y)+pad*0.3+st.font.ascent, contrast(c))
	return at
}

// tagPosition tries above the box, below it, inside its top and inside its bottom, at the left and at the right, moved
// into the frame, and returns the position that hides least: other tags above all, then the inside of the box itself,
// then other boxes. Of about equals it prefers the earlier.
func tagPosition(b Box, w, h int, frame image.Rectangle, boxes []Box, taken []image.Rectangle) image.Rectangle {
	own := b.bounds()
	left, right := own.Min.X, own.Max.X-w
	var best image.Rectangle
	lowest := math.MaxInt
	for i, at := range []image.Point{
		{left, own.Min.Y - h}, {right, own.Min.Y - h}, {left, own.Max.Y}, {right, own.Max.Y},
		{left, own.Min.Y}, {right, own.Min.Y}, {left, own.Max.Y - h}, {right, own.Max.Y - h},
	} {
		at.X = max(min(at.X, frame.Max.X-w), frame.Min.X)
		at.Y = max(min(at.Y, frame.Max.Y-h), frame.Min.Y)
		r := image.Rectangle{at, at.Add(image.Pt(w, h))}.Intersect(frame)
		cost := i*w*h/8 + 2*common(r, own)
		for _, t := range taken {
			cost += 100 * common(r, t)
		}
		for _, o := range boxes {
			if o != b {
				cost += common(r, o.bounds())
			}
		}
		if cost < lowest {
			best, lowest = r, cost
		}
	}
	return best
}

func (b Box) bounds() image.Rectangle {
	return image.Rect(int(math.Round(b.X0)), int(math.Round(b.Y0)), int(math.Round(b.X1)), int(math.Round(b.Y1)))
}

// common returns the area that two rectangles share.
func common(a, b image.Rectangle) int {
	r := a.Intersect(b)
	return r.Dx() * r.Dy()
}
