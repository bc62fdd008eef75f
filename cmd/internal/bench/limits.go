package bench

// arithmetic returns the limit of a kernel's operations per second, and its name.
func (p Peaks) arithmetic(r *Row) (float64, string) {
	switch {
	case r.lhs == "bf16":
		return p.BF16, "bf16 products"
	case r.lhs == "int8" && r.rhs == "int8":
		return p.Int8, "int8 products"
	case r.lhs == "int8":
		return p.Int4, "int4 by int8 products"
	}
	return p.Flops, "f32 multiply-add"
}

// bandwidth returns the limit of the bytes per second that a kernel reads. Matrices come from memory; everything else
// was just written and may still be in a cache.
func (p Peaks) bandwidth(r *Row) (float64, string) {
	if r.rhs != "" {
		return p.Bandwidth, "memory"
	}
	return p.Cache, "cache"
}

// roof returns the shortest time that a kernel's work takes at the limits.
func (p Peaks) roof(r *Row) float64 {
	flops, _ := p.arithmetic(r)
	bytes, _ := p.bandwidth(r)
	return max(float64(r.Flops)/flops, float64(r.Bytes)/bytes)
}

// rate computes every row's share of its roof.
func (r *Report) rate() {
	for i := range r.Phases {
		for j := range r.Phases[i].Rows {
			row := &r.Phases[i].Rows[j]
			if row.Seconds > 0 {
				row.Roof = r.Peaks.roof(row) / row.Seconds
			}
		}
	}
}
