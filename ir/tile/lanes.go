package tile

import (
	"math"

	"pgc/ir/scalar"
)

// word is one lane as Run holds it: the bits of a float32, or an integer extended to 64 bits by its sign (i1: 0 or 1).
type word int64

func (w word) float() float32 { return math.Float32frombits(uint32(w)) }

func floatWord(f float32) word { return word(math.Float32bits(f)) }

// cut wraps an integer to the width of e.
func cut(e Elem, v int64) word {
	switch e {
	case I1:
		return word(v & 1)
	case I8:
		return word(int8(v))
	case I16:
		return word(int16(v))
	case I32:
		return word(int32(v))
	}
	return word(v)
}

// eval computes one lane of a result from the same lane of the operands.
type eval func(in *Inst, a []word) word

func arith(f func(x, y float32) float32, i func(x, y int64) int64) eval {
	return func(in *Inst, a []word) word {
		t := in.Out[0].Type
		if t.IsFloat() {
			return floatWord(f(a[0].float(), a[1].float()))
		}
		return cut(t.Elem, i(int64(a[0]), int64(a[1])))
	}
}

func unary(f func(float32) float32, i func(int64) int64) eval {
	return func(in *Inst, a []word) word {
		t := in.Out[0].Type
		if t.IsFloat() {
			return floatWord(f(a[0].float()))
		}
		return cut(t.Elem, i(int64(a[0])))
	}
}

// fromDouble is a function whose result in double precision rounds to the float32 one: all that need no more than
// twice the digits and some (Figueroa 1995), so sqrt, and those that are exact.
func fromDouble(f func(float64) float64) func(float32) float32 {
	return func(x float32) float32 { return float32(f(float64(x))) }
}

func fma(_ *Inst, a []word) word {
	return floatWord(float32(scalar.FMA32(float64(a[0].float()), float64(a[1].float()), float64(a[2].float()))))
}

func comparison(f func(x, y float32) bool, i func(x, y int64) bool) eval {
	return func(in *Inst, a []word) word {
		if in.Args[0].Type.IsFloat() {
			return pick[word](f(a[0].float(), a[1].float()), 1, 0)
		}
		return pick[word](i(int64(a[0]), int64(a[1])), 1, 0)
	}
}

func shiftRight(in *Inst, a []word) word {
	e := in.Out[0].Type.Elem
	ones := uint64(1)<<(8*e.Bytes()) - 1 // for i64, where the shift gives 0, all of them
	return cut(e, int64((uint64(a[0])&ones)>>uint(a[1])))
}

// divide is integer division, which traps as the processor's does.
func divide(f func(x, y int64) int64) func(x, y int64) int64 {
	return func(x, y int64) int64 {
		if y == 0 {
			panic(trap("division by zero"))
		}
		return f(x, y)
	}
}

// truncated converts as the x86 instruction does.
func truncated(f float32) word {
	if f >= math.MinInt32 && f < -math.MinInt32 {
		return word(int32(f))
	}
	return math.MinInt32
}

func pick[T any](c bool, x, y T) T {
	if c {
		return x
	}
	return y
}
