//go:build !least

package draw

import (
	"image"
	"image/color"
	"strings"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/unicode/norm"
)

// face is the label fonts at one size.
type face struct {
	size            float64                 // pixels to the em
	ascent, descent float64                 // of capital letters and of letters such as g, in pixels
	faces           map[*typeface]font.Face // those that were needed
}

// faces are made once a size: a picture has few.
func newFace(size float64) *face {
	return &face{size, 0.76 * size, 0.24 * size, map[*typeface]font.Face{}}
}

// of returns the face of a font. Fonts are part of the program, so failing to parse one is a defect of the program.
func (f *face) of(t *typeface) font.Face {
	got, ok := f.faces[t]
	if !ok {
		var err error
		if got, err = opentype.NewFace(t.font(), &opentype.FaceOptions{Size: f.size, DPI: 72, Hinting: font.HintingNone}); err != nil {
			panic(err)
		}
		f.faces[t] = got
	}
	return got
}

// run is letters of one font.
type run struct {
	text string
	font *typeface
}

// runs splits a text, in the order in which it is drawn, into letters of one font each.
func runs(text string) (out []run) {
	for _, r := range text {
		t := fontOf(r)
		if t == nil || invisible(r) {
			continue // or a space that no font has
		}
		if n := len(out); n > 0 && out[n-1].font == t {
			out[n-1].text += string(r)
		} else {
			out = append(out, run{string(r), t})
		}
	}
	return out
}

// fontOf returns the first font that has a letter, or nil.
func fontOf(r rune) *typeface {
	for _, t := range typefaces {
		if t.has(r) {
			return t
		}
	}
	return nil
}

var glyphs sync.Pool // of *sfnt.Buffer

// has reports whether the font has a letter.
func (t *typeface) has(r rune) bool {
	b, _ := glyphs.Get().(*sfnt.Buffer)
	if b == nil {
		b = new(sfnt.Buffer)
	}
	defer glyphs.Put(b)
	i, err := t.font().GlyphIndex(b, r)
	return err == nil && i != 0
}

// Drawable reports whether the fonts have all letters of a label. One that they lack is drawn as a number.
func Drawable(label string) bool {
	for _, r := range visual(label) {
		if r != ' ' && !invisible(r) && fontOf(r) == nil {
			return false
		}
	}
	return true
}

func (f *face) width(s string) float64 {
	w := 0.0
	for _, r := range runs(visual(s)) {
		w += float64(font.MeasureString(f.of(r.font), r.text)) / 64
	}
	return w
}

// line makes one line of a label.
func line(s string) string {
	return strings.Join(strings.Fields(norm.NFC.String(strings.ToValidUTF8(s, "?"))), " ")
}

// fit shortens a line to a width in pixels. It keeps at least three letters, or leaves all out.
func (f *face) fit(s string, width float64) string {
	const least = 3
	if f.width(s) <= width {
		return s
	}
	letters := []rune(s)
	for n := len(letters) - 1; n >= least; n-- {
		if t := strings.TrimRight(string(letters[:n]), " ") + "…"; f.width(t) <= width {
			return t
		}
	}
	return ""
}

func (f *face) draw(m *image.RGBA, s string, x, baseline float64, c color.RGBA) {
	d := font.Drawer{Dst: m, Src: image.NewUniform(c), Dot: fixed.Point26_6{X: fixed.Int26_6(x * 64), Y: fixed.Int26_6(baseline * 64)}}
	for _, r := range runs(visual(s)) {
		d.Face = f.of(r.font)
		d.DrawString(r.text)
	}
}

// readable is the smallest font size at which a text can be read.
func readable(text string) float64 {
	for _, r := range text {
		if fontOf(r) == wide {
			return smallestWide
		}
	}
	return smallest
}
