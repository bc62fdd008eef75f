package floats

import "math"

// AddProduct adds l·a to d, element by element, with one rounding: a fused multiply-add.
func AddProduct(d, a []float32, l float32) {
	a = a[:len(d)]
	if n := len(d) &^ 7; vectors && n > 0 {
		addProductFMA(&d[0], &a[0], n, l)
		d, a = d[n:], a[n:]
	}
	for i := range d {
		d[i] = fma(l, a[i], d[i])
	}
}

// fma is l·a + d rounded once.
func fma(l, a, d float32) float32 {
	p, c := float64(l)*float64(a), float64(d) // p is exact
	s := p + c
	const tie, below = 1 << 28, 1<<29 - 1 // of the bits that a float32 has not
	if math.Float64bits(s)&below == tie {
		t := s - p // what s has lost decides
		if lost := (p - (s - t)) + (c - t); lost != 0 {
			s = math.Nextafter(s, math.Inf(int(math.Copysign(1, lost))))
		}
	}
	return float32(s)
}
