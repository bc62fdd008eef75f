package emu

import "math/bits"

// bitOps is logic, shifts, and what finds, counts and moves bits.
var bitOps = map[string]func(l *lowering, m *mods){
	"and": logic(func(a, b uint64) uint64 { return a & b }, lostAnd(false)),
	"or":  logic(func(a, b uint64) uint64 { return a | b }, lostAnd(true)),
	"xor": logic(func(a, b uint64) uint64 { return a ^ b }, lostAny),
	"not": func(l *lowering, m *mods) {
		t := m.typ()
		if t == pred {
			l.count(2, 2)
			d := l.dst(&l.now.args[0], pred)
			s, not := l.predicate(&l.now.args[1])
			l.out.run = func(w *warp, m uint32) {
				v := ^w.p[s]
				if not {
					v = ^v
				}
				w.p[d] = w.p[d]&^m | v&m
			}
			return
		}
		l.unary(t, t, func(a uint64) uint64 { return ^a & t.mask() })
	},
	"cnot": func(l *lowering, m *mods) {
		t := m.typ()
		l.unary(t, t, func(a uint64) uint64 { return truth(a&t.mask() == 0) })
	},
	"shl": func(l *lowering, m *mods) {
		t := m.typ()
		n := uint64(t.bits())
		l.shift(t, func(a, b uint64) uint64 { return a << min(b, n) & t.mask() })
	},
	"shr": func(l *lowering, m *mods) {
		t := m.typ()
		x, n := extend(t), uint64(t.bits())
		if t.signed() {
			l.shift(t, func(a, b uint64) uint64 { return uint64(x(a)>>min(b, n)) & t.mask() })
			return
		}
		l.shift(t, func(a, b uint64) uint64 { return (a & t.mask()) >> min(b, n) })
	},
	"shf": func(l *lowering, m *mods) {
		left, clamp := m.need("l", "r") == "l", m.need("clamp", "wrap") == "clamp"
		m.among(b32)
		l.ternary(b32, u32, func(a, b, c uint64) uint64 {
			if clamp {
				c = min(c, 32)
			} else {
				c &= 31
			}
			both := b<<32 | a
			if left {
				return both << c >> 32 & 0xffffffff
			}
			return both >> c & 0xffffffff
		})
	},
	"lop3": func(l *lowering, m *mods) {
		logicOp := m.take("or", "and")
		m.among(b32)
		if logicOp != "" {
			l.unknown("%s", l.now.in.name)
		}
		l.count(5, 5)
		a := l.now.args
		table := uint32(l.integer(&a[4]))
		f, all := lop3(table), newLogicTable(table)
		d, x, y, z := l.dst(&a[0], b32), l.src(&a[1], b32), l.src(&a[2], b32), l.src(&a[3], b32)
		slow := three(d, x, y, z, func(a, b, c uint64) uint64 { return uint64(f(uint32(a), uint32(b), uint32(c))) })
		l.out.run = func(w *warp, m uint32) {
			if m == everyone {
				logicLanes(w.r[d], w.r[x], w.r[y], w.r[z], all)
				return
			}
			slow(w, m)
		}
	},
	"prmt": func(l *lowering, m *mods) {
		mode := m.take("f4e", "b4e", "rc8", "ecl", "ecr", "rc16")
		m.among(b32)
		l.count(4, 4)
		a := l.now.args
		d, x, y, c := l.dst(&a[0], b32), l.src(&a[1], b32), l.src(&a[2], b32), l.src(&a[3], b32)
		l.out.run, l.out.spread = three(d, x, y, c, func(a, b, c uint64) uint64 { return permute(a|b<<32, c, mode) }), lostPermute(x, y, c, mode)
	},
	"popc": func(l *lowering, m *mods) {
		t := m.among(b32, b64)
		l.unary(u32, t, func(a uint64) uint64 { return uint64(bits.OnesCount64(a & t.mask())) })
	},
	"clz": func(l *lowering, m *mods) {
		t := m.among(b32, b64)
		l.unary(u32, t, func(a uint64) uint64 { return uint64(bits.LeadingZeros64(a&t.mask()) - 64 + t.bits()) })
	},
	"brev": func(l *lowering, m *mods) {
		t := m.among(b32, b64)
		l.unary(t, t, func(a uint64) uint64 { return bits.Reverse64(a) >> (64 - t.bits()) })
	},
	"bfind": func(l *lowering, m *mods) {
		amount := m.flag("shiftamt")
		t := m.among(u32, u64, s32, s64)
		x := extend(t)
		l.unary(u32, t, func(a uint64) uint64 {
			v := uint64(x(a))
			if int64(v) < 0 && t.signed() {
				v = ^v & t.mask()
			}
			if v == 0 {
				return 0xffffffff
			}
			at := uint64(bits.Len64(v) - 1)
			if amount {
				return uint64(t.bits()) - 1 - at
			}
			return at
		})
	},
	"fns": func(l *lowering, m *mods) {
		m.among(b32)
		l.ternary(b32, s32, findNth)
	},
	"bfe": func(l *lowering, m *mods) {
		t := m.among(u32, u64, s32, s64)
		l.count(4, 4)
		a := l.now.args
		d, s, p, n := l.dst(&a[0], t), l.src(&a[1], t), l.src(&a[2], u32), l.src(&a[3], u32)
		l.out.run = three(d, s, p, n, func(v, p, n uint64) uint64 { return extract(t, v, p&255, n&255) })
	},
	"bfi": func(l *lowering, m *mods) {
		t := m.among(b32, b64)
		l.count(5, 5)
		a := l.now.args
		d, from, into, p, n := l.dst(&a[0], t), l.src(&a[1], t), l.src(&a[2], t), l.src(&a[3], u32), l.src(&a[4], u32)
		l.out.run = func(w *warp, m uint32) {
			eachLane(m, func(i int) {
				p, n := w.r[p][i]&255, w.r[n][i]&255
				field := (uint64(1)<<n - 1) << p & t.mask()
				w.r[d][i] = w.r[into][i]&^field | w.r[from][i]<<p&field
			})
		}
	},
	"bmsk": func(l *lowering, m *mods) {
		clamp := m.need("clamp", "wrap") == "clamp"
		m.among(b32)
		l.binary(b32, func(p, n uint64) uint64 {
			if !clamp {
				p, n = p&31, n&31
			}
			return (uint64(1)<<min(n, 32) - 1) << min(p, 32) & 0xffffffff
		})
	},
	"szext": func(l *lowering, m *mods) {
		clamp := m.need("clamp", "wrap") == "clamp"
		t := m.among(u32, s32)
		l.shift(t, func(a, n uint64) uint64 {
			if !clamp {
				n &= 31
			}
			if n >= 32 {
				return a
			}
			v := a & (1<<n - 1)
			if t == s32 && n > 0 && v>>(n-1) != 0 {
				v |= ^uint64(0) << n
			}
			return v & 0xffffffff
		})
	},
}

