package quant

// Rounding says how the rows of a matrix become codes. Nil is plain rounding: scales from the range of a group, those
// of formats that are fitted by least squares. Formats that are not fitted are always rounded plainly.
type Rounding struct {
	Search bool     // look for better scales
	Inputs *Moments // of what the matrix is multiplied with; nil if unknown
}

// Row quantizes a row of values into g, which has room for them.
func (r *Rounding) Row(x []float32, f Format, g *Groups) {
	t := f.Traits()
	if t.Fitted && r != nil && r.Inputs != nil {
		r.compensated(x, g)
		return
	}
	for i := range g.Scale {
		first := i * g.Len
		part := x[first:min(len(x), first+g.Len)]
		q := g.Q[first:][:len(part)]
		g.Scale[i], g.Min[i] = t.encode(r, part, q)
	}
}
