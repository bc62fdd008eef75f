package debug

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"

	"pgc/ir"
	"pgc/runtime/output"
)

// The dimensions of a drawing, in pixels.
const (
	charWidth, lineHeight = 6.7, 14.0 // of monospaced text of 11 pixels
	boxPad                = 8.0
	columnGap, layerGap   = 18.0, 34.0
	margin                = 20.0
)

// SVG draws functions below each other: operations are boxes, parameters and results rounded ones, and data flows
// downwards.
func SVG(funcs []*ir.Func) string {
	var body strings.Builder
	width, y := 0.0, margin
	for _, f := range funcs {
		fmt.Fprintf(&body, "<text class=\"title\" x=\"%.0f\" y=\"%.0f\">@%s</text>\n", margin, y+lineHeight, html.EscapeString(f.Name))
		y += 2 * lineHeight
		g := drawing(f)
		g.layout()
		w, h := g.draw(&body, margin, y)
		width, y = max(width, w), y+h+2*margin
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %[1]f %[2]f">
<style>
text { font: 11px ui-monospace, monospace; fill: #222; text-anchor: middle }
text.title { font-weight: bold; text-anchor: start }
text.type { fill: #777 }
rect { fill: #f4f6fa; stroke: #8a94a6 }
rect.fused { fill: #dcebdd; stroke: #5d8f61 }
rect.input, rect.state { fill: #fdf3d8; stroke: #c0a04a }
rect.weight { fill: #f3f3f3; stroke: #bbb }
rect.result { fill: #f8dcd6; stroke: #b86b5b }
path { fill: none; stroke: #9aa3b2 }
path.weight { stroke: #d5d8de }
</style>
<rect width="100%%" height="100%%" style="fill:#fff;stroke:none"/>
%s</svg>
`, width+2*margin, y, body.String())
}

// drawing returns the boxes and edges of a function.
func drawing(f *ir.Func) *graph {
	g := &graph{}
	of := map[*ir.Value]*box{}
	add := func(v *ir.Value, class string, lines ...string) *box {
		b := &box{class: class, h: boxPad}
		for _, l := range lines {
			if l != "" {
				b.lines = append(b.lines, l)
				b.w = max(b.w, charWidth*float64(utf8.RuneCountInString(l))+2*boxPad)
				b.h += lineHeight
			}
		}
		if v != nil {
			of[v] = b
		}
		g.boxes = append(g.boxes, b)
		return b
	}
	for _, p := range f.Params {
		add(p, p.Kind.String(), "%"+p.Name, p.Type.String())
	}
	for _, op := range f.Ops {
		class := "op"
		if op.Def.Fused() {
			class = "fused"
		}
		lines := append([]string{op.Def.Name}, wrapped(ir.FormatAttrs(op.Def, op.Attrs))...)
		for _, v := range op.Results {
			lines = append(lines, v.Type.String())
		}
		b := add(op.Results[0], class, lines...)
		for _, v := range op.Results {
			of[v] = b
		}
		for _, v := range op.In {
			g.connect(of[v], b)
		}
	}
	for _, r := range f.Results {
		name := "return " + r.Name
		if r.State != nil {
			name = "update %" + r.State.Name
		}
		g.connect(of[r.Value], add(nil, "result", name))
	}
	return g
}

// wrapped splits attributes into a few lines, at commas if possible, and cuts off the rest.
func wrapped(s string) []string {
	const width, maxLines = 46, 4
	var lines []string
	for s != "" && len(lines) < maxLines {
		n := min(width, len(s))
		if n < len(s) {
			if at := strings.LastIndex(s[:n], ", "); at > width/2 {
				n = at + 2
			}
		}
		lines = append(lines, strings.TrimSpace(s[:n]))
		s = s[n:]
	}
	if s != "" {
		lines[maxLines-1] += " …"
	}
	return lines
}

// draw writes the drawing with its upper left corner at (left, top) and returns its size.
func (g *graph) draw(b *strings.Builder, left, top float64) (width, height float64) {
	var ys []float64
	for _, layer := range g.layers {
		tallest := 0.0
		for _, n := range layer {
			tallest = max(tallest, n.h)
			width = max(width, n.x+n.w/2)
		}
		ys = append(ys, height)
		height += tallest + layerGap
	}
	height -= layerGap
	for _, e := range g.edges {
		points := e.through()
		from := points[0]
		fmt.Fprintf(b, `<path class="%s" d="M%.1f %.1f`, from.class, left+from.x, top+ys[from.layer]+from.h)
		at := ys[from.layer] + from.h
		for i, p := range points[1:] {
			y := ys[p.layer]
			mid := (at + y) / 2
			fmt.Fprintf(b, " C%.1f %.1f %.1f %.1f %.1f %.1f", left+points[i].x, top+mid, left+p.x, top+mid, left+p.x, top+y)
			at = y
			if p.class == bend { // straight down through the layer
				at += g.height(p.layer)
				fmt.Fprintf(b, " V%.1f", top+at)
			}
		}
		b.WriteString("\"/>\n")
	}
	for _, layer := range g.layers {
		for _, n := range layer {
			if n.class == bend {
				continue
			}
			round := 2
			if n.class != "op" && n.class != "fused" {
				round = 10
			}
			y := top + ys[n.layer]
			fmt.Fprintf(b, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%d\"/>\n", n.class, left+n.x-n.w/2, y, n.w, n.h, round)
			for i, l := range n.lines {
				class := ""
				if i > 0 && i == len(n.lines)-1 {
					class = ` class="type"`
				}
				fmt.Fprintf(b, "<text%s x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, left+n.x, y+lineHeight*float64(i+1), html.EscapeString(l))
			}
		}
	}
	return width, height
}

// writeSVG writes a drawing of the functions after the passes.
func (d *Session) writeSVG() error { return output.WriteFile(d.svg, []byte(SVG(d.final))) }
