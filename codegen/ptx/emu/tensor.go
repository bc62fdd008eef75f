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

// factor is an element of A or B: value·2^-exponent has a magnitude below 2. Zero has the exponent none, infinity and
// NaN have special.
type factor struct {
	value    float64
	exponent int32
}

const (
	noExponent = -1 << 18
	special64  = 1 << 20
)

// factorOf takes a float apart that has a mantissa of so many bits; bits are a float32's.
func factorOf(b uint32) factor {
	e := int32(b >> 23 & 0xff)
	v := float64(math.Float32frombits(b))
	switch {
	case e == 255:
		return factor{v, special64}
	case v == 0:
		return factor{v, noExponent}
	case e == 0:
		e = 1
	}
	return factor{v, e - 127}
}

// factorOfHalf takes a float16 apart.
func factorOfHalf(h uint32) factor {
	e, f := int32(h>>10&31), h&0x3ff
	v := math.Ldexp(float64(f), -24)
	exponent := int32(-14)
	switch {
	case e == 31:
		return factor{halfOf(uint64(h)), special64}
	case e > 0:
		v = math.Ldexp(float64(f|0x400), int(e)-25)
		exponent = e - 15
	case f == 0:
		return factor{0, noExponent}
	}
	if h&0x8000 != 0 {
		v = -v
	}
	return factor{v, exponent}
}

// halfFactors is factorOfHalf of every float16.
var halfFactors = func() *[1 << 16]factor {
	t := new([1 << 16]factor)
	for h := range t {
		t[h] = factorOfHalf(uint32(h))
	}
	return t
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
	load := func(to []factor, v uint32) {
		switch ta {
		case bf16:
			to[0], to[1] = factorOf(v<<16), factorOf(v&0xffff0000)
		case f16:
			to[0], to[1] = halfFactors[v&0xffff], halfFactors[v>>16]
		default:
			to[0] = factorOf(v &^ (1<<13 - 1))
		}
	}
	l.out.run = func(w *warp, _ uint32) {
		var A [16][16]factor
		var B [8][16]factor
		for lane := range warpSize {
			for i, r := range a {
				row, k := fragmentA(s, per, lane, i)
				load(A[row][k:k+per], uint32(w.r[r][lane]))
			}
			for i, r := range b {
				k := lane%4*per + 4*per*i
				load(B[lane/4][k:k+per], uint32(w.r[r][lane]))
			}
		}
		var out [16][8]uint32
		if td == f16 {
			for lane := range warpSize {
				for i := range c {
					v, row, col := w.r[c[i]][lane], lane/4+i*8, lane%4*2
					for j := range 2 {
						x := float32(halfOf(v >> (16 * j) & 0xffff))
						out[row][col+j] = uint32(half(float64(fusedSum(A[row][:s.k], B[col+j][:s.k], x)), nearest))
					}
				}
			}
			for lane := range warpSize {
				for i, r := range d {
					o := &out[lane/4+i*8]
					w.r[r][lane] = uint64(o[lane%4*2]) | uint64(o[lane%4*2+1])<<16
				}
			}
			return
		}
		for lane := range warpSize {
			for i := range c {
				row, col := lane/4+i/2*8, lane%4*2+i%2
				out[row][col] = uint32(bits32(fusedSum(A[row][:s.k], B[col][:s.k], f32of(w.r[c[i]][lane]))))
			}
		}
		for lane := range warpSize {
			for i, r := range d {
				w.r[r][lane] = uint64(out[lane/4+i/2*8][lane%4*2+i%2])
			}
		}
	}
}

// fusedSum is the sum of products and c as tensor cores compute it: the exact terms are moved to the exponent of the
// largest, that of a product being the sum of its factors', and cut off towards zero; their sum is exact, and it is cut
// off to float32, towards zero, too.
func fusedSum(x, y []factor, c float32) float32 {
	y = y[:len(x)]
	top := int32(noExponent)
	for k := range x {
		top = max(top, x[k].exponent+y[k].exponent)
	}
	if top >= special64/2 {
		return specialSum(x, y, c)
	}
	cf := factorOf(math.Float32bits(c))
	if cf.exponent == special64 {
		return specialSum(x, y, c)
	}
	if top = max(top, cf.exponent); top <= noExponent/2 {
		return 0
	}
	// The unit of the sum is 2^(top-kept). Products in float64 are exact here, and so are those with a power of two.
	scale := math.Float64frombits(uint64(kept-top+1023) << 52)
	sum := int64(cf.value * scale)
	for k := range x {
		sum += int64(x[k].value * y[k].value * scale)
	}
	unit := top - kept
	magnitude := uint64(max(sum, -sum))
	last := max(unit+int32(bits.Len64(magnitude))-24, -149)
	if drop := last - unit; drop > 0 {
		magnitude = magnitude >> min(drop, 63) << min(drop, 63)
	}
	v := float32(float64(magnitude) * math.Float64frombits(uint64(unit+1023)<<52))
	if sum < 0 {
		return -v
	}
	return v
}

// specialSum is a sum in which infinity or NaN occurs.
func specialSum(x, y []factor, c float32) float32 {
	sum := float64(c)
	for k := range x {
		sum += x[k].value * y[k].value
	}
	return float32(sum)
}
