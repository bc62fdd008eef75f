package annotate

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math"
	"strings"

	"pgc/runtime/draw"
)

// quality is that of the picture below the objects.
const quality = 92

// SVG writes the objects as shapes with labels, over the picture itself unless it is nil. A shape's group has its label,
// score and locations as attributes.
func SVG(w io.Writer, p Picture, below image.Image) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", p.Width, p.Height, p.Width, p.Height)
	fmt.Fprintf(&b, "<title>%s</title>\n", draw.XML(Stem(p.Name)))
	if below != nil {
		var data bytes.Buffer
		if err := jpeg.Encode(&data, below, &jpeg.Options{Quality: quality}); err != nil {
			return err
		}
		fmt.Fprintf(&b, "<image width=\"%d\" height=\"%d\" href=\"data:image/jpeg;base64,%s\"/>\n", p.Width, p.Height, base64.StdEncoding.EncodeToString(data.Bytes()))
	}
	sizes := draw.SizesOf(p.Width, p.Height)
	colors := draw.Colors(p.Drawing())
	for i, o := range p.Objects {
		c := fmt.Sprintf("#%02x%02x%02x", colors[i].R, colors[i].G, colors[i].B)
		fmt.Fprintf(&b, "<g class=\"object\" data-label=\"%s\"", draw.XML(o.Label))
		if o.Score != nil {
			fmt.Fprintf(&b, " data-score=\"%s\"", number(o.Score.Value()))
		}
		fmt.Fprintf(&b, " data-loc=\"%s\">\n", strings.Trim(fmt.Sprint(o.Loc), "[]"))
		if o.Outlined() != nil {
			fmt.Fprintf(&b, "<path fill=\"%s\" fill-opacity=\"0.45\" stroke=\"%s\" stroke-width=\"%g\" stroke-linejoin=\"round\" d=\"%s\"/>\n", c, c, sizes.Line/2, pathData(outlines(o)))
		} else {
			x := o.Box.Box
			fmt.Fprintf(&b, "<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%g\"/>\n",
				number(x[0]), number(x[1]), number(x[2]-x[0]), number(x[3]-x[1]), c, sizes.Line)
		}
		if o.Label != "" {
			// The text has a rim of the object's color, since how wide it is only the viewer knows.
			y := o.Box.Box[1] - sizes.Text*0.35
			if y < sizes.Text {
				y = min(o.Box.Box[1]+sizes.Text*1.1, float64(p.Height)-sizes.Text*0.3)
			}
			fmt.Fprintf(&b, "<text x=\"%s\" y=\"%s\" font-family=\"sans-serif\" font-weight=\"bold\" font-size=\"%g\" fill=\"white\" stroke=\"%s\" stroke-width=\"%g\" stroke-linejoin=\"round\" paint-order=\"stroke\">%s</text>\n",
				number(max(o.Box.Box[0], sizes.Text*0.2)), number(y), sizes.Text, c, math.Ceil(sizes.Text/3), draw.XML(o.Label))
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	_, err := w.Write(b.Bytes())
	return err
}

// pathData is polygons as the data of an SVG path.
func pathData(polygons [][]float64) string {
	var parts []string
	for _, polygon := range polygons {
		for i := 0; i < len(polygon); i += 2 {
			command := "L"
			if i == 0 {
				command = "M"
			}
			parts = append(parts, command+number(polygon[i])+" "+number(polygon[i+1]))
		}
		parts = append(parts, "Z")
	}
	return strings.Join(parts, "")
}
