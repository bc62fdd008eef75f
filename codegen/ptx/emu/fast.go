package emu

import (
	"math"

	"pgc/ir/scalar"
)

// The instructions that kernels are mostly made of, by their numbers of operands, for a whole warp without a call for each
// thread. They compute what the general ones do. lanes_amd64.s does most of them with vectors.
var fastOne = map[string]func(D, A *lanes){}

// fastConvert is conversions between registers that are as wide as their types.
var fastConvert = map[string]func(D, A *lanes){}

var fastTwo = map[string]func(D, A, B *lanes){
	"add.s32": addWords, "add.u32": addWords, "add.s64": addLongs, "add.u64": addLongs,
	"sub.s32": subWords, "sub.u32": subWords, "sub.s64": subLongs, "sub.u64": subLongs,
	"mul.lo.s32": mulWords, "mul.lo.u32": mulWords, "mul.lo.s64": mulLongs, "mul.lo.u64": mulLongs,
	"and.b32": andLongs, "and.b64": andLongs, "or.b32": orLongs, "or.b64": orLongs, "xor.b32": xorLongs, "xor.b64": xorLongs,
	"add.f32": addFloats, "add.rn.f32": addFloats, "mul.f32": mulFloats, "mul.rn.f32": mulFloats,
	"sub.f32": func(D, A, B *lanes) {
		for i := range D {
			D[i] = bits32(f32of(A[i]) - f32of(B[i]))
		}
	},
	"mul.wide.u32": func(D, A, B *lanes) {
		for i := range D {
			D[i] = A[i] * B[i]
		}
	},
	"mul.wide.s32": func(D, A, B *lanes) {
		for i := range D {
			D[i] = uint64(int64(int32(A[i])) * int64(int32(B[i])))
		}
	},
	"shl.b32": func(D, A, B *lanes) {
		for i := range D {
			D[i] = A[i] << B[i] & 0xffffffff
		}
	},
	"shr.u32": func(D, A, B *lanes) {
		for i := range D {
			D[i] = A[i] >> B[i]
		}
	},
}

var fastThree = map[string]func(D, A, B, C *lanes){
	"mad.lo.s32": madWords, "mad.lo.u32": madWords, "mad.lo.s64": madLongs, "mad.lo.u64": madLongs,
	"mad.wide.u32": madLongs,
	"fma.rn.f32":   fmaFloats,
	"fma.rn.bf16x2": func(D, A, B, C *lanes) {
		for i := range D {
			a, b, c := A[i], B[i], C[i]
			low, ok0 := quickBrain(uint32(a)<<16, uint32(b)<<16, uint32(c)<<16)
			high, ok1 := quickBrain(uint32(a)&^0xffff, uint32(b)&^0xffff, uint32(c)&^0xffff)
			if ok0 && ok1 {
				D[i] = uint64(low>>16 | high&^0xffff)
				continue
			}
			D[i] = fmaBrainPair(a, b, c)
		}
	},
	"mad.wide.s32": func(D, A, B, C *lanes) {
		for i := range D {
			D[i] = uint64(int64(int32(A[i]))*int64(int32(B[i]))) + C[i]
		}
	},
}

func addWords(D, A, B *lanes) {
	for i := range D {
		D[i] = (A[i] + B[i]) & 0xffffffff
	}
}

func addLongs(D, A, B *lanes) {
	for i := range D {
		D[i] = A[i] + B[i]
	}
}

func subWords(D, A, B *lanes) {
	for i := range D {
		D[i] = (A[i] - B[i]) & 0xffffffff
	}
}

func subLongs(D, A, B *lanes) {
	for i := range D {
		D[i] = A[i] - B[i]
	}
}

func mulWords(D, A, B *lanes) {
	for i := range D {
		D[i] = A[i] * B[i] & 0xffffffff
	}
}

func mulLongs(D, A, B *lanes) {
	for i := range D {
		D[i] = A[i] * B[i]
	}
}

func andLongs(D, A, B *lanes) {
	for i := range D {
		D[i] = A[i] & B[i]
	}
}

