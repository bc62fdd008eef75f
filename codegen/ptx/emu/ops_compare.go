package emu

import "math"

// compareOps is set and setp.
var compareOps = map[string]func(l *lowering, m *mods){
	"setp": func(l *lowering, m *mods) { l.set(m, true) },
	"set":  func(l *lowering, m *mods) { l.set(m, false) },
}

// comparisons is what the names of comparisons mean on floats: whether they hold where the first number is less, equal,
// greater, or where one is NaN. Integers' are the same but for the last.
var comparisons = map[string][4]bool{
	"eq": {1: true}, "ne": {0: true, 2: true}, "lt": {0: true}, "le": {0: true, 1: true}, "gt": {2: true}, "ge": {1: true, 2: true},
	"lo": {0: true}, "ls": {0: true, 1: true}, "hi": {2: true}, "hs": {1: true, 2: true},
	"equ": {1: true, 3: true}, "neu": {0: true, 2: true, 3: true}, "ltu": {0: true, 3: true}, "leu": {0: true, 1: true, 3: true},
	"gtu": {2: true, 3: true}, "geu": {1: true, 2: true, 3: true}, "num": {0: true, 1: true, 2: true}, "nan": {3: true},
}

var comparisonNames = func() []string {
	var names []string
	for n := range comparisons {
		names = append(names, n)
	}
	return names
}()

// comparison is the function of a comparison on a type.
func comparison(t typ, holds [4]bool, ftz bool) func(a, b uint64) bool {
	if t.class() == 'f' {
		read := reader(t, ftz)
		return func(a, b uint64) bool {
			switch x, y := read(a), read(b); {
			case x < y:
				return holds[0]
			case x == y:
				return holds[1]
			case x > y:
				return holds[2]
			}
			return holds[3]
		}
	}
	x, signed, mask := extend(t), t.signed(), t.mask()
	return func(a, b uint64) bool {
		a, b = a&mask, b&mask
		switch {
		case a == b:
			return holds[1]
		case signed && x(a) < x(b) || !signed && a < b:
			return holds[0]
		}
		return holds[2]
	}
}

// set builds setp and set: a comparison, and a logical operation with a predicate.
func (l *lowering) set(m *mods, toPredicate bool) {
	holds := comparisons[m.need(comparisonNames...)]
	with := m.take("and", "or", "xor")
	ftz := m.flag("ftz")
	to := pred
	if !toPredicate {
		to = m.among(u32, s32, f32, f16, bf16, f16x2, bf16x2, u16, s16)
	}
	t := m.typ()
	n := 3
	if with != "" {
		n = 4
	}
	l.count(n, n)
	a := l.now.args
	third, not := none, false
	if with != "" {
		third, not = l.predicate(&a[3])
	}
	join := func(w *warp, v uint32) uint32 {
		if third == none {
			return v
		}
		c := w.p[third]
		if not {
			c = ^c
		}
		switch with {
		case "and":
			return v & c
		case "or":
			return v | c
		}
		return v ^ c
	}
	if h, ok := halfTypes[t]; ok && h.pair {
		l.setPair(h, t, to, holds, ftz, join)
		return
	}
	x, y := l.src(&a[1], t), l.src(&a[2], t)
	f := comparison(t, holds, ftz)
	if !toPredicate {
		d := l.dst(&a[0], to)
		yes := uint64(to.mask())
		switch to {
		case f32:
			yes = uint64(math.Float32bits(1))
		case f16, bf16:
			yes = halfTypes[to].one
		}
		l.out.run = func(w *warp, m uint32) {
			v := join(w, compare(w.r[x], w.r[y], m, f))
			eachLane(m, func(i int) { w.r[d][i] = uint64(v>>i&1) * yes })
		}
		return
	}
	d := l.dst(&a[0], pred)
	other := none
	if a[0].pair != nil {
		other = l.dst(a[0].pair, pred)
	}
	fast := fastCompare(t, holds)
	if ftz {
		fast = nil
	}
	l.out.run = func(w *warp, m uint32) {
		var v uint32
		if m == everyone && fast != nil {
			v = fast(w.r[x], w.r[y])
		} else {
			v = compare(w.r[x], w.r[y], m, f)
		}
		if other != none {
			w.p[other] = w.p[other]&^m | join(w, ^v)&m
		}
		w.p[d] = w.p[d]&^m | join(w, v)&m
	}
}

// setPair compares pairs of 16-bit floats.
func (l *lowering) setPair(h halves, t, to typ, holds [4]bool, ftz bool, join func(w *warp, v uint32) uint32) {
	a := l.now.args
	single := f16
	if t == bf16x2 {
		single = bf16
	}
	x, y := l.src(&a[1], t), l.src(&a[2], t)
	f := comparison(single, holds, ftz)
	low := func(a, b uint64) bool { return f(a&0xffff, b&0xffff) }
	high := func(a, b uint64) bool { return f(a>>16, b>>16) }
	if to == pred {
		if a[0].pair == nil {
			fail(a[0].pos, "%s sets two predicates p|q", l.now.in.name)
		}
		d, e := l.dst(&a[0], pred), l.dst(a[0].pair, pred)
		l.out.run = func(w *warp, m uint32) {
			p, q := compare(w.r[x], w.r[y], m, low), compare(w.r[x], w.r[y], m, high)
			w.p[d] = w.p[d]&^m | join(w, p)&m
			w.p[e] = w.p[e]&^m | join(w, q)&m
		}
		return
	}
	yes := uint64(0xffff)
	if to.class() == 'f' {
		yes = h.one
	}
	d := l.dst(&a[0], to)
	l.out.run = func(w *warp, m uint32) {
		p, q := join(w, compare(w.r[x], w.r[y], m, low)), join(w, compare(w.r[x], w.r[y], m, high))
		eachLane(m, func(i int) { w.r[d][i] = uint64(p>>i&1)*yes | uint64(q>>i&1)*yes<<16 })
	}
}
