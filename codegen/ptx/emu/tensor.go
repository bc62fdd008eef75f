package emu

import (
	"math"
	"math/bits"
	"sync"
)

func fma64(x, y, z float64) float64 { return math.FMA(x, y, z) }

// kept is how many bits behind the leading one of the largest term a sum of the tensor cores keeps. Measured on an
// H100, where the k products of an instruction and the number that they are added to are one sum; other formats than
// bfloat16 are taken to be summed likewise.
const kept = 25

// factor is an element of A or B, a float32 of at most 11 digits, and its exponent: that of the leading digit of a normal number,
// the least one of subnormal numbers. Zero has the exponent noExponent; infinity and NaN have notFinite.
type factor struct {
	exponent int32
	value    float32
}

// The sum of noExponent and an exponent of a number is at most zerosEnd; that of notFinite and any other is at least finiteEnd.
const (
	noExponent = -1 << 12
	notFinite  = 1 << 14
	zerosEnd   = noExponent / 2
	finiteEnd  = notFinite / 2
)

// vector is the factors of a row of A or of a column of B, 16 at most; the rest are zeros.
type vector struct {
	value    [16]float64
	exponent [16]int32
}

func (v *vector) set(k int, f factor) { v.exponent[k], v.value[k] = f.exponent, float64(f.value) }

// floatTile is a product of matrices on its way. Exponents lie by row of A, and by k and column of B, with those of an odd k
// beside those of the k before it; values with even k lie before those with odd k. multiplyAVX2 knows the order of the fields.
type floatTile struct {
	aExponents [16][8][2]int16
	aValues    [16][2][8]float32
	bExponents [8][8][2]int16
	bValues    [2][8][8]float32
	c, d       [16][8]uint32
}

// exponentOf is the exponent of a float32 as factors have it.
func exponentOf(b uint32) int32 {
	e := int32(b >> 23 & 0xff)
	switch {
	case e == 255:
		return notFinite
	case b<<1 == 0:
		return noExponent
	}
	return max(e, 1) - 127
}

// factorOf takes a float apart; bits are a float32's.
func factorOf(b uint32) factor { return factor{exponentOf(b), math.Float32frombits(b)} }

// factorOfHalf takes a float16 apart.
func factorOfHalf(h uint32) factor {
	e := int32(h >> 10 & 31)
	switch {
	case e == 31:
		e = notFinite
	case h<<17 == 0:
		e = noExponent
	default:
		e = max(e, 1) - 15
	}
	return factor{e, float32(halfOf(uint64(h)))}
}

// fragments are the registers of a product with k = 16, as its operands lie in a warp.
type fragments struct {
	a    [4]*lanes
	b    [2]*lanes
	c, d [4]*lanes
}

// split says how a format of 16 bits is taken apart. loadAVX2 knows the order of the fields.
type split struct {
	exponentAt    uint64 // how far an exponent is shifted up, where the sign is shifted out
	narrower      uint64 // how many bits fewer than float32's an exponent has
	kept          uint32 // of a float32 whose exponent and fraction were shifted down by so much, all but copies of the sign
	factor        float32
	special, bias int16 // exponents: of infinity and NaN, and of 1
}

// pairForm is a format of which a register holds two elements. Its factors are made when a product first needs them.
type pairForm struct {
	split
	factors func() *factorTable
}

// factorTable is the factors of a format of 16 bits.
type factorTable [1 << 16]factor

func newPairForm(s split, of func(b uint32) factor) *pairForm {
	return &pairForm{s, sync.OnceValue(func() *factorTable {
		t := new(factorTable)
		for b := range t {
			t[b] = of(uint32(b))
		}
		return t
	})}
}

