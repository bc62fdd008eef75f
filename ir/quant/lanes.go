package quant

import "math"

// The loops over the values of a group, eight lanes wide: value i belongs to lane i mod 8, and lanes are added in one
// order, so that vectors and plain code give the same bits. Nothing here depends on a machine but the time it takes.

// lanes are the sums of assign, by lane.
type lanes struct {
	n, k, kk, r, rk, rr [8]float32
}

// sums are what a rounding of a group leaves: n values, their integers k and residuals r in units of the scale, every
// value as often as it counts.
type sums struct {
	n, k, kk, r, rk float32
	squared         float64 // error in the units of x; NaN if a value is NaN
}

// magic is added to a small number to round it: the nearest integer is in the lower bits, ties go to even.
const magic = 0x1.8p23

// nearest rounds u to an integer from 0 to 15, as a number and as a byte.
func nearest(u float32) (float32, uint8) {
	if u < 0 {
		return 0, 0
	}
	if u > 15 {
		return 15, 15
	}
	t := u + magic
	return t - magic, uint8(math.Float32bits(t))
}

// ones are the weights of values that count once.
var ones = func() (w [maxGroup]float32) {
	for i := range w {
		w[i] = 1
	}
	return w
}()

// maxGroup bounds the length of a group.
const maxGroup = 128

// assign rounds x to the nearest of the 16 values. Value i counts weight[i] times, or once.
func assign(x, weight []float32, q []uint8, scale, min float32) (s sums) {
	inverse := inverse4(scale)
	if weight == nil {
		weight = ones[:]
	}
	q, weight = q[:len(x)], weight[:len(x)]
	var l lanes
	n := 0
	if vectors && len(x) >= 8 {
		n = len(x) &^ 7
		assignAVX2(&x[0], &weight[0], &q[0], n, min, inverse, &l)
	}
	for i := n; i < len(x); i++ {
		u, w := float32((x[i]-min)*inverse), weight[i]
		k, integer := nearest(u)
		q[i] = integer
		r := u - k
		wk, wr := float32(w*k), float32(w*r)
		at := i & 7
		l.n[at] += w
		l.k[at] += wk
		l.kk[at] += float32(wk * k)
		l.r[at] += wr
		l.rk[at] += float32(wr * k)
		l.rr[at] += float32(wr * r)
	}
	s = sums{total(&l.n), total(&l.k), total(&l.kk), total(&l.r), total(&l.rk), 0}
	s.squared = float64(total(&l.rr)) * float64(scale) * float64(scale)
	return s
}

// total adds lanes.
func total(l *[8]float32) float32 {
	return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}

// bounds are the least and the greatest value; a zero has no sign.
func bounds(x []float32) (lo, hi float32) {
	lo, hi = x[0], x[0]
	n := 0
	if vectors && len(x) >= 8 {
		n = len(x) &^ 7
		var least, most [8]float32
		boundsAVX2(&x[0], n, &least, &most)
		for i := range 8 {
			lo, hi = lesser(lo, least[i]), -lesser(-hi, -most[i])
		}
	}
	for _, v := range x[n:] {
		lo, hi = lesser(lo, v), -lesser(-hi, -v)
	}
	return lo + 0, hi + 0
}

func lesser(a, b float32) float32 {
	if b < a {
		return b
	}
	return a
}

// top is the greatest magnitude, infinite or NaN if one of the values is.
func top(x []float32) float32 {
	most := uint32(0)
	n := 0
	if vectors && len(x) >= 8 {
		n = len(x) &^ 7
		var lane [8]uint32
		topAVX2(&x[0], n, &lane)
		for _, v := range lane {
			most = max(most, v)
		}
	}
	for _, v := range x[n:] {
		most = max(most, math.Float32bits(v)&^(1<<31))
	}
	return math.Float32frombits(most)
}

// scaled rounds the values times inverse to integers of 8 bits, in two's complement.
func scaled(x []float32, q []byte, inverse float32) {
	q = q[:len(x)]
	n := 0
	if vectors && len(x) >= 8 {
		n = len(x) &^ 7
		roundAVX2(&x[0], &q[0], n, inverse)
	}
	for i := n; i < len(x); i++ {
		q[i] = byte(math.Float32bits(float32(x[i]*inverse) + magic))
	}
}
