package emu

import (
	"math"

	"pgc/ir/scalar"
)

// floatOps is arithmetic on floating-point numbers alone; add, sub, mul, mad, div, min, max, abs and neg are with the
// integers. Approximations give the nearest number.
var floatOps = map[string]func(l *lowering, m *mods){
	"fma": func(l *lowering, m *mods) { l.fusedProduct(m) },
	"sqrt": func(l *lowering, m *mods) {
		l.function(m, math.Sqrt, oddRoot)
	},
	"rcp": func(l *lowering, m *mods) {
		l.function(m, func(x float64) float64 { return 1 / x }, func(x float64) float64 { return oddQuotient(1, x) })
	},
	"rsqrt": func(l *lowering, m *mods) { l.function(m, func(x float64) float64 { return 1 / math.Sqrt(x) }, nil) },
	"sin":   func(l *lowering, m *mods) { l.function(m, math.Sin, nil) },
	"cos":   func(l *lowering, m *mods) { l.function(m, math.Cos, nil) },
	"lg2":   func(l *lowering, m *mods) { l.function(m, math.Log2, nil) },
	"ex2":   func(l *lowering, m *mods) { l.function(m, math.Exp2, nil) },
	"tanh":  func(l *lowering, m *mods) { l.function(m, math.Tanh, nil) },
	"copysign": func(l *lowering, m *mods) {
		t := m.among(f32, f64)
		sign := uint64(1) << (t.bits() - 1)
		l.binary(t, func(a, b uint64) uint64 { return a&sign | b&^sign })
	},
	"testp": func(l *lowering, m *mods) {
		kind := m.need("finite", "infinite", "number", "notanumber", "normal", "subnormal")
		t := m.among(f32, f64)
		l.count(2, 2)
		a := l.now.args
		s := l.src(&a[1], t)
		l.out.run = test(l.dst(&a[0], pred), s, s, func(v, _ uint64) bool { return testp(t, kind, v) })
	},
}

// testp classifies a number.
func testp(t typ, kind string, v uint64) bool {
	x, least := f64of(v), 2.2250738585072014e-308
	if t == f32 {
		x, least = float64(f32of(v)), 1.1754943508222875e-38
	}
	a := math.Abs(x)
	switch kind {
	case "finite":
		return a <= math.MaxFloat64
	case "infinite":
		return math.IsInf(x, 0)
	case "number":
		return x == x
	case "notanumber":
		return x != x
	case "normal":
		return a >= least && a <= math.MaxFloat64
	}
	return a > 0 && a < least
}

// floatMods is the modifiers of an operation on floats.
type floatMods struct {
	round    rounding
	ftz, sat bool
	relu     bool
}

// float reads a rounding and the rest in front of a type.
func (m *mods) float() floatMods {
	f := floatMods{round: roundingMods[m.take("rn", "rz", "rm", "rp")]}
	f.ftz, f.sat, f.relu = m.flag("ftz"), m.flag("sat"), m.flag("relu")
	m.drop("noftz")
	return f
}

// finish turns an exact or odd result into a float32's bits.
func (f floatMods) finish(v float64) uint64 {
	out := bits32(round32(v, f.round))
	if f.sat {
		out = saturate(out)
	}
	if f.relu && f32of(out) < 0 {
		out = 0
	}
	if f.ftz {
		out = flush(out)
	}
	return out
}

// saturate limits a float32 to 0…1; NaN gives 0.
func saturate(v uint64) uint64 {
	switch x := f32of(v); {
	case !(x > 0):
		return 0
	case x > 1:
		return 0x3f800000
	}
	return v
}

// in reads a float32 operand.
func (f floatMods) in(v uint64) float64 {
	if f.ftz {
		v = flush(v)
	}
	return float64(f32of(v))
}

// halves is the arithmetic of a 16-bit format: how to read and round it, and whether values go in pairs.
type halves struct {
	of    func(v uint64) float64
	round func(v float64, r rounding) uint64
	pair  bool
	one   uint64
}

// halfTypes is the 16-bit formats.
var halfTypes = map[typ]halves{f16: {halfOf, half, false, 0x3c00}, f16x2: {halfOf, half, true, 0x3c00},
	bf16: {brainOf, brain, false, 0x3f80}, bf16x2: {brainOf, brain, true, 0x3f80}}

// finish rounds and limits one value.
func (h halves) finish(v float64, f floatMods) uint64 {
	if f.relu && !(v > 0) && v == v {
		v = 0
	}
	if f.sat {
		if !(v > 0) {
			v = 0
		}
		v = min(v, 1)
	}
	out := h.round(v, nearest)
	if f.ftz && h.one == 0x3c00 && out&0x7c00 == 0 {
		out &= 0x8000
	}
	return out
}

// each applies a function to the halves of operands.
func (h halves) each(a, b, c uint64, f func(a, b, c uint64) uint64) uint64 {
	out := f(a&0xffff, b&0xffff, c&0xffff)
	if h.pair {
		out |= f(a>>16&0xffff, b>>16&0xffff, c>>16&0xffff) << 16
	}
	return out
}

