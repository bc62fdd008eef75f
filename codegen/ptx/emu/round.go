package emu

import (
	"math"
	"math/big"

	"github.com/x448/float16"
)

// rounding is a direction of rounding.
type rounding uint8

const (
	nearest rounding = iota // to even
	toZero
	down
	up
	away // to nearest, ties away from zero
)

// roundingMods is the modifiers that name a rounding.
var roundingMods = map[string]rounding{"rn": nearest, "rz": toZero, "rm": down, "rp": up, "rna": away,
	"rni": nearest, "rzi": toZero, "rmi": down, "rpi": up}

// The bits of NaN that results have.
const (
	nan32 = 0x7fffffff
	nan16 = 0x7fff
	nan64 = 0x7fffffffffffffff
)

func f32of(v uint64) float32 { return math.Float32frombits(uint32(v)) }
func f64of(v uint64) float64 { return math.Float64frombits(v) }

// bits32 returns the bits of a result; NaN is the one that the hardware gives.
func bits32(f float32) uint64 {
	if f != f {
		return nan32
	}
	return uint64(math.Float32bits(f))
}

func bits64(f float64) uint64 {
	if f != f {
		return nan64
	}
	return math.Float64bits(f)
}

// oddSum is x + y in float64, rounded to odd where it is not exact: then one more rounding to fewer bits errs nowhere.
func oddSum(x, y float64) float64 {
	s := x + y
	if math.IsInf(s, 0) || s != s {
		return s
	}
	t := s - x
	return toOdd(s, (x-(s-t))+(y-t))
}

// toOdd corrects a number rounded to nearest that is less than the exact one by err.
func toOdd(s, err float64) float64 {
	if err == 0 || s != s || math.IsInf(s, 0) {
		return s
	}
	if b := math.Float64bits(s); b&1 == 0 {
		switch {
		case s == 0:
			return math.Copysign(math.SmallestNonzeroFloat64, err)
		case (err > 0) == (s > 0):
			b++
		default:
			b--
		}
		return math.Float64frombits(b)
	}
	return s
}

// oddQuotient and oddRoot are x/y and the root of x, rounded to odd, of float32 values.
func oddQuotient(x, y float64) float64 {
	q := x / y
	if q == 0 || math.IsInf(q, 0) || q != q || math.IsInf(y, 0) {
		return q
	}
	err := math.FMA(-q, y, x)
	if y < 0 {
		err = -err
	}
	return toOdd(q, err)
}

func oddRoot(x float64) float64 {
	r := math.Sqrt(x)
	return toOdd(r, math.FMA(-r, r, x))
}

// round32 rounds to float32.
func round32(v float64, r rounding) float32 {
	f := float32(v)
	if r == nearest || v != v || math.IsInf(v, 0) || float64(f) == v {
		return f
	}
	return adjust(f, v, r, func(f float32, up bool) float32 {
		if up {
			return math.Nextafter32(f, float32(math.Inf(1)))
		}
		return math.Nextafter32(f, float32(math.Inf(-1)))
	})
}

// adjust moves a number rounded to nearest to where another rounding puts it.
func adjust(f float32, v float64, r rounding, next func(f float32, up bool) float32) float32 {
	over := float64(f) > v
	switch {
	case r == down && over, r == toZero && over && v > 0:
		return next(f, false)
	case r == up && !over, r == toZero && !over && v < 0:
		return next(f, true)
	}
	return f
}

// flush is a float32 with zero for subnormal numbers.
func flush(v uint64) uint64 {
	if v&0x7f800000 == 0 {
		return v & 0x80000000
	}
	return v
}

// roundBits rounds a float64 to a format of fewer bits: mantissa bits behind the point, and the exponents of its
// smallest and largest normal numbers. The result is the magnitude's bits and whether it overflowed.
func roundBits(v float64, mantissa, least, most int, r rounding) (out uint64, overflow bool) {
	negative := math.Signbit(v)
	v = math.Abs(v)
	if v == 0 {
		return 0, false
	}
	e := math.Ilogb(v)
	unit := max(e, least) - mantissa
	scaled := math.Ldexp(v, -unit)
	whole := math.Floor(scaled)
	rest := scaled - whole
	switch {
	case rest == 0:
	case r == nearest && (rest > 0.5 || rest == 0.5 && math.Mod(whole, 2) == 1), r == away && rest >= 0.5,
		r == up && !negative, r == down && negative:
		whole++
	}
	if math.Ldexp(whole, unit) >= math.Ldexp(1, most+1) {
		return 0, true
	}
	n := uint64(whole)
	if n>>mantissa == 0 {
		return n, false // subnormal
	}
	e = max(e, least)
	for n>>(mantissa+1) != 0 {
		n >>= 1
		e++
	}
	return uint64(e-least+1)<<mantissa | n&(1<<mantissa-1), false
}

// half rounds to float16.
func half(v float64, r rounding) uint64 {
	if r == nearest && float64(float32(v)) == v {
		if v != v {
			return nan16
		}
		return uint64(float16.Fromfloat32(float32(v)).Bits())
	}
	return narrow(v, 10, -14, 15, r, 0x7c00)
}

// brain rounds to bfloat16.
func brain(v float64, r rounding) uint64 {
	if r == nearest && float64(float32(v)) == v {
		if v != v {
			return nan16
		}
		b := math.Float32bits(float32(v))
		return uint64((b + 0x7fff + b>>16&1) >> 16)
	}
	return narrow(v, 7, -126, 127, r, 0x7f80)
}

// narrow rounds to a format of 16 bits.
func narrow(v float64, mantissa, least, most int, r rounding, infinity uint64) uint64 {
	if v != v {
		return nan16
	}
	sign := uint64(0)
	if math.Signbit(v) {
		sign = 0x8000
	}
	if math.IsInf(v, 0) {
		return sign | infinity
	}
	out, overflow := roundBits(v, mantissa, least, most, r)
	if overflow {
		if out = infinity; r == toZero || r == up && sign != 0 || r == down && sign == 0 {
			out--
		}
	}
	return sign | out
}

func halfOf(v uint64) float64  { return float64(float16.Frombits(uint16(v)).Float32()) }
func brainOf(v uint64) float64 { return float64(math.Float32frombits(uint32(v&0xffff) << 16)) }

// directed moves a float64 that was rounded to nearest to where another rounding puts it; err is the exact value less v.
func directed(v, err float64, r rounding) float64 {
	if err == 0 || v != v || math.IsInf(v, 0) {
		return v
	}
	low, high := math.Inf(-1), math.Inf(1)
	switch {
	case err < 0 && (r == down || r == toZero && v > 0):
		return math.Nextafter(v, low)
	case err > 0 && (r == up || r == toZero && v < 0):
		return math.Nextafter(v, high)
	}
	return v
}

// exactError is x·y + z less v, or a number of its sign.
func exactError(x, y, z, v float64) float64 {
	exact := new(big.Float).SetPrec(4000)
	exact.Mul(big.NewFloat(x).SetPrec(4000), big.NewFloat(y))
	exact.Add(exact, big.NewFloat(z))
	return float64(exact.Cmp(big.NewFloat(v)))
}
