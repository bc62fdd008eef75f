package bench

import (
	"regexp"
	"strings"
)

// integers finds the bits of a matmul's integer weights where its activations are integers, too, in the name that
// kernels.Label gave the kernel.
var integers = regexp.MustCompile(`_int([48])_int8$`)

// arithmetic is the limit of a kernel's operations per second, and what it is called.
func (p Peaks) arithmetic(kernel string) (float64, string) {
	switch m := integers.FindStringSubmatch(kernel); {
	case strings.HasSuffix(kernel, "_bf16_bf16"):
		return p.BFloats, "bf16 products"
	case m == nil:
		return p.Flops, "f32 multiply-add"
	case m[1] == "8":
		return p.Int8, "int8 products"
	default:
		return p.Int4, "int4 by int8 products"
	}
}

// bandwidth is the limit of the bytes per second that a kernel reads. Matrices come from memory; all else was written a
// moment before and may still be in a cache.
func (p Peaks) bandwidth(kernel string) (float64, string) {
	if strings.HasPrefix(kernel, "matmul") {
		return p.Bandwidth, "memory"
	}
	return p.Cache, "cache"
}

// roof is the least time that a kernel's work takes at the limits.
func (p Peaks) roof(r *Row) float64 {
	flops, _ := p.arithmetic(r.Kernel)
	bytes, _ := p.bandwidth(r.Kernel)
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