// floatSum is add and sub of floats.
func (l *lowering) floatSum(m *mods, t typ, minus, sat bool) {
	f := m.float()
	f.sat = f.sat || sat
	sign := 1.0
	if minus {
		sign = -1
	}
	if h, ok := halfTypes[t]; ok {
		l.binary(t, func(a, b uint64) uint64 {
			return h.each(a, b, 0, func(a, b, _ uint64) uint64 { return h.finish(h.of(a)+sign*h.of(b), f) })
		})
		return
	}
	switch {
	case t == f64 && f.round == nearest:
		l.binary(t, func(a, b uint64) uint64 { return bits64(f64of(a) + sign*f64of(b)) })
	case t == f64:
		l.binary(t, func(a, b uint64) uint64 {
			x, y := f64of(a), sign*f64of(b)
			return bits64(directed(x+y, exactErrorFinite(x, 1, y, x+y), f.round))
		})
	case f == floatMods{} && !minus:
		l.binary(t, func(a, b uint64) uint64 { return bits32(f32of(a) + f32of(b)) })
	case f == floatMods{}:
		l.binary(t, func(a, b uint64) uint64 { return bits32(f32of(a) - f32of(b)) })
	case f.round == nearest: // the sum of two float32 in float64 needs no second rounding to be seen: 53 ≥ 2·24 + 2
		l.binary(t, func(a, b uint64) uint64 { return f.finish(f.in(a) + sign*f.in(b)) })
	default:
		l.binary(t, func(a, b uint64) uint64 {
			x, y := f.in(a), sign*f.in(b)
			if s := oddSum(x, y); s != 0 || x == 0 && y == 0 && math.Signbit(x) == math.Signbit(y) {
				return f.finish(s)
			}
			return zeroOf(f.round == down)
		})
	}
}

// zeroOf is a float32 zero with a sign.
func zeroOf(negative bool) uint64 { return truth(negative) << 31 }

// exactErrorFinite is exactError, and 0 where something is not finite.
func exactErrorFinite(x, y, z, v float64) float64 {
	if s := x + y + z + v; s-s != 0 {
		return 0
	}
	return exactError(x, y, z, v)
}

// floatProduct is mul of floats.
func (l *lowering) floatProduct(m *mods) {
	f := m.float()
	t := m.among(f32, f64, f16, f16x2, bf16, bf16x2)
	if h, ok := halfTypes[t]; ok {
		l.binary(t, func(a, b uint64) uint64 {
			return h.each(a, b, 0, func(a, b, _ uint64) uint64 { return h.finish(h.of(a)*h.of(b), f) })
		})
		return
	}
	switch {
	case t == f64 && f.round == nearest:
		l.binary(t, func(a, b uint64) uint64 { return bits64(f64of(a) * f64of(b)) })
	case t == f64:
		l.binary(t, func(a, b uint64) uint64 {
			x, y := f64of(a), f64of(b)
			return bits64(directed(x*y, exactErrorFinite(x, y, 0, x*y), f.round))
		})
	case f == floatMods{}:
		l.binary(t, func(a, b uint64) uint64 { return bits32(f32of(a) * f32of(b)) })
	default:
		l.binary(t, func(a, b uint64) uint64 { return f.finish(f.in(a) * f.in(b)) })
	}
}

// fusedProduct is fma and mad of floats.
func (l *lowering) fusedProduct(m *mods) {
	f := m.float()
	t := m.among(f32, f64, f16, f16x2, bf16, bf16x2)
	if h, ok := halfTypes[t]; ok {
		l.ternary(t, t, func(a, b, c uint64) uint64 {
			return h.each(a, b, c, func(a, b, c uint64) uint64 { return h.finish(oddSum(h.of(a)*h.of(b), h.of(c)), f) })
		})
		return
	}
	switch {
	case t == f64 && f.round == nearest:
		l.ternary(t, t, func(a, b, c uint64) uint64 { return bits64(math.FMA(f64of(a), f64of(b), f64of(c))) })
	case t == f64:
		l.ternary(t, t, func(a, b, c uint64) uint64 {
			x, y, z := f64of(a), f64of(b), f64of(c)
			v := math.FMA(x, y, z)
			return bits64(directed(v, exactErrorFinite(x, y, z, v), f.round))
		})
	case f == floatMods{}:
		l.ternary(t, t, fma32)
	case f.round == nearest:
		l.ternary(t, t, func(a, b, c uint64) uint64 {
			return f.finish(scalar.FMA32(f.in(a), f.in(b), f.in(c)))
		})
	default:
		l.ternary(t, t, func(a, b, c uint64) uint64 {
			p, z := f.in(a)*f.in(b), f.in(c)
			if s := oddSum(p, z); s != 0 || p == 0 && z == 0 && math.Signbit(p) == math.Signbit(z) {
				return f.finish(s)
			}
			return zeroOf(f.round == down)
		})
	}
}

