package emu

import (
	"math"
	"math/bits"
)

func fma64(x, y, z float64) float64 { return math.FMA(x, y, z) }

// kept is how many bits behind the leading one of the largest term a sum of the tensor cores keeps. Measured on an
// H100, where the k products of an instruction and the number that they are added to are one sum; other formats than
// bfloat16 are taken to be summed likewise.
const kept = 25

// factor is an element of A or B: value·2^-exponent has a magnitude below 2. Zero has the exponent noExponent, infinity
// and NaN have notFinite.
type factor struct {
	value    float64
	exponent int32
}

const (
	noExponent = -1 << 18
	notFinite  = 1 << 20
)

// vector is the factors of a row of A or of a column of B, 16 at most; the rest are zeros.
type vector struct {
	value    [16]float64
	exponent [16]int32
}

func (v *vector) set(k int, f factor) { v.value[k], v.exponent[k] = f.value, f.exponent }

// factorOf takes a float apart; bits are a float32's.
func factorOf(b uint32) factor {
	e := int32(b >> 23 & 0xff)
	v := float64(math.Float32frombits(b))
	switch {
	case e == 255:
		return factor{v, notFinite}
	case v == 0:
		return factor{v, noExponent}
	case e == 0:
		e = 1
	}
	return factor{v, e - 127}
}

// factorOfHalf takes a float16 apart.
func factorOfHalf(h uint32) factor {
	e := int32(h >> 10 & 31)
	v := halfOf(uint64(h))
	switch {
	case e == 31:
		return factor{v, notFinite}
	case v == 0:
		return factor{v, noExponent}
	case e == 0:
		e = 1
	}
	return factor{v, e - 15}
}

// halfFactors is factorOfHalf of every float16, brainFactors factorOf of every bfloat16.
var halfFactors, brainFactors = func() (halves, brains *[1 << 16]factor) {
	halves, brains = new([1 << 16]factor), new([1 << 16]factor)
	for b := range uint32(1 << 16) {
		halves[b], brains[b] = factorOfHalf(b), factorOf(b<<16)
	}
	return halves, brains
}()

// floatMatrix multiplies bfloat16, float16 and tf32.
func (l *lowering) floatMatrix(s mmaShape, td, ta, tb, tc typ) {
	if ta != tb || td != tc || td != f32 && (td != f16 || ta != f16) || s.m != 16 {
		l.unknown("%s", l.now.in.name)
	}
	element := ta
	if ta == tf32 {
		element = b32
	}
	d, a, b, c := l.fragments(s, element, td, b32)
	per := 32 / element.bits()
	load := func(to *vector, k int, v uint32) { to.set(k, factorOf(v&^(1<<13-1))) }
	if ta != tf32 {
		table := brainFactors
		if ta == f16 {
			table = halfFactors
		}
		load = func(to *vector, k int, v uint32) {
			to.set(k, table[v&0xffff])
			to.set(k+1, table[v>>16])
		}
	}
	padded := func() (v vector) {
		for k := s.k; k < len(v.exponent); k++ {
			v.exponent[k] = noExponent
		}
		return v
	}()
	l.out.run = func(w *warp, _ uint32) {
		var A [16]vector
		var B [8]vector
		if s.k < 16 {
			for i := range A {
				A[i] = padded
			}
			for i := range B {
				B[i] = padded
			}
		}
		for i, r := range a {
			for lane, v := range w.r[r] {
				row, k := fragmentA(s, per, lane, i)
				load(&A[row&15], k, uint32(v))
			}
		}
		for i, r := range b {
			for lane, v := range w.r[r] {
				load(&B[lane/4], lane%4*per+4*per*i, uint32(v))
			}
		}
		if td == f16 {
			for i := range c {
				C, D := *w.r[c[i]], w.r[d[i]]
				for lane, v := range C {
					x, y := &A[lane/4+i*8&15], &B[lane%4*2&7]
					low := half(float64(fusedSum(x, y, float32(halfOf(v&0xffff)))), nearest)
					y = &B[lane%4*2&7+1]
					D[lane] = low | half(float64(fusedSum(x, y, float32(halfOf(v>>16)))), nearest)<<16
				}
			}
			return
		}
		for i := range c {
			C, D := w.r[c[i]], w.r[d[i]]
			for lane, v := range C {
				D[lane] = bits32(fusedSum(&A[(lane/4+i/2*8)&15], &B[(lane%4*2+i%2)&7], f32of(v)))
			}
		}
	}
}

// fusedSum is the sum of products and c as tensor cores compute it: the exact terms are moved to the exponent of the
// largest, that of a product being the sum of its factors', and cut off towards zero; their sum is exact, and it is cut
// off to float32, towards zero, too.
func fusedSum(x, y *vector, c float32) float32 {
	e, f := &x.exponent, &y.exponent
	t0, t1, t2, t3 := e[0]+f[0], e[1]+f[1], e[2]+f[2], e[3]+f[3]
	for k := 4; k < 16; k += 4 {
		t0, t1 = max(t0, e[k]+f[k]), max(t1, e[k+1]+f[k+1])
		t2, t3 = max(t2, e[k+2]+f[k+2]), max(t3, e[k+3]+f[k+3])
	}
	cf := factorOf(math.Float32bits(c))
	top := max(t0, t1, t2, t3, cf.exponent)
	if top >= notFinite/2 {
		return specialSum(x, y, c)
	}
	if top <= noExponent/2 {
		return 0
	}
	// The unit of the sum is 2^(top-kept). Products in float64 are exact here, and so are those with a power of two.
	scale := math.Float64frombits(uint64(kept-top+1023) << 52)
	v, u := &x.value, &y.value
	s0, s1, s2, s3 := int64(cf.value*scale), int64(0), int64(0), int64(0)
	for k := 0; k < 16; k += 4 {
		s0 += int64(v[k] * u[k] * scale)
		s1 += int64(v[k+1] * u[k+1] * scale)
		s2 += int64(v[k+2] * u[k+2] * scale)
		s3 += int64(v[k+3] * u[k+3] * scale)
	}
	sum := s0 + s1 + s2 + s3
	unit := top - kept
	magnitude := uint64(max(sum, -sum))
	last := max(unit+int32(bits.Len64(magnitude))-24, -149)
	if drop := uint32(last - unit); last > unit {
		magnitude = magnitude >> (drop & 63) << (drop & 63)
	}
	r := float32(float64(magnitude) * math.Float64frombits(uint64(unit+1023)<<52))
	if sum < 0 {
		return -r
	}
	return r
}

// specialSum is a sum in which infinity or NaN occurs.
func specialSum(x, y *vector, c float32) float32 {
	sum := float64(c)
	for k := range x.value {
		sum += x.value[k] * y.value[k]
	}
	return float32(sum)
}
