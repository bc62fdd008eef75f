package emu

import "math/bits"

// atomicOps is atom and red.
var atomicOps = map[string]func(l *lowering, m *mods){
	"atom": func(l *lowering, m *mods) { l.atomic(m, true) },
	"red":  func(l *lowering, m *mods) { l.atomic(m, false) },
}

// atomic builds atom d, [a], b{, c} and red [a], b.
func (l *lowering) atomic(m *mods, result bool) {
	args := l.now.args
	if m.flag("async") {
		l.unknown("%s", l.now.in.name)
	}
	sp := m.space()
	s := m.strength()
	s.strong, s.atomic = true, true
	hint := m.cacheHints()
	op := m.need("add", "inc", "dec", "min", "max", "and", "or", "xor", "exch", "cas")
	m.drop("noftz")
	ftz := m.flag("ftz")
	n := m.vectorLength()
	t := m.typ()
	least := 2
	if result {
		least++
	}
	if op == "cas" {
		least++
	}
	l.count(least, least+int(truth(hint)))
	if hint {
		l.src(&args[least], b64)
	}
	var dst []reg
	if result {
		dst = l.results(&args[0], n, t, true)
		args = args[1:]
	}
	base, offset, sp := l.place(&args[0], sp)
	value := l.sources(&args[1], n, t, true)
	third := none
	if op == "cas" {
		third = l.source(&args[2], t, true)
	}
	f := l.atomicFunction(op, t, ftz)
	size := t.bytes()
	total := size * n
	l.narrowest(sp, total)
	l.out.manages, l.out.looks = true, true
	l.out.run = func(w *warp, m uint32) {
		w.addresses(base, offset, m)
		w.order(sp, s, m, total, true)
		if sp == shared {
			w.bankCheck(m, total)
		}
		changed, bad := false, uint32(0)
		b := &w.bytes
		for rest := m; rest != 0; rest &= rest - 1 {
			i := bits.TrailingZeros32(rest)
			old, known := w.fetch(sp, i, w.addr[i], total, true)
			if !known {
				bad |= 1 << i
			}
			for j := range n {
				v := read(old[j*size : (j+1)*size])
				var c uint64
				if third != none {
					c = w.r[third][i]
				}
				next := f(v, w.r[value[j]][i]&t.mask(), c&t.mask()) & t.mask()
				changed = changed || next != v
				write(b[j*size:(j+1)*size], next)
				if dst != nil {
					w.r[dst[j]][i] = v
				}
			}
			w.put(sp, i, w.addr[i], b[:total], true)
		}
		if bad != 0 {
			i := bits.TrailingZeros32(bad)
			w.fail(Uninitialized, i, "%s reads %s, which nobody has written", w.name(), w.describe(sp, w.addr[i], total))
		}
		if w.poisoned {
			for _, d := range dst {
				w.unknown[d] &^= m
			}
		}
		if w.counts != nil {
			w.counts.memory(w, sp, m, total)
		}
		if changed {
			w.events++
			w.launch.progress()
			w.watch = spinWatch{}
		} else if dst != nil {
			w.lookAgain(sp, m, w.r[dst[0]])
		}
	}
	l.confine(&args[0], total)
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
