package emu

import "math/bits"

// warpOps is what the threads of a warp do together.
var warpOps = map[string]func(l *lowering, m *mods){
	"shfl": shuffle,
	"vote": vote,
	"match": func(l *lowering, m *mods) {
		all := m.need("any", "all") == "all"
		m.need("sync")
		t := m.among(b32, b64)
		l.count(3, 3)
		a := l.now.args
		d, s := l.dst(&a[0], b32), l.src(&a[1], t)
		p := none
		if a[0].pair != nil {
			p = l.dst(a[0].pair, pred)
		}
		l.out.member = l.src(&a[2], b32)
		l.out.run = func(w *warp, m uint32) {
			S := *w.r[s]
			for rest := m; rest != 0; rest &= rest - 1 {
				i := bits.TrailingZeros32(rest)
				equal := uint32(0)
				eachLane(m, func(j int) {
					if S[j] == S[i] {
						equal |= 1 << j
					}
				})
				if all {
					if equal != m {
						equal = 0
					}
					if p != none {
						w.p[p] &^= 1 << i
						if equal != 0 {
							w.p[p] |= 1 << i
						}
					}
				}
				w.r[d][i] = uint64(equal)
			}
		}
	},
	"redux": func(l *lowering, m *mods) {
		m.need("sync")
		op := m.need("add", "min", "max", "and", "or", "xor")
		m.drop("abs", "NaN")
		t := m.among(u32, s32, b32)
		l.count(3, 3)
		a := l.now.args
		d, s := l.dst(&a[0], t), l.src(&a[1], t)
		l.out.member = l.src(&a[2], b32)
		f := l.atomicFunction(op, t, false)
		l.out.run = func(w *warp, m uint32) {
			first := bits.TrailingZeros32(m)
			v := w.r[s][first]
			eachLane(m&^(1<<first), func(i int) { v = f(v, w.r[s][i], 0) & 0xffffffff })
			eachLane(m, func(i int) { w.r[d][i] = v })
		}
	},
	"activemask": func(l *lowering, m *mods) {
		m.among(b32)
		l.count(1, 1)
		d := l.dst(&l.now.args[0], b32)
		l.out.run = func(w *warp, m uint32) { eachLane(m, func(i int) { w.r[d][i] = uint64(m) }) }
	},
	"elect": func(l *lowering, m *mods) {
		m.need("sync")
		l.count(2, 2)
		a := l.now.args
		if a[0].pair == nil {
			fail(a[0].pos, "elect.sync sets a register and a predicate d|p")
		}
		d, p := l.dst(&a[0], b32), l.dst(a[0].pair, pred)
		l.out.member = l.src(&a[1], b32)
		l.out.run = func(w *warp, m uint32) {
			leader := bits.TrailingZeros32(m)
			eachLane(m, func(i int) { w.r[d][i] = uint64(leader) })
			w.p[p] = w.p[p]&^m | 1<<leader
		}
	},
}

// shuffle is shfl.sync: every thread gets a value of another one, or its own where the other is out of range.
func shuffle(l *lowering, m *mods) {
	m.need("sync")
	mode := m.need("up", "down", "bfly", "idx")
	m.among(b32)
	l.count(5, 5)
	a := l.now.args
	d, s := l.dst(&a[0], b32), l.src(&a[1], b32)
	l.out.must = nil // the value may be unwritten where nobody takes it
	by, limit := l.src(&a[2], b32), l.src(&a[3], b32)
	p := none
	if a[0].pair != nil {
		p = l.dst(a[0].pair, pred)
	}
	l.out.member = l.src(&a[4], b32)
	l.out.manages = true
	l.out.run = func(w *warp, m uint32) {
		S, u := *w.r[s], w.unknown[s]
		D, B, C := w.r[d], w.r[by], w.r[limit]
		in, lost, outside := uint32(0), uint32(0), uint32(0)
		for rest := m; rest != 0; rest &= rest - 1 {
			i := bits.TrailingZeros32(rest) & 31
			j, ok := shuffleSource(mode, i, int(B[i]&31), int(C[i]))
			if ok {
				in |= 1 << i
			} else {
				j = i
			}
			D[i] = S[j&31]
			if m>>j&1 == 0 {
				outside |= 1 << i
			}
			lost |= u >> j & 1 << i
		}
		if p != none {
			w.p[p] = w.p[p]&^m | in
		}
		if outside != 0 || w.poisoned {
			f := w.poison[s]
			if outside != 0 {
				w.poisoned = true
				f = w.finding(Uninitialized, bits.TrailingZeros32(outside), "%s takes the value of a thread that does not take part", w.name())
			}
			if f == nil && lost != 0 {
				f = w.unwritten(s, lost)
			}
			w.unknown[d] = w.unknown[d]&^m | lost | outside
			delete(w.lost, d)
			if f != nil {
				w.poison[d] = f
			}
		}
	}
}

// shuffleSource is the thread that a thread gets its value from, and whether it is in range (PTX ISA, shfl.sync).
func shuffleSource(mode string, lane, by, c int) (int, bool) {
	segment, clamp := c>>8&31, c&31
	least, most := lane&segment, lane&segment|clamp&^segment
	switch mode {
	case "up":
		return lane - by, lane-by >= most
	case "down":
		return lane + by, lane+by <= most
	case "bfly":
		return lane ^ by, lane^by <= most
	}
	j := least | by&^segment
	return j, j <= most
}

// vote is vote.sync.
func vote(l *lowering, m *mods) {
	m.need("sync")
	mode := m.need("all", "any", "uni", "ballot")
	t := m.among(pred, b32)
	l.count(3, 3)
	a := l.now.args
	d := l.dst(&a[0], t)
	s, not := l.predicate(&a[1])
	l.out.member = l.src(&a[2], b32)
	l.out.run = func(w *warp, m uint32) {
		v := w.p[s]
		if not {
			v = ^v
		}
		v &= m
		if mode == "ballot" {
			eachLane(m, func(i int) { w.r[d][i] = uint64(v) })
			return
		}
		yes := v == m
		switch mode {
		case "any":
			yes = v != 0
		case "uni":
			yes = v == m || v == 0
		}
		w.p[d] &^= m
		if yes {
			w.p[d] |= m
		}
	}
}
