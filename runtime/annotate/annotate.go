// Package annotate writes what was found in pictures in the forms that people and other programs read: a table, tab-separated
// values, JSON, and the annotations of COCO, YOLO, LabelMe and Label Studio, SVG, and pictures of indices.
package annotate

import (
	"image"
	"math"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"pgc"
	"pgc/runtime/masks"
)

// Picture is what was found in a picture.
type Picture struct {
	Name   string // of the picture, as it was given
	Number int    // among those that were asked about, from 1
	*pgc.Detection
}

// Stem names the files of a picture: the last element of its name without extension.
func Stem(name string) string {
	switch {
	case name == "-":
		return "stdin"
	case strings.HasPrefix(strings.ToLower(strings.TrimSpace(name)), "data:"):
		return "data"
	case strings.Contains(name, "://"):
		name, _, _ = strings.Cut(name, "?")
		name, _, _ = strings.Cut(name, "#")
		name = path.Base(name)
	default:
		name = filepath.Base(name)
	}
	if stem := strings.TrimSuffix(name, path.Ext(name)); stem != "" {
		return stem
	}
	return name
}

// labels numbers the labels of all pictures: the classes, then others as they come.
type labels []string

func (l *labels) add(p Picture) {
	for _, c := range p.Classes {
		l.number(c)
	}
	for _, o := range p.Objects {
		l.number(o.Label)
	}
}

// number returns the number of a label, counted from 0.
func (l *labels) number(label string) int {
	i := slices.Index(*l, label)
	if i < 0 {
		i = len(*l)
		*l = append(*l, label)
	}
	return i
}

// masked reports whether a mask shows an object. Readers want shapes of one kind in a picture: all are outlines then.
func masked(p Picture) bool {
	return slices.ContainsFunc(p.Objects, func(o pgc.Object) bool { return o.Outlined() != nil })
}

// outlines returns the polygons of an object, x y x y … in pixels: those of its mask or, without a pixel in one, its box.
func outlines(o pgc.Object) [][]float64 {
	if m := o.Outlined(); m != nil {
		return masks.Polygons(m)
	}
	x0, y0, x1, y1 := o.Box.Box[0], o.Box.Box[1], o.Box.Box[2], o.Box.Box[3]
	return [][]float64{{x0, y0, x1, y0, x1, y1, x0, y1}}
}

// MaxIndex is the most objects that Index takes.
const MaxIndex = masks.MaxIndex

// Index returns a picture of indices: 0 where no object is, i+1 where object i is. Where objects overlap the later one wins.
// An object without a mask fills its box.
func Index(p Picture) (*image.Paletted, error) {
	m, err := masks.NewIndex(len(p.Objects), p.Width, p.Height)
	if err != nil {
		return nil, err
	}
	for i, o := range p.Objects {
		if o.Mask != nil {
			masks.Paint(m, o.Mask, byte(i+1))
		} else {
			fill(m, o, byte(i+1))
		}
	}
	return m, nil
}

// fill sets an index in the box of an object, in a pixel at least.
func fill(m *image.Paletted, o pgc.Object, index byte) {
	edge := func(i, least, most int) int { return min(max(int(math.RoundToEven(o.Box.Box[i])), least), most) }
	x0, y0 := edge(0, 0, m.Rect.Dx()-1), edge(1, 0, m.Rect.Dy()-1)
	x1, y1 := edge(2, x0+1, m.Rect.Dx()), edge(3, y0+1, m.Rect.Dy())
	for y := y0; y < y1; y++ {
		row := m.Pix[y*m.Stride:][x0:x1]
		for x := range row {
			row[x] = index
		}
	}
}