// pairForms are the formats of 16 bits.
var pairForms = map[typ]*pairForm{
	f16:  newPairForm(split{exponentAt: 11, narrower: 3, kept: 0x8fffffff, factor: 1 << 112, special: 31, bias: 15}, factorOfHalf),
	bf16: newPairForm(split{exponentAt: 8, kept: 0xffffffff, factor: 1, special: 255, bias: 127}, func(b uint32) factor { return factorOf(b << 16) }),
}

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
	form := pairForms[ta] // of tf32 there is none
	l.out.run = func(w *warp, _ uint32) {
		t := &w.tile
		if vectors && form != nil && td == f32 && s.k == 16 {
			r := fragments{[4]*lanes{w.r[a[0]], w.r[a[1]], w.r[a[2]], w.r[a[3]]}, [2]*lanes{w.r[b[0]], w.r[b[1]]},
				[4]*lanes{w.r[c[0]], w.r[c[1]], w.r[c[2]], w.r[c[3]]}, [4]*lanes{w.r[d[0]], w.r[d[1]], w.r[d[2]], w.r[d[3]]}}
			loadAVX2(t, &r, &form.split)
			if multiplyAVX2(t) == 0 {
				storeAVX2(t, &r)
				return
			}
		}
		if s.k < 16 {
			t.clear()
		}
		if form != nil {
			t.loadPairs(form.factors(), w, a, b)
		} else {
			t.loadWords(w, a, b)
		}
		if td == f16 {
			for i := range c {
				for lane, v := range w.r[c[i]] {
					to := t.c[lane/4+i*8&15][lane%4*2&7:][:2]
					to[0], to[1] = uint32(bits32(float32(halfOf(v&0xffff)))), uint32(bits32(float32(halfOf(v>>16))))
				}
			}
			t.multiply()
			for i := range d {
				D := w.r[d[i]]
				for lane := range D {
					from := t.d[lane/4+i*8&15][lane%4*2&7:][:2]
					D[lane] = half(float64(math.Float32frombits(from[0])), nearest) | half(float64(math.Float32frombits(from[1])), nearest)<<16
				}
			}
			return
		}
		for i := range c {
			for lane, v := range w.r[c[i]] {
				t.c[(lane/4+i/2*8)&15][(lane%4*2+i%2)&7] = uint32(v)
			}
		}
		t.multiply()
		for i := range d {
			D := w.r[d[i]]
			for lane := range D {
				D[lane] = uint64(t.d[(lane/4+i/2*8)&15][(lane%4*2+i%2)&7])
			}
		}
	}
}

// clear makes all factors zero.
func (t *floatTile) clear() {
	for k := range 16 {
		for i := range t.aExponents {
			t.setA(i, k, factor{exponent: noExponent})
		}
		for j := range 8 {
			t.setB(k, j, factor{exponent: noExponent})
		}
	}
}

func (t *floatTile) setA(row, k int, f factor) {
	t.aExponents[row][k>>1][k&1], t.aValues[row][k&1][k>>1] = int16(f.exponent), f.value
}

func (t *floatTile) setB(k, column int, f factor) {
	t.bExponents[k>>1][column][k&1], t.bValues[k&1][k>>1][column] = int16(f.exponent), f.value
}

// loadPairs takes A and B from registers of two elements of 16 bits.
func (t *floatTile) loadPairs(table *factorTable, w *warp, a, b []reg) {
	for i, r := range a {
		for lane, v := range w.r[r] {
			row, k := (lane/4+i%2*8)&15, (lane%4*2+i/2*8)&14
			t.setA(row, k, table[v&0xffff])
			t.setA(row, k+1, table[v>>16&0xffff])
		}
	}
	for i, r := range b {
		for lane, v := range w.r[r] {
			column, k := lane/4&7, (lane%4*2+i*8)&14
			t.setB(k, column, table[v&0xffff])
			t.setB(k+1, column, table[v>>16&0xffff])
		}
	}
}

// loadWords takes A and B from registers of a tf32 each.
func (t *floatTile) loadWords(w *warp, a, b []reg) {
	tf32Of := func(v uint64) factor { return factorOf(uint32(v) &^ (1<<13 - 1)) }
	for i, r := range a {
		for lane, v := range w.r[r] {
			t.setA((lane/4+i%2*8)&15, (lane%4+i/2*4)&15, tf32Of(v))
		}
	}
	for i, r := range b {
		for lane, v := range w.r[r] {
			t.setB((lane%4+i*4)&15, lane/4&7, tf32Of(v))
		}
	}
}

// multiply computes D.
func (t *floatTile) multiply() {
	if vectors && multiplyAVX2(t) == 0 {
		return
	}
	var columns [8]vector
	for k := range 16 {
		for j := range columns {
			columns[j].set(k, factor{int32(t.bExponents[k>>1][j][k&1]), t.bValues[k&1][k>>1][j]})
		}
	}
	for i := range t.d {
		var row vector
		for k := range 16 {
			row.set(k, factor{int32(t.aExponents[i][k>>1][k&1]), t.aValues[i][k&1][k>>1]})
		}
		for j := range t.d[i] {
			t.d[i][j] = uint32(bits32(fusedSum(&row, &columns[j], math.Float32frombits(t.c[i][j]))))
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
	top := max(t0, t1, t2, t3, exponentOf(math.Float32bits(c)))
	if top >= finiteEnd {
		return specialSum(x, y, c)
	}
	if top <= zerosEnd {
		return 0
	}
	// The unit of the sum is 2^(top-kept). Products in float64 are exact here, and so are those with a power of two.
	scale := math.Float64frombits(uint64(kept-top+1023) << 52)
	v, u := &x.value, &y.value
	s0, s1, s2, s3 := int64(float64(c)*scale), int64(0), int64(0), int64(0)
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
