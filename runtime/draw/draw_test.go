package draw

import (
	"bytes"
	"image"
	"image/color"
	"math"
	"strings"
	"testing"

	"pgc/runtime/rgb"
)

// plain is a picture of one color.
func plain(w, h int, v byte) *rgb.Image {
	p := rgb.New(w, h)
	for i := range p.Pix {
		p.Pix[i] = v
	}
	return p
}

// changed is the smallest rectangle outside which m equals p.
func changed(p *rgb.Image, m *image.RGBA) image.Rectangle {
	var r image.Rectangle
	for y := range p.Height {
		for x := range p.Width {
			if i := 3 * (y*p.Width + x); !bytes.Equal(p.Pix[i:i+3], m.Pix[m.PixOffset(x, y):][:3]) {
				r = r.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return r
}

func box(label string, x0, y0, x1, y1 float64) Object {
	return Object{Label: label, X0: x0, Y0: y0, X1: x1, Y1: y1}
}

func TestDrawBox(t *testing.T) {
	p := plain(320, 320, 128)
	m := Objects(p, []Object{{X0: 40, Y0: 60, X1: 200, Y1: 180}})
	c := labelColors([]Object{{}})[""]
	for _, at := range []image.Point{{41, 100}, {198, 100}, {100, 61}, {100, 178}} { // left, right, top, bottom line
		if got := m.RGBAAt(at.X, at.Y); got != c {
			t.Errorf("at %v the line has color %v, expected %v", at, got, c)
		}
	}
	for _, at := range []image.Point{{100, 100}, {20, 20}, {300, 300}, {37, 100}, {205, 100}} {
		if got := m.RGBAAt(at.X, at.Y); got != (color.RGBA{128, 128, 128, 255}) {
			t.Errorf("at %v, off the line, the picture became %v", at, got)
		}
	}
	if got, want := changed(p, m), image.Rect(39, 59, 201, 181); got != want {
		t.Errorf("the drawing covers %v, expected %v", got, want)
	}
	if !bytes.Equal(p.Pix, plain(320, 320, 128).Pix) {
		t.Error("Objects changed its argument")
	}
}

// TestDrawAnywhere draws boxes of every awkward kind on pictures of many sizes.
func TestDrawAnywhere(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {1, 40}, {40, 1}, {3, 2}, {14, 14}, {112, 112}, {700, 90}} {
		p := plain(size.X, size.Y, 200)
		w, h := float64(size.X), float64(size.Y)
		for _, b := range []Object{
			{Label: "whole", X1: w, Y1: h}, box("outside in part", -50, -50, w/2, h/2), box("huge", -1e9, -1e9, 1e9, 1e9),
			box("infinite", math.Inf(-1), math.Inf(-1), math.Inf(1), math.Inf(1)), box("point", w/2, h/2, w/2, h/2),
			box("corners swapped", w, h, 0, 0), box("lower right", w-1, h-1, w+9, h+9), box("", 1, 1, 2, 2),
			box(strings.Repeat("very long label ", 20), 0, 0, w, h), box("\xff\x00\n\t ligne é 猫", 0, 0, w, h),
		} {
			m := Objects(p, []Object{b, b})
			if m.Rect != image.Rect(0, 0, size.X, size.Y) {
				t.Fatalf("%v %q: the drawing has bounds %v", size, b.Label, m.Rect)
			}
			if changed(p, m).Empty() {
				t.Errorf("%v: box %q left no trace", size, b.Label)
			}
		}
		for _, b := range []Object{box("nan", math.NaN(), 0, w, h), box("left of it", -20, 0, -10, h), box("below", 0, h+1, w, h+9)} {
			if r := changed(p, Objects(p, []Object{b})); !r.Empty() {
				t.Errorf("%v: box %q, which cannot be seen, changed %v", size, b.Label, r)
			}
		}
	}
}

// TestTagPositions checks that tags stay inside, keep apart and leave small boxes free.
func TestTagPositions(t *testing.T) {
	frame := image.Rect(0, 0, 200, 200)
	boxes := []Object{box("a", 2, 2, 40, 40), box("b", 150, 150, 199, 199), box("c", 60, 60, 120, 120), box("d", 60, 60, 121, 121), box("e", 61, 60, 122, 122), box("f", 0, 0, 200, 200)}
	var taken []image.Rectangle
	for _, b := range boxes {
		r := tagPosition(&b, 46, 16, frame, shaded(boxes), taken)
		if r.Size() != image.Pt(46, 16) || !r.In(frame) {
			t.Errorf("tag of %q at %v leaves the picture", b.Label, r)
		}
		for _, o := range taken {
			if r.Overlaps(o) {
				t.Errorf("tag of %q at %v covers the one at %v", b.Label, r, o)
			}
		}
		if b.Label < "d" && r.Overlaps(b.bounds()) {
			t.Errorf("tag of %q at %v hides its box", b.Label, r)
		}
		taken = append(taken, r)
	}
}

func TestLabelColors(t *testing.T) {
	var boxes []Object
	for i := range palette {
		boxes = append(boxes, Object{Label: string(rune('a' + i))}, Object{Label: string(rune('a' + i))})
	}
	seen := map[color.RGBA]string{}
	for l, c := range labelColors(boxes) {
		if o, ok := seen[c]; ok {
			t.Errorf("%q and %q share a color while others are free", l, o)
		}
		seen[c] = l
	}
	if a, b := labelColors(boxes[:2])["a"], labelColors([]Object{{Label: "a"}})["a"]; a != b {
		t.Errorf("label a is %v here and %v there", a, b)
	}
	for _, c := range palette {
		ratio := func(a, b color.RGBA) float64 {
			l := func(c color.RGBA) float64 { return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B) + 0.05 }
			return max(l(a), l(b)) / min(l(a), l(b))
		}
		if r := ratio(c, contrast(c)); r < 2.7 {
			t.Errorf("text on %v has contrast %.2f", c, r)
		}
	}
}

// disc is a mask of a radius.
func disc(cx, cy, radius int) *image.Alpha {
	m := image.NewAlpha(image.Rect(cx-radius, cy-radius, cx+radius, cy+radius))
	for y := -radius; y < radius; y++ {
		for x := -radius; x < radius; x++ {
			if x*x+y*y < radius*radius {
				m.Pix[(y+radius)*m.Stride+x+radius] = 255
			}
		}
	}
	return m
}

// TestMasks: a mask is a transparent color with an opaque line along its edge, and nothing outside it changes.
func TestMasks(t *testing.T) {
	p := plain(320, 320, 128)
	o := Object{X0: 60, Y0: 60, X1: 140, Y1: 140, Mask: disc(100, 100, 40)}
	m := Objects(p, []Object{o})
	c := Colors([]Object{o})[0]
	inside := color.RGBA{A: 255}
	blend := func(v uint8) uint8 { return uint8(math.Round(128 + opacity*(float64(v)-128))) }
	inside.R, inside.G, inside.B = blend(c.R), blend(c.G), blend(c.B)
	if got := m.RGBAAt(100, 100); got != inside {
		t.Errorf("the middle has %v, expected %v", got, inside)
	}
	if got := m.RGBAAt(62, 100); got != c {
		t.Errorf("the edge has %v, expected %v", got, c)
	}
	for y := range 320 {
		for x := range 320 {
			if o.Mask.AlphaAt(x, y).A == 0 && m.RGBAAt(x, y) != (color.RGBA{128, 128, 128, 255}) {
				t.Fatalf("pixel %d, %d outside changed", x, y)
			}
		}
	}
	half := Object{Mask: disc(0, 0, 40), X1: 40, Y1: 40} // partly outside the picture
	if r := changed(p, Objects(p, []Object{half})); r != image.Rect(0, 0, 40, 40) {
		t.Errorf("a mask that the picture cuts covers %v", r)
	}
}

// TestShades: objects of one label can be told apart.
func TestShades(t *testing.T) {
	seen := map[color.RGBA]bool{}
	for _, c := range Colors(make([]Object, 5)) {
		if seen[c] {
			t.Errorf("%v twice", c)
		}
		seen[c] = true
	}
}

// TestSmallPictures: tags shrink, and leave pictures where they cannot be read.
func TestSmallPictures(t *testing.T) {
	for _, c := range []struct {
		label      string
		side, tags int
	}{{"cat", 600, 1}, {"cat", 64, 1}, {"cat", 20, 0}, {"traffic light", 112, 1}, {"traffic light", 24, 0}, {"猫", 112, 1}, {"猫", 40, 0}} {
		frame := image.Rect(0, 0, c.side, c.side)
		list := shaded([]Object{box(c.label, 0, 0, float64(c.side), float64(c.side))})
		st := newStyle(frame, list)
		tags := 0
		for _, tag := range st.tags {
			if tag.text != "" {
				tags++
				if tag.w > c.side || float64(tag.h) > tallest*float64(c.side) {
					t.Errorf("%q at %d: a tag of %d×%d", c.label, c.side, tag.w, tag.h)
				}
			}
		}
		if tags != c.tags {
			t.Errorf("%q at %d: %d tags, expected %d", c.label, c.side, tags, c.tags)
		}
	}
	var crowd []Object
	for i := range 60 {
		x, y := float64(i%10)*20, float64(i/10)*30
		crowd = append(crowd, box("label", x, y, x+15, y+25))
	}
	covered := 0
	for _, tag := range newStyle(image.Rect(0, 0, 200, 200), shaded(crowd)).tags {
		covered += tag.w * tag.h
	}
	if covered == 0 || float64(covered) > share*200*200 {
		t.Errorf("tags of a crowd cover %d pixels", covered)
	}
}

// TestFallback: a label in letters that no font has is drawn as its number, never as empty squares.
func TestFallback(t *testing.T) {
	for _, c := range []struct {
		o    Object
		want string
	}{{box("कुत्ता", 0, 0, 1, 1), "#1"}, {Object{Label: "🐈", Number: 7}, "#7"}, {box("猫", 0, 0, 1, 1), "猫"}} {
		if got := shaded([]Object{c.o})[0].says; got != c.want {
			t.Errorf("%q is drawn as %q, expected %q", c.o.Label, got, c.want)
		}
	}
}
