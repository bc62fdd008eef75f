package attention

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"strings"

	"pgc/runtime/draw"
)

// plot is a drawing of rectangles and texts, which becomes pixels or SVG.
type plot struct {
	width, height float64
	rects         []rect
	texts         []label
}

type rect struct {
	x, y, w, h float64
	c          color.RGBA
	hint       string // shown where the pointer is
}

type label struct {
	x, baseline, size float64
	text              string
	upright           bool // rotated to the left: x is its baseline, baseline where it begins
	c                 color.RGBA
}

var (
	ink      = color.RGBA{0x22, 0x2b, 0x38, 255}
	paper    = color.RGBA{255, 255, 255, 255}
	none     = color.RGBA{0xe9, 0xed, 0xf2, 255}
	ofImage  = color.RGBA{0x2f, 0x6f, 0xb5, 255} // seen, of a picture
	ofText   = color.RGBA{0x1f, 0x8a, 0x70, 255} // of the prompt's text
	ofSuffix = color.RGBA{0xd9, 0x82, 0x2b, 255} // of the suffix
)

// Sizes in pixels.
const (
	margin    = 24.0
	titleSize = 18.0
	noteSize  = 12.0
	mostLabel = 170.0
	leastCell = 2.0 // of masks up to mostSide; of larger ones a pixel
	mostSide  = 4000.0
	mostCell  = 26.0
	gapped    = 8.0    // cells from here on have a gap between them
	target    = 1000.0 // of the side of a mask
	readSize  = 9.0    // labels that would be smaller are left out
)

// plot lays the masks out, one below the other.
func (m *Mask) plot() *plot {
	groups := m.groups()
	cell := cellOf(len(groups))
	size := min(13, 0.62*cell)
	side := 0.0 // of the labels
	if size >= readSize*0.8 {
		letters := draw.NewLettering(size)
		for _, g := range groups {
			side = max(side, letters.Width(letters.Fit(g.label, mostLabel)))
		}
		side += 8
	}
	p := &plot{}
	y := margin
	for _, k := range m.Kinds {
		y = m.kind(p, k, groups, cell, size, side, y)
	}
	p.height = y + noteSize
	m.legend(p, margin, y)
	p.height += margin
	return p
}

// cellOf is the side of a cell of a mask of n groups, in pixels.
func cellOf(n int) float64 {
	cell := min(mostCell, max(leastCell, math.Floor(target/float64(n))))
	if cell*float64(n) > mostSide {
		return 1
	}
	return cell
}

// kind draws one mask at y and returns where the next begins.
func (m *Mask) kind(p *plot, k Kind, groups []group, cell, size, side, y float64) float64 {
	p.text(label{x: margin, baseline: y + titleSize, size: titleSize, text: k.title()})
	left, top := margin+side, y+titleSize+14+side
	line := max(1, math.Round(cell/16))
	gap := line
	if cell < gapped {
		gap = 0
	}
	for i, q := range groups {
		at := top + float64(i)*cell
		if side > 0 {
			text := draw.NewLettering(size).Fit(q.label, mostLabel)
			p.text(label{x: left - 6 - draw.NewLettering(size).Width(text), baseline: at + 0.5*cell + 0.36*size, size: size, text: text})
			p.text(label{x: left + float64(i)*cell + 0.5*cell + 0.36*size, baseline: top - 6, size: size, text: text, upright: true})
		}
		for j := 0; j < len(groups); {
			share := m.share(k, q, groups[j])
			c := m.color(groups[j])
			end := j + 1
			for gap == 0 && end < len(groups) && m.color(groups[end]) == c && m.share(k, q, groups[end]) == share {
				end++
			}
			p.rect(rect{left + float64(j)*cell, at, float64(end-j)*cell - gap, cell - gap, mix(none, c, share), hint(q, groups[j:end], share)})
			j = end
		}
	}
	n := float64(len(groups)) * cell
	if m.Prefix < len(m.Tokens) { // a line in front of the suffix
		for i, g := range groups {
			if g.first == m.Prefix {
				at := float64(i)*cell - line
				p.rect(rect{x: left, y: top + at, w: n, h: line, c: ink})
				p.rect(rect{x: left + at, y: top, w: line, h: n, c: ink})
			}
		}
	}
	return top + n + margin
}

// color is that of a key that is seen.
func (m *Mask) color(key group) color.RGBA {
	switch {
	case key.first < m.Images*m.ImageTokens:
		return ofImage
	case key.first >= m.Prefix:
		return ofSuffix
	}
	return ofText
}

// Runs reports whether drawings of the mask have cells that leave no gap: then a run of equal ones in a row is one rectangle.
func (m *Mask) Runs() bool { return cellOf(len(m.groups())) < gapped }

