// Package quant is the arithmetic of the integer storage formats: how a group of neighbouring values of a row becomes small
// integers and a scale, and what these stand for.
//
// Two families exist. Symmetric 8-bit groups hold q·scale with q in -127…127 and a float32 scale; weights and activations use
// them. Asymmetric 4-bit groups hold q·scale + min with q in 0…15, scale and min rounded to bfloat16, as torchao's
// int4_weight_only has them. All arithmetic is float32, one rounding an operation, so that kernels reproduce it bit for bit.
//
// The package imports nothing of the project.
package quant

import "math"

// Symmetric8 quantizes a group to q, which is as long as x, and returns the scale: the greatest magnitude over 127. Values
// round to nearest, ties to even. A group of zeros, or of values whose scale is too small to invert, has scale 0.
func Symmetric8(x []float32, q []int8) (scale float32) {
	top := float32(0)
	for _, v := range x {
		top = max(top, float32(math.Abs(float64(v))))
	}
	scale = top / 127
	inverse := float32(127) / top
	if !(top >= Smallest) {
		clear(q)
		return 0
	}
	for i, v := range x {
		q[i] = int8(math.RoundToEven(float64(v * inverse)))
	}
	return scale
}

// Smallest is the least magnitude that a group is scaled by: the reciprocal of anything smaller may overflow.
const Smallest = 1e-30

// Asymmetric4 quantizes a group to q, in 0…15, and returns scale and min, both representable in bfloat16. Given the
// integers of the first rounding it fits scale and min by least squares and rounds again, as long as the squared error
// falls; with search it starts from several narrower ranges, too, and keeps the best. An exactly constant group has scale 0.
func Asymmetric4(x []float32, q []uint8, search bool) (scale, min float32) {
	lo, hi := x[0], x[0]
	for _, v := range x {
		lo, hi = minimum(lo, v), maximum(hi, v)
	}
	scale, min = BF16((hi-lo)/15), BF16(lo)
	best := assign(x, q, scale, min)
	if best == 0 {
		return scale, min
	}
	trial := make([]uint8, len(x))
	try := func(s, m float32) bool {
		s, m = BF16(s), BF16(m)
		e := assign(x, trial, s, m)
		if e < best {
			best, scale, min = e, s, m
			copy(q, trial)
			return true
		}
		return false
	}
	for range 2 {
		if !try(fit(x, q)) {
			break
		}
	}
	if !search {
		return scale, min
	}
	for shrink := 1; shrink <= 10; shrink++ {
		for _, side := range [][2]float32{{1, 1}, {1, 0}, {0, 1}} {
			cut := float32(shrink) * 0.02 * (hi - lo)
			l, h := lo+cut*side[0], hi-cut*side[1]
			if try((h-l)/15, l) {
				try(fit(x, q))
			}
		}
	}
	return scale, min
}

func minimum(a, b float32) float32 {
	if b < a {
		return b
	}
	return a
}

func maximum(a, b float32) float32 {
	if b > a {
		return b
	}
	return a
}

// assign rounds x to the nearest of the 16 values and returns the squared error.
func assign(x []float32, q []uint8, scale, min float32) (squared float64) {
	inverse := float32(0)
	if scale > Smallest {
		inverse = 1 / scale
	}
	for i, v := range x {
		n := (v-min)*inverse + 0.5
		k := uint8(0)
		switch {
		case n >= 15:
			k = 15
		case n > 0:
			k = uint8(n)
		}
		q[i] = k
		e := float64(v - Value4(k, scale, min))
		squared += e * e
	}
	return squared
}

// fit returns the scale and min of least squares for given integers.
func fit(x []float32, q []uint8) (scale, min float32) {
	var n, sq, sqq, sx, sqx float64
	for i, v := range x {
		k := float64(q[i])
		n++
		sq += k
		sqq += k * k
		sx += float64(v)
		sqx += k * float64(v)
	}
	d := n*sqq - sq*sq
	if d == 0 {
		return 0, float32(sx / n)
	}
	s := (n*sqx - sq*sx) / d
	return float32(s), float32((sx - s*sq) / n)
}

// Value4 is what a 4-bit integer stands for: q·scale + min, rounded once.
func Value4(q uint8, scale, min float32) float32 {
	return float32(math.FMA(float64(q), float64(scale), float64(min))) // exact in float64: 4 by 8 bits, and one addition
}

// BF16 rounds to bfloat16, ties to even; what is beyond its range becomes infinite.
func BF16(v float32) float32 {
	b := math.Float32bits(v)
	if v != v {
		return v
	}
	return math.Float32frombits((b + 0x7fff + b>>16&1) &^ 0xffff)
}

// Round replaces the values of a row by what a format of the given bits and group stands for; the last group may be short.
func Round(row []float64, bits, group int) {
	for first := 0; first < len(row); first += group {
		part := row[first:min(len(row), first+group)]
		x := make([]float32, len(part))
		for i, v := range part {
			x[i] = float32(v)
		}
		if bits == 8 {
			q := make([]int8, len(x))
			scale := Symmetric8(x, q)
			for i := range part {
				part[i] = float64(float32(q[i]) * scale)
			}
			continue
		}
		q := make([]uint8, len(x))
		scale, low := Asymmetric4(x, q, false)
		for i := range part {
			part[i] = float64(Value4(q[i], scale, low))
		}
	}
}

// RowLayout says how a row of k values in symmetric 8-bit groups lies in the memory of a running program: the integers, padded
// with zeros to a cache line, then the float32 scales of the groups, then the sums of their integers times the scale, which
// products with asymmetric weights need. All are byte counts.
func RowLayout(k, group int64) (bytes, scales, sums int64) {
	groups := (k + group - 1) / group
	scales = (k + 63) / 64 * 64
	sums = scales + 4*groups
	return (sums + 4*groups + 63) / 64 * 64, scales, sums
}
