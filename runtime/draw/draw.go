// Package draw draws labeled boxes and masks over images, in sizes and colors that suit each image.
package draw

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"sort"

	"pgc/runtime/rgb"
)

// Object is a labeled box in pixels of the image: X grows to the right, Y downwards, the corner (X0, Y0) is the upper left
// one.
type Object struct {
	Label          string
	Number         int // stands for a label that the fonts lack letters of; 0 for its place among the labels
	X0, Y0, X1, Y1 float64
	Mask           *image.Alpha // drawn instead of the box, or nil
}

// Objects returns p with the objects and their labels drawn over it. Lines and text scale with the image. A label has the
// same color in every image unless two labels of one image would share it; objects of one label have shades of it. Tags
// stay inside the image and avoid each other where there is room; where there is too little they shrink, or are left out.
// Parts of boxes outside the image are cut off, and boxes with a NaN or wholly outside are left out.
func Objects(p *rgb.Image, objects []Object) *image.RGBA {
	m := opaque(p)
	list := visible(shaded(objects), m.Rect)
	// Large objects first, so that small ones and their tags stay on top.
	sort.SliceStable(list, func(i, j int) bool { return list[i].area() > list[j].area() })
	st := newStyle(m.Rect, list)
	for _, o := range list {
		if o.Mask != nil {
			st.mask(m, o.Mask, o.color)
		} else {
			st.outline(m, o, o.color)
		}
	}
	var taken []image.Rectangle
	for i := len(list) - 1; i >= 0; i-- { // the smallest choose the position of their tag first
		if o := list[i]; st.tags[i].text != "" {
			taken = append(taken, st.tag(m, st.tags[i], o, list, taken))
		}
	}
	return m
}

// shape is an object with its color and what its tag says.
type shape struct {
	Object
	color color.RGBA
	says  string
}

// shaded gives objects their colors and the words of their tags.
func shaded(objects []Object) []shape {
	var labels []string
	out := make([]shape, len(objects))
	for i, c := range Colors(objects) {
		o := objects[i]
		if !slices.Contains(labels, o.Label) {
			labels = append(labels, o.Label)
		}
		says := line(o.Label)
		if !Drawable(says) {
			n := o.Number
			if n == 0 {
				n = slices.Index(labels, o.Label) + 1
			}
			says = fmt.Sprintf("#%d", n)
		}
		out[i] = shape{o, c, says}
	}
	return out
}

// opaque converts p to an image to draw on.
func opaque(p *rgb.Image) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		m.Pix[4*i], m.Pix[4*i+1], m.Pix[4*i+2], m.Pix[4*i+3] = p.Pix[3*i], p.Pix[3*i+1], p.Pix[3*i+2], 255
	}
	return m
}

func (b *Object) area() float64 { return (b.X1 - b.X0) * (b.Y1 - b.Y0) }

// visible returns the objects whose boxes are cut to the frame, corners put in order.
func visible(objects []shape, frame image.Rectangle) (out []shape) {
	w, h := float64(frame.Dx()), float64(frame.Dy())
	for _, b := range objects {
		if math.IsNaN(b.X0) || math.IsNaN(b.Y0) || math.IsNaN(b.X1) || math.IsNaN(b.Y1) {
			continue
		}
		x0, x1 := min(b.X0, b.X1), max(b.X0, b.X1)
		y0, y1 := min(b.Y0, b.Y1), max(b.Y0, b.Y1)
		if x1 < 0 || y1 < 0 || x0 > w || y0 > h {
			continue
		}
		b.X0, b.Y0, b.X1, b.Y1 = max(x0, 0), max(y0, 0), min(x1, w), min(y1, h)
		out = append(out, b)
	}
	return out
}

// outline draws the line of a box inside its rectangle, with a faint dark edge on both sides that keeps it visible on
// any background.
func (st *style) outline(m *image.RGBA, b shape, c color.RGBA) {
	x0, y0 := math.Round(b.X0), math.Round(b.Y0)
	x1, y1 := max(math.Round(b.X1), x0+2*st.Line), max(math.Round(b.Y1), y0+2*st.Line)
	edge := max(1, st.Line/3)
	r := roundRect{x0, y0, x1, y1, st.radius}
	r.stroke(m, -edge, st.Line+edge, color.RGBA{0, 0, 0, 90})
	r.stroke(m, 0, st.Line, c)
}

// tagPosition tries above the box, below it, inside its top and inside its bottom, at the left and at the right, moved
// into the frame, and returns the position that hides least: other tags above all, then the inside of the box itself,
// then other boxes. Of about equals it prefers the earlier.
func tagPosition(b *Object, w, h int, frame image.Rectangle, boxes []shape, taken []image.Rectangle) image.Rectangle {
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
		for k := range boxes {
			if o := &boxes[k].Object; *o != *b {
				cost += common(r, o.bounds())
			}
		}
		if cost < lowest {
			best, lowest = r, cost
		}
	}
	return best
}

func (b *Object) bounds() image.Rectangle {
	return image.Rect(int(math.Round(b.X0)), int(math.Round(b.Y0)), int(math.Round(b.X1)), int(math.Round(b.Y1)))
}

// common returns the area that two rectangles share.
func common(a, b image.Rectangle) int {
	r := a.Intersect(b)
	return r.Dx() * r.Dy()
}
