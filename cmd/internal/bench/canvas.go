package bench

import (
	"bytes"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// canvas draws to SVG text or to pixels. Coordinates grow to the right and down.
type canvas interface {
	line(x0, y0, x1, y1, width float64, c color.NRGBA)
	circle(x, y, r float64, c color.NRGBA)
	// text places the start, middle or end of the baseline at x, y for align 0, 0.5 or 1.
	text(x, y, size, align float64, c color.NRGBA, s string)
	bytes() ([]byte, error)
}

// svg is a canvas of SVG text.
type svg struct{ strings.Builder }

func newSVG(w, h float64) *svg {
	s := &svg{}
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" font-family="sans-serif"><rect width="100%%" height="100%%" fill="white"/>`+"\n", w, h, w, h)
	return s
}

func paint(c color.NRGBA) string {
	return fmt.Sprintf("rgba(%d,%d,%d,%.2f)", c.R, c.G, c.B, float64(c.A)/255)
}

func (s *svg) line(x0, y0, x1, y1, width float64, c color.NRGBA) {
	fmt.Fprintf(s, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%g"/>`+"\n", x0, y0, x1, y1, paint(c), width)
}

func (s *svg) circle(x, y, r float64, c color.NRGBA) {
	fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s"/>`+"\n", x, y, r, paint(c))
}

func (s *svg) text(x, y, size, align float64, c color.NRGBA, t string) {
	anchor := map[float64]string{0: "start", 0.5: "middle", 1: "end"}[align]
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" font-size="%g" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, size, anchor, paint(c), html.EscapeString(t))
}

func (s *svg) bytes() ([]byte, error) { return []byte(s.String() + "</svg>\n"), nil }

// pixels is a canvas of pixels, at twice the resolution.
type pixels struct {
	m    *image.NRGBA
	font *opentype.Font
	err  error
}

const zoom = 2

func newPixels(w, h float64) (*pixels, error) {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, err
	}
	p := &pixels{m: image.NewNRGBA(image.Rect(0, 0, int(zoom*w), int(zoom*h))), font: f}
	draw.Draw(p.m, p.m.Rect, image.White, image.Point{}, draw.Src)
	return p, nil
}

// fill fills a polygon.
func (p *pixels) fill(c color.NRGBA, points ...[2]float64) {
	box := image.Rectangle{}
	for _, at := range points {
		x, y := int(math.Floor(zoom*at[0])), int(math.Floor(zoom*at[1]))
		box = box.Union(image.Rect(x, y, x+1, y+1))
	}
	r := vector.NewRasterizer(box.Dx(), box.Dy())
	for i, at := range points {
		x, y := float32(zoom*at[0]-float64(box.Min.X)), float32(zoom*at[1]-float64(box.Min.Y))
		if i == 0 {
			r.MoveTo(x, y)
		} else {
			r.LineTo(x, y)
		}
	}
	r.ClosePath()
	r.Draw(p.m, box, image.NewUniform(c), image.Point{})
}

func (p *pixels) line(x0, y0, x1, y1, width float64, c color.NRGBA) {
	length := math.Hypot(x1-x0, y1-y0)
	if length == 0 {
		return
	}
	dx, dy := (y0-y1)/length*width/2, (x1-x0)/length*width/2
	p.fill(c, [2]float64{x0 + dx, y0 + dy}, [2]float64{x1 + dx, y1 + dy}, [2]float64{x1 - dx, y1 - dy}, [2]float64{x0 - dx, y0 - dy})
}

func (p *pixels) circle(x, y, r float64, c color.NRGBA) {
	var points [][2]float64
	for i := range 48 {
		a := 2 * math.Pi * float64(i) / 48
		points = append(points, [2]float64{x + r*math.Cos(a), y + r*math.Sin(a)})
	}
	p.fill(c, points...)
}

func (p *pixels) text(x, y, size, align float64, c color.NRGBA, t string) {
	face, err := opentype.NewFace(p.font, &opentype.FaceOptions{Size: zoom * size, DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		p.err = err
		return
	}
	defer face.Close()
	d := font.Drawer{Dst: p.m, Src: image.NewUniform(c), Face: face}
	x -= align * float64(d.MeasureString(t)) / 64 / zoom
	d.Dot = fixed.Point26_6{X: fixed.Int26_6(zoom * x * 64), Y: fixed.Int26_6(zoom * y * 64)}
	d.DrawString(t)
}

func (p *pixels) bytes() ([]byte, error) {
	var b bytes.Buffer
	if p.err != nil {
		return nil, p.err
	}
	err := png.Encode(&b, p.m)
	return b.Bytes(), err
}
