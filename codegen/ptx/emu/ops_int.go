package emu

import (
	"math/bits"
)

// extend is a value of a type as 64 bits: the sign of signed types is repeated.
func extend(t typ) func(v uint64) int64 {
	n := 64 - t.bits()
	if t.signed() {
		return func(v uint64) int64 { return int64(v<<n) >> n }
	}
	return func(v uint64) int64 { return int64(v << n >> n) }
}

// integerOps is arithmetic and logic on integers, and floats' where they share a name.
var integerOps = map[string]func(l *lowering, m *mods){
	"add":  func(l *lowering, m *mods) { l.sum(m, false) },
	"sub":  func(l *lowering, m *mods) { l.sum(m, true) },
	"addc": func(l *lowering, m *mods) { l.carry(m, false, true) },
	"subc": func(l *lowering, m *mods) { l.carry(m, true, true) },
	"mul":  multiplyOp,
	"mad":  multiplyAddOp,
	"madc": func(l *lowering, m *mods) { l.carryMultiply(m, true) },
	"mul24": func(l *lowering, m *mods) {
		hi := m.need("lo", "hi") == "hi"
		t := m.among(u32, s32)
		f := narrow24(t, hi)
		l.binary(t, func(a, b uint64) uint64 { return f(a, b) & 0xffffffff })
	},
	"mad24": func(l *lowering, m *mods) {
		hi := m.need("lo", "hi") == "hi"
		t := m.among(u32, s32)
		f := narrow24(t, hi)
		l.ternary(t, t, func(a, b, c uint64) uint64 { return (f(a, b) + c) & 0xffffffff })
	},
	"sad": func(l *lowering, m *mods) {
		t := m.typ()
		x := extend(t)
		l.ternary(t, t, func(a, b, c uint64) uint64 {
			d := uint64(x(a) - x(b))
			if t.signed() && x(a) < x(b) || !t.signed() && a < b {
				d = -d
			}
			return (c + d) & t.mask()
		})
	},
	"div": func(l *lowering, m *mods) { l.divide(m, true) },
	"rem": func(l *lowering, m *mods) { l.divide(m, false) },
	"abs": func(l *lowering, m *mods) {
		if t := m.typ(); t.class() == 'f' {
			l.signOp(m, t, false)
		} else {
			x := extend(t)
			l.unary(t, t, func(a uint64) uint64 {
				if v := x(a); v < 0 {
					return uint64(-v) & t.mask()
				}
				return a & t.mask()
			})
		}
	},
	"neg": func(l *lowering, m *mods) {
		if t := m.typ(); t.class() == 'f' {
			l.signOp(m, t, true)
		} else {
			l.unary(t, t, func(a uint64) uint64 { return -a & t.mask() })
		}
	},
	"min":  func(l *lowering, m *mods) { l.extreme(m, true) },
	"max":  func(l *lowering, m *mods) { l.extreme(m, false) },
	"dp4a": func(l *lowering, m *mods) { l.dot(m, 4) },
	"dp2a": func(l *lowering, m *mods) { l.dot(m, 2) },
}

func truth(c bool) uint64 {
	if c {
		return 1
	}
	return 0
}

// unary, binary, ternary and shift build instructions of operands of usual types.
func (l *lowering) unary(result, t typ, f func(a uint64) uint64) {
	l.count(2, 2)
	a := l.now.args
	l.out.run = one(l.dst(&a[0], result), l.src(&a[1], t), f)
}

func (l *lowering) binary(t typ, f func(a, b uint64) uint64) {
	l.count(3, 3)
	a := l.now.args
	l.out.run = two(l.dst(&a[0], t), l.src(&a[1], t), l.src(&a[2], t), f)
}

func (l *lowering) shift(t typ, f func(a, b uint64) uint64) {
	l.count(3, 3)
	a := l.now.args
	d, v, by := l.dst(&a[0], t), l.src(&a[1], t), l.src(&a[2], u32)
	l.out.run, l.out.spread = two(d, v, by, f), lostShift(v, by, f)
}

func (l *lowering) ternary(t, third typ, f func(a, b, c uint64) uint64) {
	l.count(4, 4)
	a := l.now.args
	l.out.run = three(l.dst(&a[0], t), l.src(&a[1], t), l.src(&a[2], t), l.src(&a[3], third), f)
}

// sum is add and sub.
func (l *lowering) sum(m *mods, minus bool) {
	if m.flag("cc") {
		l.carryWith(m.typ(), minus, false, true)
		return
	}
	saturate := m.flag("sat")
	t := m.typ()
	if t.class() == 'f' {
		l.floatSum(m, t, minus, saturate)
		return
	}
	if t == u16x2 || t == s16x2 {
		l.binary(t, func(a, b uint64) uint64 {
			if minus {
				return (a-b)&0xffff | (a>>16-b>>16)&0xffff<<16
			}
			return (a+b)&0xffff | (a>>16+b>>16)&0xffff<<16
		})
		return
	}
	mask, x := t.mask(), extend(t)
	switch {
	case saturate && t == s32:
		l.binary(t, func(a, b uint64) uint64 {
			v := x(a) + x(b)
			if minus {
				v = x(a) - x(b)
			}
			return uint64(min(max(v, -1<<31), 1<<31-1)) & mask
		})
	case saturate:
		l.unknown("%s", l.now.in.name)
	case minus:
		l.binary(t, func(a, b uint64) uint64 { return (a - b) & mask })
	default:
		l.binary(t, func(a, b uint64) uint64 { return (a + b) & mask })
	}
}

// carry is addc and subc.
func (l *lowering) carry(m *mods, minus, in bool) {
	out := m.flag("cc")
	l.carryWith(m.typ(), minus, in, out)
}

// carryWith is addition and subtraction with a carry in and out of the condition code register.
func (l *lowering) carryWith(t typ, minus, in, out bool) {
	l.count(3, 3)
	a := l.now.args
	d, x, y := l.dst(&a[0], t), l.src(&a[1], t), l.src(&a[2], t)
	n := t.bits()
	l.out.run = func(w *warp, m uint32) {
		eachLane(m, func(i int) {
			c := uint64(w.carry >> i & 1)
			if !in {
				c = 0
			}
			var v, o uint64
			switch {
			case minus:
				v, o = bits.Sub64(w.r[x][i], w.r[y][i], c)
			case n == 64:
				v, o = bits.Add64(w.r[x][i], w.r[y][i], c)
			default:
				v = w.r[x][i] + w.r[y][i] + c
				o = v >> n & 1
			}
			w.r[d][i] = v & t.mask()
			if out {
				w.carry = w.carry&^(1<<i) | uint32(o)<<i
			}
		})
	}
}

// carryMultiply is mad.cc and madc.
func (l *lowering) carryMultiply(m *mods, in bool) {
	part := m.need("lo", "hi")
	out := m.flag("cc")
	t := m.typ()
	l.count(4, 4)
	a := l.now.args
	d, x, y, z := l.dst(&a[0], t), l.src(&a[1], t), l.src(&a[2], t), l.src(&a[3], t)
	product := multiplyParts(t, part)
	n := t.bits()
	l.out.run = func(w *warp, m uint32) {
		eachLane(m, func(i int) {
			c := uint64(w.carry >> i & 1)
			if !in {
				c = 0
			}
			p := product(w.r[x][i], w.r[y][i])
			v, o := bits.Add64(p, w.r[z][i], c)
			if n < 64 {
				o = v >> n & 1
			}
			w.r[d][i] = v & t.mask()
			if out {
				w.carry = w.carry&^(1<<i) | uint32(o)<<i
			}
		})
	}
}

// multiplyParts is the low or high half of a product.
func multiplyParts(t typ, part string) func(a, b uint64) uint64 {
	mask, x, n := t.mask(), extend(t), t.bits()
	switch {
	case part == "lo":
		return func(a, b uint64) uint64 { return a * b & mask }
	case n < 64:
		return func(a, b uint64) uint64 { return uint64(x(a)*x(b)) >> n & mask }
	case t.signed():
		return func(a, b uint64) uint64 {
			hi, _ := bits.Mul64(a, b)
			if int64(a) < 0 {
				hi -= b
			}
			if int64(b) < 0 {
				hi -= a
			}
			return hi
		}
	}
	return func(a, b uint64) uint64 { hi, _ := bits.Mul64(a, b); return hi }
}

// wider is the type with twice the bits.
func (l *lowering) wider(t typ) typ {
	w, ok := map[typ]typ{u16: u32, s16: s32, u32: u64, s32: s64}[t]
	if !ok {
		l.unknown("%s", l.now.in.name)
	}
	return w
}

// multiplyOp is mul.
func multiplyOp(l *lowering, m *mods) {
	part := m.take("lo", "hi", "wide")
	if part == "" {
		l.floatProduct(m)
		return
	}
	t := m.typ()
	if !t.integer() {
		l.unknown("%s", l.now.in.name)
	}
	if part != "wide" {
		l.binary(t, multiplyParts(t, part))
		return
	}
	wide, x := l.wider(t), extend(t)
	l.count(3, 3)
	a := l.now.args
	l.out.run = two(l.dst(&a[0], wide), l.src(&a[1], t), l.src(&a[2], t), func(a, b uint64) uint64 { return uint64(x(a)*x(b)) & wide.mask() })
}

// multiplyAddOp is mad.
func multiplyAddOp(l *lowering, m *mods) {
	for _, p := range m.parts {
		if p == "cc" {
			l.carryMultiply(m, false)
			return
		}
	}
	part := m.take("lo", "hi", "wide")
	if part == "" {
		l.fusedProduct(m)
		return
	}
	saturate := m.flag("sat")
	t := m.typ()
	if saturate || !t.integer() {
		l.unknown("%s", l.now.in.name)
	}
	if part != "wide" {
		f := multiplyParts(t, part)
		l.ternary(t, t, func(a, b, c uint64) uint64 { return (f(a, b) + c) & t.mask() })
		return
	}
	wide, x := l.wider(t), extend(t)
	l.count(4, 4)
	a := l.now.args
	l.out.run = three(l.dst(&a[0], wide), l.src(&a[1], t), l.src(&a[2], t), l.src(&a[3], wide),
		func(a, b, c uint64) uint64 { return (uint64(x(a)*x(b)) + c) & wide.mask() })
}

// narrow24 is the product of 24-bit numbers, its low 32 bits or its bits 16 to 47.
func narrow24(t typ, hi bool) func(a, b uint64) uint64 {
	return func(a, b uint64) uint64 {
		p := a << 40 >> 40 * (b << 40 >> 40)
		if t == s32 {
			p = uint64(int64(a<<40) >> 40 * (int64(b<<40) >> 40))
		}
		if hi {
			p >>= 16
		}
		return p
	}
}

// divide is div and rem. The result of a division by zero has no definition: it is a finding.
func (l *lowering) divide(m *mods, quotient bool) {
	t := m.typ()
	if t == f64 || t == f32 {
		l.floatQuotient(m, t)
		return
	}
	l.count(3, 3)
	a := l.now.args
	d, x, y := l.dst(&a[0], t), l.src(&a[1], t), l.src(&a[2], t)
	e := extend(t)
	l.out.run = func(w *warp, m uint32) {
		if m == everyone && divideAll(t, w.r[d], w.r[x], w.r[y], quotient) {
			return
		}
		eachLane(m, func(i int) {
			p, q := e(w.r[x][i]), e(w.r[y][i])
			var v uint64
			switch {
			case q == 0 && w.unknown[y]>>i&1 != 0:
			case q == 0:
				w.fail(Trap, i, "%s divides by zero, which has no defined result", w.name())
			case t.signed() && quotient:
				v = uint64(p / q)
			case t.signed():
				v = uint64(p % q)
			case quotient:
				v = uint64(p) / uint64(q)
			default:
				v = uint64(p) % uint64(q)
			}
			w.r[d][i] = v & t.mask()
		})
	}
}

// divideAll is div or rem of all threads. It reports false, and does nothing, where one divides by zero or the type is narrow.
func divideAll(t typ, D, X, Y *lanes, quotient bool) bool {
	if t.bits() < 32 {
		return false
	}
	for _, y := range Y {
		if y == 0 {
			return false
		}
	}
	switch {
	case t == s32 && quotient:
		for i, x := range X {
			D[i] = uint64(uint32(int32(x) / int32(Y[i])))
		}
	case t == s32:
		for i, x := range X {
			D[i] = uint64(uint32(int32(x) % int32(Y[i])))
		}
	case t == s64 && quotient:
		for i, x := range X {
			D[i] = uint64(int64(x) / int64(Y[i]))
		}
	case t == s64:
		for i, x := range X {
			D[i] = uint64(int64(x) % int64(Y[i]))
		}
	case quotient: // of words or longs without a sign
		for i, x := range X {
			D[i] = x / Y[i]
		}
	default:
		for i, x := range X {
			D[i] = x % Y[i]
		}
	}
	return true
}

// dot is dp4a and dp2a.
func (l *lowering) dot(m *mods, n int) {
	high := n == 2 && m.need("lo", "hi") == "hi"
	ta, tb := m.among(u32, s32), m.among(u32, s32)
	tc := u32
	if ta.signed() || tb.signed() {
		tc = s32
	}
	l.count(4, 4)
	a := l.now.args
	part := func(t typ, v uint64, i, width int) int64 {
		v = v >> (i * width) & (1<<width - 1)
		if t.signed() {
			return int64(v<<(64-width)) >> (64 - width)
		}
		return int64(v)
	}
	l.out.run = three(l.dst(&a[0], tc), l.src(&a[1], ta), l.src(&a[2], tb), l.src(&a[3], tc), func(a, b, c uint64) uint64 {
		sum := int64(int32(c))
		for i := range n {
			j := i
			if high {
				j += 2
			}
			sum += part(ta, a, i, 32/n) * part(tb, b, j, 8)
		}
		return uint64(uint32(sum))
	})
}
