package emu

import "math/bits"

// atomicOps is atom and red.
var atomicOps = map[string]func(l *lowering, m *mods){
	"atom": func(l *lowering, m *mods) { l.atomic(m, true) },
	"red":  func(l *lowering, m *mods) { l.atomic(m, false) },
}

// exchange is what an instruction of atomics says: n values of a type in a place become others.
type exchange struct {
	base   reg
	offset int64
	space  space
	strength
	t          typ
	n          int
	dst, value []reg // dst is nil where nobody takes what was there
	third      reg   // of cas
	next       func(v, b, c uint64) uint64
}

// atomic builds atom d, [a], b{, c} and red [a], b.
func (l *lowering) atomic(m *mods, result bool) {
	args := l.now.args
	if m.flag("async") {
		l.unknown("%s", l.now.in.name)
	}
	sp := m.space()
	x := exchange{strength: m.strength(), third: none}
	x.strong, x.atomic = true, true
	hint := m.cacheHints()
	op := m.need("add", "inc", "dec", "min", "max", "and", "or", "xor", "exch", "cas")
	m.drop("noftz")
	ftz := m.flag("ftz")
	x.n = m.vectorLength()
	x.t = m.typ()
	least := 2 + int(truth(result)) + int(truth(op == "cas"))
	l.count(least, least+int(truth(hint)))
	if hint {
		l.src(&args[least], b64)
	}
	if result {
		x.dst = l.results(&args[0], x.n, x.t, true)
		args = args[1:]
	}
	x.base, x.offset, x.space = l.place(&args[0], sp)
	x.value = l.sources(&args[1], x.n, x.t, true)
	if op == "cas" {
		x.third = l.source(&args[2], x.t, true)
	}
	x.next = l.atomicFunction(op, x.t, ftz)
	total := x.t.bytes() * x.n
	l.narrowest(x.space, total)
	l.out.manages, l.out.looks = true, true
	l.out.run = func(w *warp, m uint32) { w.exchange(&x, m) }
	l.confine(&args[0], total)
}

// exchange does an atomic operation for the threads of m, one after the other.
func (w *warp) exchange(x *exchange, m uint32) {
	total := x.t.bytes() * x.n
	w.addresses(x.base, x.offset, m)
	w.order(x.space, x.strength, m, total, true)
	if x.space == shared {
		w.bankCheck(m, total)
	}
	changed, bad := false, uint32(0)
	for rest := m; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros32(rest)
		old, known := w.fetch(x.space, i, w.addr[i], total, true)
		if !known {
			bad |= 1 << i
		}
		changed = w.exchangeOne(x, i, old) || changed
		w.put(x.space, i, w.addr[i], w.bytes[:total], true)
	}
	if bad != 0 {
		i := bits.TrailingZeros32(bad)
		w.fail(Uninitialized, i, "%s reads %s, which nobody has written", w.name(), w.describe(x.space, w.addr[i], total))
	}
	if w.poisoned {
		for _, d := range x.dst {
			w.unknown[d] &^= m
		}
	}
	if w.counts != nil {
		w.counts.memory(w, x.space, m, total)
	}
	if changed {
		w.events++
		w.launch.progress()
		w.watch = spinWatch{}
	} else if x.dst != nil {
		w.lookAgain(x.space, m, w.r[x.dst[0]])
	}
}

// exchangeOne puts what comes to be in a thread's place into w.bytes, where old is. It reports whether that is something else.
func (w *warp) exchangeOne(x *exchange, lane int, old []byte) (changed bool) {
	size, mask := x.t.bytes(), x.t.mask()
	for j := range x.n {
		v := read(old[j*size : (j+1)*size])
		var c uint64
		if x.third != none {
			c = w.r[x.third][lane]
		}
		next := x.next(v, w.r[x.value[j]][lane]&mask, c&mask) & mask
		changed = changed || next != v
		write(w.bytes[j*size:(j+1)*size], next)
		if x.dst != nil {
			w.r[x.dst[j]][lane] = v
		}
	}
	return changed
}

// atomicFunction is the new value for the old one, an operand, and the third operand of cas.
func (l *lowering) atomicFunction(op string, t typ, ftz bool) func(v, b, c uint64) uint64 {
	if h, ok := halfTypes[t]; ok {
		return l.atomicHalf(op, h)
	}
	switch op {
	case "exch":
		return func(_, b, _ uint64) uint64 { return b }
	case "cas":
		return func(v, b, c uint64) uint64 {
			if v == b {
				return c
			}
			return v
		}
	case "and":
		return func(v, b, _ uint64) uint64 { return v & b }
	case "or":
		return func(v, b, _ uint64) uint64 { return v | b }
	case "xor":
		return func(v, b, _ uint64) uint64 { return v ^ b }
	case "inc":
		return func(v, b, _ uint64) uint64 {
			if v >= b {
				return 0
			}
			return v + 1
		}
	case "dec":
		return func(v, b, _ uint64) uint64 {
			if v == 0 || v > b {
				return b
			}
			return v - 1
		}
	case "add":
		switch t {
		case f32: // red and atom flush subnormal numbers in global memory, but not those of the operands' sum in shared
			f := floatMods{ftz: ftz}
			return func(v, b, _ uint64) uint64 { return f.finish(f.in(v) + f.in(b)) }
		case f64:
			return func(v, b, _ uint64) uint64 { return bits64(f64of(v) + f64of(b)) }
		}
		return func(v, b, _ uint64) uint64 { return v + b }
	}
	if t.class() == 'f' {
		return func(v, b, _ uint64) uint64 {
			if t == f64 {
				return pickFloat(v, b, f64of(v), f64of(b), 1<<63, nan64, op == "min", false, false)
			}
			return pickFloat(v, b, float64(f32of(v)), float64(f32of(b)), 1<<31, nan32, op == "min", false, false)
		}
	}
	f := pickInteger(t, op == "min", false)
	return func(v, b, _ uint64) uint64 { return f(v, b) }
}

// atomicHalf is the operations on 16-bit floats.
func (l *lowering) atomicHalf(op string, h halves) func(v, b, c uint64) uint64 {
	switch op {
	case "add":
		return func(v, b, _ uint64) uint64 {
			return h.each(v, b, 0, func(a, b, _ uint64) uint64 { return h.finish(h.of(a)+h.of(b), floatMods{}) })
		}
	case "min", "max":
		return func(v, b, _ uint64) uint64 {
			return h.each(v, b, 0, func(a, b, _ uint64) uint64 {
				return pickFloat(a, b, h.of(a), h.of(b), 0x8000, nan16, op == "min", false, false)
			})
		}
	}
	l.unknown("%s", l.now.in.name)
	return nil
}
