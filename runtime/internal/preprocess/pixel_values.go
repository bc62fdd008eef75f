// Package preprocess makes the pixel_values of a vision tower from images: Resize is Pillow's bicubic, PixelValues
// rescales and normalizes as transformers does, both exactly.
package preprocess

import "pgc/runtime/rgb"

// Normalization holds the numbers of preprocessor_config.json that turn 8-bit samples x of channel c into pixel_values:
// (x*Rescale - Mean[c]) / Std[c].
type Normalization struct {
	Rescale   float64    // rescale_factor
	Mean, Std [3]float64 // image_mean, image_std of R, G, B
}

// PixelValues resizes p to size x size and returns pixel_values [3, size, size] (channel R, G, B; row; column). It
// computes as transformers' image_transforms: rescale in float64 and round to float32, then subtract and divide in
// float32.
func PixelValues(p *rgb.Image, size int, n Normalization) []float32 {
	var table [3][256]float32
	for c := range table {
		for v := range table[c] {
			scaled := float32(float64(v) * n.Rescale)
			table[c][v] = (scaled - float32(n.Mean[c])) / float32(n.Std[c])
		}
	}
	q := Resize(p, size, size)
	out := make([]float32, 3*size*size)
	for i := range size * size {
		for c := range table {
			out[c*size*size+i] = table[c][q.Pix[3*i+c]]
		}
	}
	return out
}
