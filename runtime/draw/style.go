package draw

import (
	"image"
	"image/color"
	"math"
)

// Sizes suit one image, in pixels.
type Sizes struct {
	Line float64 // width of a box's line
	Text float64 // font size
}

// SizesOf returns the sizes for an image of w×h pixels.
func SizesOf(w, h int) Sizes {
	side := math.Sqrt(float64(w) * float64(h))
	return Sizes{Line: max(1, math.Round(side/160+0.5)), Text: max(9, side/28)}
}

// Limits of the tags of an image.
const (
	smallest     = 7.0  // font size that can still be read
	smallestWide = 11.0 // that of Chinese, Japanese and Korean
	share        = 0.25 // of the image that all tags cover at most
	tallest      = 0.25 // of the image's height that a tag has at most
)

// style is how the objects of one image are drawn.
type style struct {
	Sizes
	radius float64 // of a box's corners
	frame  image.Rectangle
	tags   []tag // of every object; empty ones are left out
}

// tag is a label on a plate.
type tag struct {
	text string
	font *face
	w, h int // of the plate, in pixels
}

// newStyle chooses the sizes. Where the tags would cover too much of a small image all of them shrink, and where even the
// smallest would those of the smaller objects are left out. The objects are sorted, the largest first.
func newStyle(frame image.Rectangle, objects []shape) *style {
	st := &style{Sizes: SizesOf(frame.Dx(), frame.Dy()), frame: frame}
	st.radius = 2 * st.Line
	room := share * float64(frame.Dx()*frame.Dy())
	for size := st.Text; ; size *= 0.85 {
		size = max(size, smallest)
		covered := 0
		st.tags = nil
		for _, o := range objects {
			t := st.newTag(o.says, size)
			if size == smallest && float64(covered+t.w*t.h) > room {
				t = tag{}
			}
			covered += t.w * t.h
			st.tags = append(st.tags, t)
		}
		if size == smallest || float64(covered) <= room {
			return st
		}
	}
}

// newTag makes a tag of a font size or, where it is too long or too tall for the image, a smaller one; empty if it cannot be
// read then.
func (st *style) newTag(text string, size float64) tag {
	w, h := float64(st.frame.Dx()), float64(st.frame.Dy())
	plate := func(f *face, text string) tag {
		pad := padding(f.size)
		return tag{text, f, int(math.Ceil(f.width(text) + 2*pad)), int(math.Ceil(f.ascent + f.descent + pad*0.6))}
	}
	least := readable(text)
	for size = max(size, least); text != ""; {
		t := plate(newFace(size), text)
		if tall := float64(t.h) > tallest*h; !tall && float64(t.w) <= w {
			return t
		} else if size == least {
			short := t.font.fit(text, w-2*padding(size))
			if tall || short == "" {
				return tag{}
			}
			return plate(t.font, short)
		}
		size = max(size*0.85, least)
	}
	return tag{}
}

// padding is the free space beside a text.
func padding(size float64) float64 { return math.Round(size * 0.34) }

// tag draws a label on a plate of the object's color, at the best of several positions, and returns the plate.
func (st *style) tag(m *image.RGBA, t tag, o shape, all []shape, taken []image.Rectangle) image.Rectangle {
	at := tagPosition(&o.Object, t.w, t.h, m.Rect, all, taken)
	plate := roundRect{float64(at.Min.X), float64(at.Min.Y), float64(at.Max.X), float64(at.Max.Y), min(st.radius, float64(t.h)/3)}
	plate.fill(m, o.color)
	pad := padding(t.font.size)
	t.font.draw(m, t.text, float64(at.Min.X)+pad, float64(at.Min.Y)+pad*0.3+t.font.ascent, contrast(o.color))
	return at
}

// opacity is that of a mask.
const opacity = 0.45

// mask fills a mask with a transparent color and draws a line along the inside of its edge, darker at its very edge, which
// keeps it visible on any background.
func (st *style) mask(m *image.RGBA, mask *image.Alpha, c color.RGBA) {
	depth := depths(mask)
	edge := max(1, math.Round(st.Line/3))
	for y := range mask.Rect.Dy() {
		for x := range mask.Rect.Dx() {
			d := float64(depth[y*mask.Rect.Dx()+x]) / step
			at := mask.Rect.Min.Add(image.Pt(x, y))
			if d == 0 || !at.In(m.Rect) {
				continue
			}
			pix := m.Pix[m.PixOffset(at.X, at.Y):]
			switch {
			case d <= edge && st.Line > 1:
				mix(pix, c, 1)
				mix(pix, color.RGBA{0, 0, 0, 255}, 0.35)
			case d <= edge+st.Line:
				mix(pix, c, 1)
			default:
				mix(pix, c, opacity)
			}
		}
	}
}

// step is the depth of a pixel beside the edge; diagonal is that of one whose corner alone touches it (Borgefors's 3-4
// distance).
const step, diagonal = 3, 4

// depths returns how far each pixel of a mask lies from the nearest one outside, 0 for those outside.
func depths(m *image.Alpha) []int32 {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	d := make([]int32, w*h)
	at := func(x, y int) int32 {
		if x < 0 || y < 0 || x >= w || y >= h {
			return 0
		}
		return d[y*w+x]
	}
	for y := range h {
		for x := range w {
			if m.Pix[y*m.Stride+x] != 0 {
				d[y*w+x] = min(at(x-1, y)+step, at(x, y-1)+step, at(x-1, y-1)+diagonal, at(x+1, y-1)+diagonal)
			}
		}
	}
	for y := h - 1; y >= 0; y-- {
		for x := w - 1; x >= 0; x-- {
			if p := &d[y*w+x]; *p > 0 {
				*p = min(*p, at(x+1, y)+step, at(x, y+1)+step, at(x+1, y+1)+diagonal, at(x-1, y+1)+diagonal)
			}
		}
	}
	return d
}
