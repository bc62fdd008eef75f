package draw

import (
	"image"
	"image/color"
)

// Lettering is text of one size.
type Lettering struct{ f *face }

// NewLettering returns text of so many pixels to the em.
func NewLettering(size float64) Lettering { return Lettering{newFace(size)} }

// Width is how wide a text is, in pixels.
func (l Lettering) Width(text string) float64 { return l.f.width(text) }

// Fit shortens a text to a width in pixels, and makes one line of it.
func (l Lettering) Fit(text string, width float64) string { return l.f.fit(text, width) }

// Draw writes a text whose first letter begins at x.
func (l Lettering) Draw(m *image.RGBA, text string, x, baseline float64, c color.RGBA) {
	l.f.draw(m, text, x, baseline, c)
}