// legend explains the colors.
func (m *Mask) legend(p *plot, x, y float64) {
	for _, e := range []struct {
		c    color.RGBA
		text string
		is   bool
	}{{ofImage, "sees a picture", m.Images > 0}, {ofText, "sees the prompt's text", true}, {ofSuffix, "sees the suffix", m.Prefix < len(m.Tokens)}, {none, "does not see", true}} {
		if !e.is {
			continue
		}
		p.rect(rect{x: x, y: y, w: noteSize, h: noteSize, c: e.c})
		p.text(label{x: x + noteSize + 5, baseline: y + noteSize - 2, size: noteSize, text: e.text})
		x += noteSize + 5 + draw.NewLettering(noteSize).Width(e.text) + 18
	}
	p.width = max(p.width, x+margin-18)
}

// hint says what a run of cells is.
func hint(q group, keys []group, share float64) string {
	what := map[bool]string{true: "attends to", false: "does not attend to"}[share > 0]
	if share > 0 && share < 1 {
		what = fmt.Sprintf("attends to %.0f %% of", 100*share)
	}
	text := fmt.Sprintf("%d %s %s %d %s", q.first, q.label, what, keys[0].first, keys[0].label)
	if last := keys[len(keys)-1]; len(keys) > 1 {
		text += fmt.Sprintf(" to %d %s", last.first, last.label)
	}
	return text
}

// mix returns a color between two.
func mix(a, b color.RGBA, share float64) color.RGBA {
	between := func(x, y uint8) uint8 { return uint8(math.Round(float64(x) + share*(float64(y)-float64(x)))) }
	return color.RGBA{between(a.R, b.R), between(a.G, b.G), between(a.B, b.B), 255}
}

func (p *plot) rect(r rect) {
	p.rects = append(p.rects, r)
	p.width = max(p.width, r.x+r.w+margin)
}

func (p *plot) text(l label) {
	if l.c == (color.RGBA{}) {
		l.c = ink
	}
	p.texts = append(p.texts, l)
	if !l.upright {
		p.width = max(p.width, l.x+draw.NewLettering(l.size).Width(l.text)+margin)
	}
}

// Image returns the masks as pixels.
func (m *Mask) Image(memory Memory) (image.Image, error) {
	p := m.plot()
	img, err := newImage(int(math.Ceil(p.width)), int(math.Ceil(p.height)), "a drawing", memory)
	if err != nil {
		return nil, err
	}
	for _, r := range p.rects {
		at := image.Rect(int(math.Round(r.x)), int(math.Round(r.y)), int(math.Round(r.x+r.w)), int(math.Round(r.y+r.h)))
		fill(img, at, r.c)
	}
	for _, t := range p.texts {
		letters := draw.NewLettering(t.size)
		if !t.upright {
			letters.Draw(img, t.text, t.x, t.baseline, t.c)
			continue
		}
		drawUpwards(img, letters, t)
	}
	return img, nil
}

// drawUpwards draws a text from below upwards.
func drawUpwards(img *image.RGBA, letters draw.Lettering, t label) {
	w, h := int(math.Ceil(letters.Width(t.text)))+2, int(math.Ceil(1.5*t.size))
	flat := image.NewRGBA(image.Rect(0, 0, w, h))
	letters.Draw(flat, t.text, 0, t.size, t.c)
	x0, y0 := int(math.Round(t.x-t.size)), int(math.Round(t.baseline))
	for y := range h {
		for x := range w {
			from := flat.RGBAAt(x, y)
			if to := image.Pt(x0+y, y0-x); from.A > 0 && to.In(img.Rect) {
				under := img.RGBAAt(to.X, to.Y)
				over := func(a, b uint8) uint8 { return uint8(int(a) + int(b)*(255-int(from.A))/255) }
				img.SetRGBA(to.X, to.Y, color.RGBA{over(from.R, under.R), over(from.G, under.G), over(from.B, under.B), 255})
			}
		}
	}
}

func fill(img *image.RGBA, at image.Rectangle, c color.RGBA) {
	at = at.Intersect(img.Rect)
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			img.SetRGBA(x, y, c)
		}
	}
}

// SVG returns the masks as an SVG document.
func (m *Mask) SVG() string {
	p := m.plot()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-weight="bold">`+"\n",
		math.Ceil(p.width), math.Ceil(p.height), math.Ceil(p.width), math.Ceil(p.height))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="%s"/>`+"\n", hex(paper))
	for _, r := range p.rects {
		fmt.Fprintf(&b, `<rect x="%g" y="%g" width="%g" height="%g" fill="%s">`, r.x, r.y, r.w, r.h, hex(r.c))
		if r.hint != "" {
			fmt.Fprintf(&b, "<title>%s</title>", draw.XML(r.hint))
		}
		b.WriteString("</rect>\n")
	}
	for _, t := range p.texts {
		turn := ""
		if t.upright {
			turn = fmt.Sprintf(` transform="rotate(-90 %.1f %.1f)"`, t.x, t.baseline)
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" font-size="%.1f" fill="%s"%s>%s</text>`+"\n", t.x, t.baseline, t.size, hex(t.c), turn, draw.XML(t.text))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// HTML returns a page with the masks.
func (m *Mask) HTML() string {
	return "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Attention mask</title>\n<body style=\"margin:0\">\n" + m.SVG() + "</body>\n</html>\n"
}

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }
