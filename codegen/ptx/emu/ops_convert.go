package emu

import "math"

// convertOps is cvt and its relatives.
var convertOps = map[string]func(l *lowering, m *mods){"cvt": convert}

// convert is cvt: from one type to another, or from two numbers to a pair.
func convert(l *lowering, m *mods) {
	if m.flag("pack") {
		l.packSaturated(m)
		return
	}
	o := convertMods{round: toZero}
	if r := m.take("rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi"); r != "" {
		o.round, o.named, o.whole = roundingMods[r], true, r[len(r)-1] == 'i'
	}
	o.ftz, o.sat, o.relu, o.finite = m.flag("ftz"), m.flag("sat"), m.flag("relu"), m.flag("satfinite")
	to := m.typ()
	from := m.typ()
	a := l.now.args
	if n := l.count(2, 3); n == 3 {
		l.convertPair(o, to, from)
		return
	}
	if to == f16x2 && (from == e4m3x2 || from == e5m2x2) {
		l.out.run = one(l.result(&a[0], b32, true), l.source(&a[1], b16, true), func(v uint64) uint64 {
			return half(small(from, v&255), nearest) | half(small(from, v>>8&255), nearest)<<16
		})
		return
	}
	if (to == e4m3x2 || to == e5m2x2) && (from == f16x2 || from == bf16x2) {
		h := halfTypes[from]
		l.out.run = one(l.result(&a[0], b16, true), l.source(&a[1], b32, true), func(v uint64) uint64 {
			return toSmall(to, h.of(v&0xffff), o.relu) | toSmall(to, h.of(v>>16), o.relu)<<8
		})
		return
	}
	d, s := l.result(&a[0], storage(to), true), l.source(&a[1], storage(from), true)
	l.out.run = one(d, s, converter(l, o, to, from, a[0].typ))
	if f := fastConvert[l.now.in.name]; f != nil && a[0].typ.bits() == to.bits() && a[1].typ.bits() == from.bits() {
		l.out.run = wholeOne(d, s, f, l.out.run)
	}
	if to.integer() && from.integer() && !o.sat {
		l.out.spread = lostCut(s, from, to)
	}
}

// storage is the type of a register for a value of a type: alike in class, so that literals fit.
func storage(t typ) typ {
	if t == tf32 {
		return b32
	}
	return t
}

// convertMods is the modifiers of cvt.
type convertMods struct {
	round                  rounding
	named, whole           bool
	ftz, sat, relu, finite bool
}

// converter is the function of one value. Register is the type of the result's register: integers that are narrower
// are extended to it.
func converter(l *lowering, o convertMods, to, from, register typ) func(v uint64) uint64 {
	read := reader(from, o.ftz)
	switch {
	case to.integer() && from.integer():
		x := extend(from)
		mask := to.mask()
		if register != noType && register.bits() > to.bits() {
			mask = register.mask()
		}
		y := extend(to)
		if !o.sat {
			return func(v uint64) uint64 { return uint64(y(uint64(x(v)))) & mask }
		}
		low, high := integerRange(to)
		return func(v uint64) uint64 {
			w := x(v)
			if from == u64 && w < 0 {
				w = math.MaxInt64
				if to == u64 {
					return v
				}
			}
			if w < low {
				w = low
			}
			if to != u64 && uint64(max(w, 0)) > high {
				w = int64(high)
			}
			return uint64(w) & mask
		}
	case to.integer():
		mask := to.mask()
		if register != noType && register.bits() > to.bits() {
			mask = register.mask()
		}
		return func(v uint64) uint64 { return toInteger(to, wholeOf(read(v), o.round)) & mask }
	case from.integer():
		return fromInteger(o, to, from)
	case to == f64:
		if o.whole {
			return func(v uint64) uint64 { return bits64(limit(wholeOf(read(v), o.round), o)) }
		}
		return func(v uint64) uint64 { return bits64(limit(read(v), o)) }
	case to == f32:
		f := floatMods{round: o.round, ftz: o.ftz, sat: o.sat, relu: o.relu}
		if !o.named {
			f.round = nearest
		}
		if o.whole {
			return func(v uint64) uint64 { return floatMods{sat: o.sat, ftz: o.ftz}.finish(wholeOf(read(v), o.round)) }
		}
		return func(v uint64) uint64 { return f.finish(read(v)) }
	case to == tf32:
		return func(v uint64) uint64 { return toTF32(v, o) }
	}
	h, ok := halfTypes[to]
	if !ok || h.pair {
		l.unknown("%s", l.now.in.name)
	}
	return func(v uint64) uint64 { return h.narrow(read(v), o) }
}

// narrow rounds to a 16-bit format.
func (h halves) narrow(v float64, o convertMods) uint64 {
	if o.whole {
		v = wholeOf(v, o.round)
	}
	round := o.round
	if !o.named {
		round = nearest
	}
	if o.relu && !(v > 0) && v == v {
		v = 0
	}
	out := h.round(limit(v, convertMods{sat: o.sat}), round)
	if o.finite && out&0x7fff == h.infinity() {
		out--
	}
	return out
}

func (h halves) infinity() uint64 {
	if h.one == 0x3c00 {
		return 0x7c00
	}
	return 0x7f80
}

// limit applies .sat and .relu.
func limit(v float64, o convertMods) float64 {
	if o.sat {
		if !(v > 0) {
			return 0
		}
		return min(v, 1)
	}
	if o.relu && v < 0 {
		return 0
	}
	return v
}

// reader reads a number of a floating-point type.
func reader(t typ, ftz bool) func(v uint64) float64 {
	switch t {
	case f64:
		return f64of
	case f16:
		return halfOf
	case bf16:
		return brainOf
	}
	if ftz {
		return func(v uint64) float64 { return float64(f32of(flush(v))) }
	}
	return func(v uint64) float64 { return float64(f32of(v)) }
}

// wholeOf rounds to a whole number.
func wholeOf(v float64, r rounding) float64 {
	switch r {
	case nearest:
		return math.RoundToEven(v)
	case down:
		return math.Floor(v)
	case up:
		return math.Ceil(v)
	}
	return math.Trunc(v)
}

// integerRange is the least and the largest value of a type.
func integerRange(t typ) (int64, uint64) {
	n := t.bits()
	if t.signed() {
		return -1 << (n - 1), 1<<(n-1) - 1
	}
	return 0, t.mask()
}

// toInteger converts a whole number; what does not fit becomes the nearest that does, and NaN zero (or, of 64 bits, the
// top bit, as the hardware has it).
func toInteger(t typ, v float64) uint64 {
	low, high := integerRange(t)
	switch {
	case v != v:
		if t.bits() == 64 {
			return 1 << 63
		}
		return 0
	case v <= float64(low):
		return uint64(low)
	case v >= float64(high):
		return high
	case t.signed():
		return uint64(int64(v))
	}
	return uint64(v)
}

// fromInteger converts an integer to a float.
func fromInteger(o convertMods, to, from typ) func(v uint64) uint64 {
	x := extend(from)
	// An integer of 64 bits is rounded to odd in float64 first.
	exact := func(v uint64) float64 {
		w := x(v)
		if from == u64 {
			f := float64(v)
			switch rest := v - uint64(f); {
			case f >= 1<<64:
				return toOdd(1<<64, -1)
			default:
				return toOdd(f, float64(int64(rest)))
			}
		}
		f := float64(w)
		if f >= 1<<63 {
			return toOdd(f, -1)
		}
		return toOdd(f, float64(w-int64(f)))
	}
	switch to {
	case f32:
		return func(v uint64) uint64 { return bits32(round32(limit(exact(v), o), o.round)) }
	case f64:
		return func(v uint64) uint64 {
			f := float64(x(v))
			if from == u64 {
				f = float64(v)
			}
			if o.round != nearest {
				odd := exact(v)
				f = directed(f, odd-f, o.round)
			}
			return bits64(limit(f, o))
		}
	}
	h := halfTypes[to]
	return func(v uint64) uint64 { return h.narrow(exact(v), o) }
}

// toTF32 rounds a float32 to 10 bits behind the point.
func toTF32(v uint64, o convertMods) uint64 {
	f := f32of(v)
	if f != f {
		return nan32
	}
	if o.relu && f < 0 {
		return 0
	}
	b := uint32(v)
	switch o.round {
	case away:
		b += 1 << 12
	case nearest:
		b += 1<<12 - 1 + b>>13&1
	}
	b &^= 1<<13 - 1
	if b&0x7fffffff >= 0x7f800000 && !math.IsInf(float64(f), 0) && o.finite {
		b = b&(1<<31) | 0x7f7fe000
	}
	return uint64(b)
}

// convertPair rounds two float32 to a pair; the first operand is the upper half.
func (l *lowering) convertPair(o convertMods, to, from typ) {
	a := l.now.args
	if from != f32 {
		l.unknown("%s", l.now.in.name)
	}
	if to == e4m3x2 || to == e5m2x2 {
		l.out.run = two(l.result(&a[0], b16, true), l.src(&a[1], f32), l.src(&a[2], f32), func(x, y uint64) uint64 {
			return toSmall(to, float64(f32of(x)), o.relu)<<8 | toSmall(to, float64(f32of(y)), o.relu)
		})
		return
	}
	h, ok := halfTypes[to]
	if !ok || !h.pair {
		l.unknown("%s", l.now.in.name)
	}
	l.out.run = two(l.result(&a[0], b32, true), l.src(&a[1], f32), l.src(&a[2], f32), func(x, y uint64) uint64 {
		return h.narrow(float64(f32of(x)), o)<<16 | h.narrow(float64(f32of(y)), o)
	})
}

// small reads a float of 8 bits.
func small(t typ, v uint64) float64 {
	mantissa, bias, top := 3, 7, uint64(15)
	if t == e5m2x2 {
		mantissa, bias, top = 2, 15, 31
	}
	e, f := v>>mantissa&top, v&(1<<mantissa-1)
	x := math.Ldexp(float64(f), 1-bias-mantissa)
	if e > 0 {
		x = math.Ldexp(float64(f|1<<mantissa), int(e)-bias-mantissa)
	}
	switch {
	case t == e5m2x2 && e == top && f == 0:
		x = math.Inf(1)
	case t == e5m2x2 && e == top, t == e4m3x2 && v&0x7f == 0x7f:
		return math.NaN()
	}
	if v&0x80 != 0 {
		x = -x
	}
	return x
}

// toSmall rounds to a float of 8 bits; what is too large becomes the largest number.
func toSmall(t typ, v float64, relu bool) uint64 {
	if v != v {
		return 0x7f
	}
	if relu && v < 0 {
		return 0
	}
	sign := truth(math.Signbit(v)) << 7
	mantissa, least, most, largest := 3, -6, 8, uint64(0x7e)
	if t == e5m2x2 {
		mantissa, least, most, largest = 2, -14, 15, 0x7b
	}
	if math.IsInf(v, 0) {
		return sign | largest
	}
	out, overflow := roundBits(v, mantissa, least, most, nearest)
	if overflow || out > largest {
		out = largest
	}
	return sign | out
}

// packSaturated is cvt.pack: two integers, limited to fewer bits, and the lower half of a third operand.
func (l *lowering) packSaturated(m *mods) {
	m.need("sat")
	to, from := m.typ(), m.typ()
	n := l.count(3, 4)
	third := n == 4
	if third {
		m.among(b32)
	}
	a := l.now.args
	low, high := integerRange(to)
	clamp := func(v uint64) uint64 { return uint64(min(max(int64(int32(v)), low), int64(high))) & to.mask() }
	bits := to.bits()
	c := l.value(0)
	if third {
		c = l.src(&a[3], b32)
	}
	l.out.run = three(l.dst(&a[0], b32), l.src(&a[1], from), l.src(&a[2], from), c, func(a, b, c uint64) uint64 {
		return (c<<(2*bits) | clamp(a)<<bits | clamp(b)) & 0xffffffff
	})
}
