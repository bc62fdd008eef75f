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

func TestDrawBox(t *testing.T) {
	p := plain(320, 320, 128)
	m := Boxes(p, []Box{{X0: 40, Y0: 60, X1: 200, Y1: 180}})
	c := labelColors([]Box{{}})[""]
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
		t.Error("Boxes changed its argument")
	}
}

// TestDrawAnywhere draws boxes of every awkward kind on pictures of many sizes.
func TestDrawAnywhere(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {1, 40}, {40, 1}, {3, 2}, {14, 14}, {112, 112}, {700, 90}} {
		p := plain(size.X, size.Y, 200)
		w, h := float64(size.X), float64(size.Y)
		for _, b := range []Box{
			{"whole", 0, 0, w, h}, {"outside in part", -50, -50, w / 2, h / 2}, {"huge", -1e9, -1e9, 1e9, 1e9},
			{"infinite", math.Inf(-1), math.Inf(-1), math.Inf(1), math.Inf(1)}, {"point", w / 2, h / 2, w / 2, h / 2},
			{"corners swapped", w, h, 0, 0}, {"lower right", w - 1, h - 1, w + 9, h + 9}, {"", 1, 1, 2, 2},
			{strings.Repeat("very long label ", 20), 0, 0, w, h}, {"\xff\x00\n\t ligne é 猫", 0, 0, w, h},
		} {
			m := Boxes(p, []Box{b, b})
			if m.Rect != image.Rect(0, 0, size.X, size.Y) {
				t.Fatalf("%v %q: the drawing has bounds %v", size, b.Label, m.Rect)
			}
			if changed(p, m).Empty() {
				t.Errorf("%v: box %q left no trace", size, b.Label)
			}
		}
		for _, b := range []Box{{"nan", math.NaN(), 0, w, h}, {"left of it", -20, 0, -10, h}, {"below", 0, h + 1, w, h + 9}} {
			if r := changed(p, Boxes(p, []Box{b})); !r.Empty() {
				t.Errorf("%v: box %q, which cannot be seen, changed %v", size, b.Label, r)
			}
		}
	}
}

// TestTagPositions checks that tags stay inside, keep apart and leave small boxes free.
func TestTagPositions(t *testing.T) {
	frame := image.Rect(0, 0, 200, 200)
	boxes := []Box{{"a", 2, 2, 40, 40}, {"b", 150, 150, 199, 199}, {"c", 60, 60, 120, 120}, {"d", 60, 60, 121, 121}, {"e", 61, 60, 122, 122}, {"f", 0, 0, 200, 200}}
	var taken []image.Rectangle
	for _, b := range boxes {
		r := tagPosition(b, 46, 16, frame, boxes, taken)
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
	var boxes []Box
	for i := range palette {
		boxes = append(boxes, Box{Label: string(rune('a' + i))}, Box{Label: string(rune('a' + i))})
	}
	seen := map[color.RGBA]string{}
	for l, c := range labelColors(boxes) {
		if o, ok := seen[c]; ok {
			t.Errorf("%q and %q share a color while others are free", l, o)
		}
		seen[c] = l
	}
	if a, b := labelColors(boxes[:2])["a"], labelColors([]Box{{Label: "a"}})["a"]; a != b {
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
