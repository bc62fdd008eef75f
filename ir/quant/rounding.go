package quant

// Rounding says how the rows of a matrix become integers. Nil is plain rounding: scales from the range of a group, fitted
// by least squares in groups of 4 bits. 8 bits are always rounded plainly: there is nothing to gain.
type Rounding struct {
	Search bool     // look for better scales of 4-bit groups
	Inputs *Moments // of what the matrix is multiplied with; nil if unknown
}

// Row quantizes a row of values into g, which has room for them.
func (r *Rounding) Row(x []float32, bits int, g *Groups) {
	if bits == 4 && r != nil && r.Inputs != nil {
		r.compensated(x, g)
		return
	}
	for i := range g.Scale {
		first := i * g.Len
		part := x[first:min(len(x), first+g.Len)]
		q := g.Q[first:][:len(part)]
		switch {
		case bits == 8:
			g.Scale[i] = Symmetric8(part, q)
		case r != nil && r.Search:
			g.Scale[i], g.Min[i] = search4(part, nil, q)
		default:
			g.Scale[i], g.Min[i] = Asymmetric4(part, q)
		}
	}
}
