package picture

// Normalization holds the numbers of preprocessor_config.json that turn 8-bit
// samples into pixel_values: (x*Rescale - Mean[c]) / Std[c].
type Normalization struct {
	Rescale   float64    // rescale_factor
	Mean, Std [3]float64 // image_mean, image_std of R, G, B
}

// SigLIP maps 0…255 to -1…1, the normalization of every released PaliGemma.
var SigLIP = Normalization{Rescale: 1.0 / 255, Mean: [3]float64{0.5, 0.5, 0.5}, Std: [3]float64{0.5, 0.5, 0.5}}

// PixelValues resizes p to size x size and returns pixel_values [3, size, size]
// (channel R, G, B; row; column). The arithmetic is that of transformers'
// image_transforms: rescale in float64 and round to float32, then subtract and
// divide in float32.
func PixelValues(p *Picture, size int, n Normalization) []float32 {
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
			out[c*size*size+i] = table[c][q.RGB[3*i+c]]
		}
	}
	return out
}
