// Package preprocess makes the pixel_values of a vision tower from images: Resize is Pillow's bicubic, PixelValues
// rescales and normalizes as transformers does, both exactly.
package preprocess

import (
	"pgc/runtime/manifest"
	"pgc/runtime/rgb"
)

// PixelValues resizes p to the model's size × size and returns pixel_values [3, size, size] (channel R, G, B; row;
// column). Sample x of channel c becomes (x*RescaleFactor - Mean[c]) / Std[c], as in transformers' image_transforms:
// rescaled in float64 and rounded to float32, then subtracted and divided in float32.
func PixelValues(p *rgb.Image, m *manifest.Model) []float32 {
	var table [3][256]float32
	for c := range table {
		for v := range table[c] {
			scaled := float32(float64(v) * m.RescaleFactor)
			table[c][v] = (scaled - float32(m.Mean[c])) / float32(m.Std[c])
		}
	}
	size := m.ImageSize
	q := Resize(p, size, size)
	out := make([]float32, 3*size*size)
	for i := range size * size {
		for c := range table {
			out[c*size*size+i] = table[c][q.Pix[3*i+c]]
		}
	}
	return out
}