func orLongs(D, A, B *lanes) {
	for i := range D {
		D[i] = A[i] | B[i]
	}
}

func xorLongs(D, A, B *lanes) {
	for i := range D {
		D[i] = A[i] ^ B[i]
	}
}

func madWords(D, A, B, C *lanes) {
	for i := range D {
		D[i] = (A[i]*B[i] + C[i]) & 0xffffffff
	}
}

func madLongs(D, A, B, C *lanes) {
	for i := range D {
		D[i] = A[i]*B[i] + C[i]
	}
}

func addFloats(D, A, B *lanes) {
	for i := range D {
		D[i] = bits32(f32of(A[i]) + f32of(B[i]))
	}
}

func mulFloats(D, A, B *lanes) {
	for i := range D {
		D[i] = bits32(f32of(A[i]) * f32of(B[i]))
	}
}

func fmaFloats(D, A, B, C *lanes) {
	for i := range D {
		D[i] = fma32(A[i], B[i], C[i])
	}
}

// fma32 is x·y + z of float32, rounded once. In float64 the product is exact; rounding the sum twice errs only where the
// first one ends half way between two float32, or where the result is subnormal.
func fma32(a, b, c uint64) uint64 {
	x, y, z := float64(f32of(a)), float64(f32of(b)), float64(f32of(c))
	s := x*y + z
	if u := math.Float64bits(s); u&(1<<29-1) != 1<<28 && u>>52&0x7ff > 1023-126 {
		return bits32(float32(s))
	}
	return bits32(float32(scalar.FMA32(x, y, z)))
}

// fmaBrain is x·y + z of bfloat16, rounded once: as fma32, the sum in float64 is rounded again without harm unless it ends
// half way between two results.
func fmaBrain(a, b, c uint64) uint64 {
	const half = 1 << 44 // of the last bit of a bfloat16, in a float64
	s := brainOf(a)*brainOf(b) + brainOf(c)
	u := math.Float64bits(s)
	if r := u + half; u&(2*half-1) != half && u>>52&0x7ff > 1023-126 && r>>52&0x7ff < 1023+128 {
		return u>>48&0x8000 | (r>>45-(1023-127)<<7)&0x7fff
	}
	return brain(oddSum(brainOf(a)*brainOf(b), brainOf(c)), nearest)
}

// fmaBrainPair is fmaBrain of the lower and of the upper halves.
func fmaBrainPair(a, b, c uint64) uint64 {
	return fmaBrain(a&0xffff, b&0xffff, c&0xffff) | fmaBrain(a>>16, b>>16, c>>16)<<16
}

// quickBrain is x·y + z of bfloat16 in the upper half of a word, rounded once, where float32 shows it: the product is exact
// there, and the sum may be rounded again unless it ends half way between two results. It reports false elsewhere.
func quickBrain(a, b, c uint32) (uint32, bool) {
	p := float32(math.Float32frombits(a) * math.Float32frombits(b))
	s := math.Float32bits(p + math.Float32frombits(c))
	normal := func(u uint32) bool { return u>>23&0xff-1 < 253 }
	return s + 0x7fff + s>>16&1, normal(math.Float32bits(p)) && (normal(s) || s == 0) && s&0xffff != 0x8000
}

// fasten replaces an instruction of registers alone where all threads take part.
func (l *lowering) fasten() {
	name, slow := l.now.in.name, l.out.run
	switch used := l.used; len(used) {
	case 2:
		if f := fastOne[name]; f != nil {
			l.out.run = wholeOne(used[0], used[1], f, slow)
		}
	case 3:
		if f := fastTwo[name]; f != nil {
			d, a, b := used[0], used[1], used[2]
			l.out.run = func(w *warp, m uint32) {
				if m == everyone {
					f(w.r[d], w.r[a], w.r[b])
					return
				}
				slow(w, m)
			}
		}
	case 4:
		if f := fastThree[name]; f != nil {
			d, a, b, c := used[0], used[1], used[2], used[3]
			l.out.run = func(w *warp, m uint32) {
				if m == everyone {
					f(w.r[d], w.r[a], w.r[b], w.r[c])
					return
				}
				slow(w, m)
			}
		}
	}
}