// logic is and, or and xor, of bits or predicates.
func logic(f func(a, b uint64) uint64, lost func(a, b reg) func(w *warp, lane, i int) uint64) func(l *lowering, m *mods) {
	return func(l *lowering, m *mods) {
		t := m.among(pred, b16, b32, b64)
		if t != pred {
			l.count(3, 3)
			a := l.now.args
			d, x, y := l.dst(&a[0], t), l.src(&a[1], t), l.src(&a[2], t)
			l.out.run, l.out.spread = two(d, x, y, f), lost(x, y)
			return
		}
		l.count(3, 3)
		d := l.dst(&l.now.args[0], pred)
		a, notA := l.predicate(&l.now.args[1])
		b, notB := l.predicate(&l.now.args[2])
		l.out.run = func(w *warp, m uint32) {
			x, y := w.p[a], w.p[b]
			if notA {
				x = ^x
			}
			if notB {
				y = ^y
			}
			w.p[d] = w.p[d]&^m | uint32(f(uint64(x), uint64(y)))&m
		}
	}
}

// extract is bfe: bits from p on, n of them.
func extract(t typ, v, p, n uint64) uint64 {
	last := uint64(t.bits() - 1)
	var out uint64
	if p <= last {
		out = v >> p & (uint64(1)<<n - 1)
	}
	if t.signed() && n > 0 {
		sign := v >> min(p+n-1, last) & 1
		if have := min(n, last+1-min(p, last+1)); sign != 0 {
			out |= ^uint64(0) << have
		}
	}
	return out & t.mask()
}

// findNth is fns: the position of the nth set bit from a base on.
func findNth(v, base, offset uint64) uint64 {
	n, at := int32(offset), int(base&31)
	step := 1
	if n < 0 {
		step, n = -1, -n
	} else if n == 0 {
		n = 1
		if v>>at&1 == 0 {
			return 0xffffffff
		}
	}
	for ; at >= 0 && at < 32; at += step {
		if v>>at&1 != 0 {
			if n--; n == 0 {
				return uint64(at)
			}
		}
	}
	return 0xffffffff
}

// lop3 is the function of three bits that a table of eight describes.
func lop3(table uint32) func(a, b, c uint32) uint32 {
	full := func(bit int) uint32 { return -(table >> bit & 1) }
	t := [8]uint32{full(0), full(1), full(2), full(3), full(4), full(5), full(6), full(7)}
	return func(a, b, c uint32) uint32 {
		low := ^b&(^c&t[0]|c&t[1]) | b&(^c&t[2]|c&t[3])
		high := ^b&(^c&t[4]|c&t[5]) | b&(^c&t[6]|c&t[7])
		return ^a&low | a&high
	}
}

// permute is prmt: four bytes of eight, by selectors or in a fixed mode.
func permute(bytes, selector uint64, mode string) uint64 {
	at := func(i uint64) uint64 { return bytes >> (8 * (i & 7)) & 255 }
	var out uint64
	s := selector & 3
	for i := range uint64(4) {
		var b uint64
		switch mode {
		case "":
			sel := selector >> (4 * i) & 15
			if b = at(sel); sel&8 != 0 {
				b = -(b >> 7) & 255
			}
		case "f4e":
			b = at(s + i)
		case "b4e":
			b = at(s - i)
		case "rc8":
			b = at(s)
		case "ecl":
			b = at(max(s, i))
		case "ecr":
			b = at(min(s, i))
		case "rc16":
			b = at(s&1*2 + i&1)
		}
		out |= b << (8 * i)
	}
	return out
}
