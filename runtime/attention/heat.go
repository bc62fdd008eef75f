package attention

import (
	"image"
	"image/color"
	"math"
	"slices"
)

// leastSide is the shortest side that a heat map's pictures are enlarged to, in pixels.
const leastSide = 448

// Heat draws attention over pictures, side by side: weights are those of the patches of all pictures, as many for each, which lie in
// a square over it. The hottest patch is white, patches without attention leave the picture dark.
func Heat(pictures []image.Image, weights []float32) image.Image {
	per := len(weights) / len(pictures)
	grid := int(math.Round(math.Sqrt(float64(per))))
	top := slices.Max(weights)
	const gap = 8
	var parts []*image.RGBA
	width, height := 0, 0
	for i, p := range pictures {
		part := heated(p, weights[i*per:][:per], grid, top)
		parts = append(parts, part)
		width, height = width+part.Rect.Dx(), max(height, part.Rect.Dy())
	}
	out := image.NewRGBA(image.Rect(0, 0, width+gap*(len(parts)-1), height))
	fill(out, out.Rect, paper)
	x := 0
	for _, part := range parts {
		for y := range part.Rect.Dy() {
			copy(out.Pix[out.PixOffset(x, y):], part.Pix[y*part.Stride:][:4*part.Rect.Dx()])
		}
		x += part.Rect.Dx() + gap
	}
	return out
}

// heated draws the attention of one picture's patches, interpolated between their centers.
func heated(p image.Image, weights []float32, grid int, top float32) *image.RGBA {
	b := p.Bounds()
	scale := max(1, (leastSide+min(b.Dx(), b.Dy())-1)/min(b.Dx(), b.Dy()))
	if max(b.Dx(), b.Dy())*scale > 8*leastSide { // a strip stays as it is
		scale = max(1, 8*leastSide/max(b.Dx(), b.Dy()))
	}
	w, h := b.Dx()*scale, b.Dy()*scale
	out := image.NewRGBA(image.Rect(0, 0, w, h))
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
			out.SetRGBA(x, y, mix(under, heat(v), 0.45+0.35*v))
		}
	}
	return out
}

// The colors of a heat map, evenly from no attention to the most.
var heats = []color.RGBA{{0x08, 0x06, 0x20, 255}, {0x4a, 0x10, 0x6b, 255}, {0xb0, 0x2a, 0x5c, 255}, {0xf2, 0x70, 0x2a, 255}, {0xfc, 0xc8, 0x3c, 255}, {255, 255, 230, 255}}

func heat(v float64) color.RGBA {
	at := min(max(v, 0), 1) * float64(len(heats)-1)
	i := min(int(at), len(heats)-2)
	return mix(heats[i], heats[i+1], at-float64(i))
}