// wholeOne makes an instruction of f where all threads take part.
func wholeOne(d, a reg, f func(D, A *lanes), slow func(*warp, uint32)) func(*warp, uint32) {
	return func(w *warp, m uint32) {
		if m == everyone {
			f(w.r[d], w.r[a])
			return
		}
		slow(w, m)
	}
}

// Comparisons of all lanes, a bit each; lessLongs is also that of words without a sign. chooseLanes takes A where a bit is set
// and B elsewhere.
var (
	lessWords = func(A, B *lanes) (v uint32) {
		for i := range A {
			v |= uint32(truth(int32(A[i]) < int32(B[i]))) << i
		}
		return v
	}
	lessLongs = func(A, B *lanes) (v uint32) {
		for i := range A {
			v |= uint32(truth(int64(A[i]) < int64(B[i]))) << i
		}
		return v
	}
	equalLongs = func(A, B *lanes) (v uint32) {
		for i := range A {
			v |= uint32(truth(A[i] == B[i])) << i
		}
		return v
	}
	lessFloats = func(A, B *lanes) (v uint32) {
		for i := range A {
			v |= uint32(truth(f32of(A[i]) < f32of(B[i]))) << i
		}
		return v
	}
	equalFloats = func(A, B *lanes) (v uint32) {
		for i := range A {
			v |= uint32(truth(f32of(A[i]) == f32of(B[i]))) << i
		}
		return v
	}
	chooseLanes = func(D, A, B *lanes, yes uint32) {
		for i := range D {
			if yes>>i&1 != 0 {
				D[i] = A[i]
			} else {
				D[i] = B[i]
			}
		}
	}
)

// logicTable is what lop3 is made of: for each value of a and b, which bits it gives where c is 0, and which of them are others
// where c is 1, in four lanes.
type logicTable [4][2][4]uint64

func newLogicTable(table uint32) *logicTable {
	var out logicTable
	for i := range out {
		zero, one := uint64(table>>(2*i)&1)*0xffffffff, uint64(table>>(2*i+1)&1)*0xffffffff
		for lane := range warpSize / 8 {
			out[i][0][lane], out[i][1][lane] = zero, zero^one
		}
	}
	return &out
}

// logicLanes is lop3 of all lanes.
var logicLanes = func(D, A, B, C *lanes, t *logicTable) {
	for i := range D {
		a, b, c := A[i], B[i], C[i]
		pair := func(k int) uint64 { return t[k][0][0] ^ c&t[k][1][0] }
		low, high := pair(0), pair(2)
		low ^= b & (low ^ pair(1))
		high ^= b & (high ^ pair(3))
		D[i] = low ^ a&(low^high)
	}
}

// fastCompare is comparisons of integers and float32, without a call for each thread; nil where there is none.
func fastCompare(t typ, holds [4]bool) func(A, B *lanes) uint32 {
	kind := map[[4]bool]string{}
	for _, name := range []string{"eq", "ne", "lt", "ge", "gt", "le"} {
		kind[comparisons[name]] = name
	}
	equal, less := equalLongs, lessLongs
	switch t {
	case s32:
		less = lessWords
	case s64, u32, b32:
	case u64, b64:
		less = func(A, B *lanes) (v uint32) {
			for i := range A {
				v |= uint32(truth(A[i] < B[i])) << i
			}
			return v
		}
	case f32:
		switch kind[holds] {
		case "eq":
			return equalFloats
		case "lt":
			return lessFloats
		case "gt":
			return func(A, B *lanes) uint32 { return lessFloats(B, A) }
		}
		return nil
	default:
		return nil
	}
	switch kind[holds] {
	case "eq":
		return equal
	case "ne":
		return func(A, B *lanes) uint32 { return ^equal(A, B) }
	case "lt":
		return less
	case "ge":
		return func(A, B *lanes) uint32 { return ^less(A, B) }
	case "gt":
		return func(A, B *lanes) uint32 { return less(B, A) }
	case "le":
		return func(A, B *lanes) uint32 { return ^less(B, A) }
	}
	return nil
}
