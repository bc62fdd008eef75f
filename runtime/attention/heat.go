package attention

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
)

// leastSide is the shortest side that a heat map's pictures are enlarged to, in pixels.
const leastSide = 448

// Memory says why what (a noun phrase) cannot have need bytes of memory, or returns nil. It is asked before they are touched.
type Memory func(need int64, what string) error

// newImage returns an image of white pixels, unless there is no memory for them.
func newImage(width, height int, what string, memory Memory) (*image.RGBA, error) {
	if err := memory(4*int64(width)*int64(height), fmt.Sprintf("%s of %d × %d pixels", what, width, height)); err != nil {
		return nil, err
	}
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	fill(m, m.Rect, paper)
	return m, nil
}

// Heat draws attention over pictures, side by side: weights are those of the patches of all pictures, as many for each, which lie in
// a square over it. The hottest patch is white, patches without attention leave the picture dark.
func Heat(pictures []image.Image, weights []float32, memory Memory) (image.Image, error) {
	per := len(weights) / len(pictures)
	grid := int(math.Round(math.Sqrt(float64(per))))
	top := slices.Max(weights)
	const gap = 8
	size := image.Pt(-gap, 0)
	for _, p := range pictures {
		part := enlarged(p)
		size = image.Pt(size.X+gap+part.X, max(size.Y, part.Y))
	}
	out, err := newImage(size.X, size.Y, "a heat map", memory)
	if err != nil {
		return nil, err
	}
	x := 0
	for i, p := range pictures {
		part := enlarged(p)
		heated(out.SubImage(image.Rect(x, 0, x+part.X, part.Y)).(*image.RGBA), p, weights[i*per:][:per], grid, top)
		x += part.X + gap
	}
	return out, nil
}

// enlarged is the size that a picture is drawn in, in pixels.
func enlarged(p image.Image) image.Point {
	size := p.Bounds().Size()
	scale := max(1, (leastSide+min(size.X, size.Y)-1)/min(size.X, size.Y))
	if max(size.X, size.Y)*scale > 8*leastSide { // a strip stays as it is
		scale = max(1, 8*leastSide/max(size.X, size.Y))
	}
	return size.Mul(scale)
}

// heated draws the attention of one picture's patches, interpolated between their centers.
func heated(out *image.RGBA, p image.Image, weights []float32, grid int, top float32) {
	b := p.Bounds()
	w, h := out.Rect.Dx(), out.Rect.Dy()
	scale := w / b.Dx()
	at := func(x, y int) float64 {
		x, y = min(max(x, 0), grid-1), min(max(y, 0), grid-1)
		return float64(weights[y*grid+x])
	}
	for y := range h {
		fy := (float64(y)+0.5)/float64(h)*float64(grid) - 0.5
		y0 := int(math.Floor(fy))
		for x := range w {
			fx := (float64(x)+0.5)/float64(w)*float64(grid) - 0.5
			x0 := int(math.Floor(fx))
			tx, ty := fx-float64(x0), fy-float64(y0)
			v := (1-ty)*((1-tx)*at(x0, y0)+tx*at(x0+1, y0)) + ty*((1-tx)*at(x0, y0+1)+tx*at(x0+1, y0+1))
			if top > 0 {
				v /= float64(top)
			}
			r, g, bl, _ := p.At(b.Min.X+x/scale, b.Min.Y+y/scale).RGBA()
			gray := (0.299*float64(r) + 0.587*float64(g) + 0.114*float64(bl)) / 257
			under := color.RGBA{uint8(gray), uint8(gray), uint8(gray), 255}
			out.SetRGBA(out.Rect.Min.X+x, y, mix(under, heat(v), 0.45+0.35*v))
		}
	}
}

// The colors of a heat map, evenly from no attention to the most.
var heats = []color.RGBA{{0x08, 0x06, 0x20, 255}, {0x4a, 0x10, 0x6b, 255}, {0xb0, 0x2a, 0x5c, 255}, {0xf2, 0x70, 0x2a, 255}, {0xfc, 0xc8, 0x3c, 255}, {255, 255, 230, 255}}

func heat(v float64) color.RGBA {
	at := min(max(v, 0), 1) * float64(len(heats)-1)
	i := min(int(at), len(heats)-2)
	return mix(heats[i], heats[i+1], at-float64(i))
}
