package draw

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"image"
	"image/color"
	"io"
	"strings"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// compressed is golang.org/x/image's Go Bold: every executable has it, few draw.
//
//go:embed gobold.ttf.gz
var compressed []byte

var goBold = sync.OnceValues(func() (*opentype.Font, error) {
	text, err := ttf()
	if err != nil {
		return nil, err
	}
	return opentype.Parse(text)
})

// ttf returns the font's file.
func ttf() ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// face is the label font at one size.
type face struct {
	font.Face
	ascent, descent float64 // of capital letters and of letters such as g, in pixels
}

// newFace makes a face of size pixels to the em. The font is part of the program, so failing to parse it is a defect of
// the program.
func newFace(size float64) face {
	f, err := goBold()
	if err != nil {
		panic(err)
	}
	ff, err := opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		panic(err)
	}
	return face{ff, 0.76 * size, 0.24 * size}
}

func (f face) width(s string) float64 { return float64(font.MeasureString(f, s)) / 64 }

// fit shortens a label to a width in pixels, and makes one line of it.
func (f face) fit(s string, width float64) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if f.width(s) <= width {
		return s
	}
	runes := []rune(s)
	for n := len(runes) - 1; n > 0; n-- {
		if t := strings.TrimRight(string(runes[:n]), " ") + "…"; f.width(t) <= width {
			return t
		}
	}
	return ""
}

func (f face) draw(m *image.RGBA, s string, x, baseline float64, c color.RGBA) {
	d := font.Drawer{Dst: m, Src: image.NewUniform(c), Face: f, Dot: fixed.Point26_6{X: fixed.Int26_6(x * 64), Y: fixed.Int26_6(baseline * 64)}}
	d.DrawString(s)
}