// floatQuotient is div of floats.
func (l *lowering) floatQuotient(m *mods, t typ) {
	m.drop("full", "approx")
	f := m.float()
	switch {
	case t == f64 && f.round == nearest:
		l.binary(t, func(a, b uint64) uint64 { return bits64(f64of(a) / f64of(b)) })
	case t == f64:
		l.binary(t, func(a, b uint64) uint64 {
			x, y := f64of(a), f64of(b)
			q := x / y
			err := -exactErrorFinite(q, y, 0, x)
			if y < 0 {
				err = -err
			}
			return bits64(directed(q, err, f.round))
		})
	case f.round == nearest: // double rounding of a quotient is harmless: 53 ≥ 2·24 + 2
		l.binary(t, func(a, b uint64) uint64 { return f.finish(f.in(a) / f.in(b)) })
	default:
		l.binary(t, func(a, b uint64) uint64 { return f.finish(oddQuotient(f.in(a), f.in(b))) })
	}
}

// function is an instruction of one operand. Odd gives the value rounded to odd, for roundings other than to nearest.
func (l *lowering) function(m *mods, f, odd func(x float64) float64) {
	m.drop("approx")
	o := m.float()
	t := m.among(f32, f64, f16, f16x2, bf16, bf16x2)
	if h, ok := halfTypes[t]; ok {
		l.unary(t, t, func(a uint64) uint64 {
			return h.each(a, 0, 0, func(a, _, _ uint64) uint64 { return h.finish(f(h.of(a)), o) })
		})
		return
	}
	if t == f64 {
		l.unary(t, t, func(a uint64) uint64 { return bits64(f(f64of(a))) })
		return
	}
	if o.round != nearest && odd != nil {
		f = odd
	}
	l.unary(t, t, func(a uint64) uint64 { return o.finish(f(o.in(a))) })
}

// signOp is abs and neg of floats.
func (l *lowering) signOp(m *mods, t typ, flip bool) {
	ftz := m.flag("ftz")
	sign := uint64(1) << (t.bits() - 1)
	if t == f16x2 || t == bf16x2 {
		sign |= 0x8000
	}
	l.unary(t, t, func(a uint64) uint64 {
		if ftz && t == f32 {
			a = flush(a)
		}
		if flip {
			return (a ^ sign) & t.mask()
		}
		return a &^ sign & t.mask()
	})
}

// extreme is min and max.
func (l *lowering) extreme(m *mods, least bool) {
	ftz, nan, xor, relu := m.flag("ftz"), m.flag("NaN"), m.flag("xorsign"), m.flag("relu")
	m.drop("abs")
	t := m.typ()
	if h, ok := halfTypes[t]; ok {
		l.binary(t, func(a, b uint64) uint64 {
			return h.each(a, b, 0, func(a, b, _ uint64) uint64 {
				return pickFloat(a, b, h.of(a), h.of(b), 0x8000, nan16, least, nan, xor)
			})
		})
		return
	}
	switch t {
	case f32:
		l.binary(t, func(a, b uint64) uint64 {
			if ftz {
				a, b = flush(a), flush(b)
			}
			return pickFloat(a, b, float64(f32of(a)), float64(f32of(b)), 1<<31, nan32, least, nan, xor)
		})
	case f64:
		l.binary(t, func(a, b uint64) uint64 { return pickFloat(a, b, f64of(a), f64of(b), 1<<63, nan64, least, nan, xor) })
	case u16x2, s16x2:
		half := u16
		if t == s16x2 {
			half = s16
		}
		f := pickInteger(half, least, relu)
		l.binary(t, func(a, b uint64) uint64 { return f(a&0xffff, b&0xffff) | f(a>>16, b>>16)<<16 })
	default:
		l.binary(t, pickInteger(t, least, relu))
	}
}

// pickInteger is the smaller or larger of two.
func pickInteger(t typ, least, relu bool) func(a, b uint64) uint64 {
	x := extend(t)
	less := func(a, b uint64) bool { return a < b }
	if t.signed() {
		less = func(a, b uint64) bool { return x(a) < x(b) }
	}
	return func(a, b uint64) uint64 {
		if less(b, a) == least {
			a = b
		}
		if relu && x(a) < 0 {
			return 0
		}
		return a & t.mask()
	}
}

// pickFloat is the smaller or larger of two numbers x and y with bits a and b. A number comes before NaN, unless nan
// says otherwise; -0 is less than +0. Xor gives the result the product of the signs.
func pickFloat(a, b uint64, x, y float64, sign, none uint64, least, nan, xor bool) uint64 {
	flip := uint64(0)
	if xor {
		flip = (a ^ b) & sign
		a, b, x, y = a&^sign, b&^sign, math.Abs(x), math.Abs(y)
	}
	switch {
	case x != x && y != y, nan && (x != x || y != y):
		return none
	case x != x:
		a = b
	case y != y:
	case x == y && a != b:
		if (a&sign != 0) != least {
			a = b
		}
	case (y < x) == least && x != y:
		a = b
	}
	return a | flip
}
