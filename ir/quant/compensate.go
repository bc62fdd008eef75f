package quant

// compensated quantizes a row to 4 bits so that the products with inputs of the given moments change least (Frantar et
// al. 2022, "GPTQ"): columns are rounded one after the other, each to make up for the errors of those before it in its
// block. Scales are searched for what is left of the values when a group begins, errors weighted by what later columns
// cannot make up for.
func (r *Rounding) compensated(x []float32, g *Groups) {
	m := r.Inputs
	factors := m.factored()
	if len(g.work) < 2*len(x) {
		g.work = make([]float32, 2*len(x))
	}
	w, e := g.work[:len(x)], g.work[len(x):2*len(x)] // values with what they are to make up for; errors
	for b, f := range factors {
		first := b * m.block
		n := len(f.weight)
		w, e, x, q := w[first:][:n], e[first:][:n], x[first:][:n], g.Q[first:][:n]
		for at := 0; at < n; at += g.Len {
			end := min(n, at+g.Len)
			for j := at; j < end; j++ {
				w[j] = x[j] + dot(f.before[j*n:][:at], e[:at])
			}
			i := (first + at) / g.Len
			weight := f.weight[at:end]
			scale, low := search4(w[at:end], weight, q[at:end])
			g.Scale[i], g.Min[i] = scale, low
			inverse := inverse4(scale)
			for j := at; j < end; j++ {
				v := w[j] + dot(f.before[j*n+at:][:j-at], e[at:j])
				_, q[j] = nearest(float32((v - low) * inverse))
				e[j] = x[j] - affineValue(q[j], scale, low)
			}
		}
	}
}

// dot sums products in four lanes.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	for len(a) >= 4 && len(b) >= 4 {
		x, y := (*[4]float32)(a), (*[4]float32)(b)
		s0 += float32(x[0] * y[0])
		s1 += float32(x[1] * y[1])
		s2 += float32(x[2] * y[2])
		s3 += float32(x[3] * y[3])
		a, b = a[4:], b[4:]
	}
	for i := range a {
		s0 += float32(a[i] * b[i])
	}
	return (s0 + s1) + (s2 + s3)
}
