package emu

// moveOps copies values, packs and unpacks them, and makes addresses of one space to those of another.
var moveOps = map[string]func(l *lowering, m *mods){
	"mov":  move,
	"cvta": convertAddress,
	"mapa": func(l *lowering, m *mods) { // in a cluster of one block
		m.drop("shared::cluster")
		t := m.among(u32, u64)
		l.count(3, 3)
		a := l.now.args
		l.src(&a[2], u32)
		l.out.run = copyLanes(l.dst(&a[0], t), l.src(&a[1], t))
	},
	"isspacep": func(l *lowering, m *mods) {
		sp := spacesByName[m.need("global", "shared", "shared::cta", "shared::cluster", "local", "const", "param", "param::entry")]
		l.count(2, 2)
		a := l.now.args
		s := l.src(&a[1], b64)
		l.out.run = test(l.dst(&a[0], pred), s, s, func(v, _ uint64) bool { return spaceOf(v) == sp })
	},
	"selp": func(l *lowering, m *mods) {
		t := m.typ()
		l.count(4, 4)
		a := l.now.args
		d, x, y := l.dst(&a[0], t), l.src(&a[1], t), l.src(&a[2], t)
		p, not := l.predicate(&a[3])
		l.out.run = func(w *warp, m uint32) {
			yes := w.p[p]
			if not {
				yes = ^yes
			}
			D, X, Y := w.r[d], w.r[x], w.r[y]
			if m == everyone {
				chooseLanes(D, X, Y, yes)
				return
			}
			for i := range D {
				if m>>i&1 != 0 {
					if yes>>i&1 != 0 {
						D[i] = X[i]
					} else {
						D[i] = Y[i]
					}
				}
			}
		}
		l.out.guardRead = true
		l.out.spread = func(w *warp, lane, _ int) uint64 {
			switch yes := w.p[p]>>lane&1 != 0 != not; {
			case w.lostBits(p, lane) != 0:
				return ^uint64(0)
			case yes:
				return w.lostBits(x, lane)
			}
			return w.lostBits(y, lane)
		}
	},
	"slct": func(l *lowering, m *mods) {
		m.drop("ftz")
		t, by := m.typ(), m.among(s32, f32)
		l.count(4, 4)
		a := l.now.args
		l.out.run = three(l.dst(&a[0], t), l.src(&a[1], t), l.src(&a[2], t), l.src(&a[3], by), func(a, b, c uint64) uint64 {
			if by == s32 && int32(c) >= 0 || by == f32 && f32of(c) >= 0 {
				return a
			}
			return b
		})
	},
}

// spaceOf is the state space of a generic address.
func spaceOf(v uint64) space {
	switch {
	case v>>window != 0:
		return global
	case v >= sharedView && v < localBase:
		return shared
	case v >= localBase && v < paramBase:
		return local
	case v >= paramBase && v < viewEnd:
		return paramSpace
	}
	return generic
}

// copyLanes copies a register.
func copyLanes(d, s reg) func(*warp, uint32) {
	return func(w *warp, m uint32) {
		if m == everyone {
			*w.r[d] = *w.r[s]
		} else {
			D, S := w.r[d], w.r[s]
			for i := range D {
				if m>>i&1 != 0 {
					D[i] = S[i]
				}
			}
		}
	}
}

// move is mov: a copy, a pack {a, b} → d, or an unpack.
func move(l *lowering, m *mods) {
	t := m.typ()
	l.count(2, 2)
	a := l.now.args
	switch {
	case a[1].kind == ropVector:
		l.pack(t)
	case a[0].kind == ropVector:
		l.unpack(t)
	case t == pred:
		d := l.dst(&a[0], pred)
		s, not := l.predicate(&a[1])
		l.out.run = func(w *warp, m uint32) {
			v := w.p[s]
			if not {
				v = ^v
			}
			w.p[d] = w.p[d]&^m | v&m
		}
	default:
		if a[0].typ == pred {
			fail(a[0].pos, "%s is a predicate; %s takes .%s", a[0].text, l.now.in.name, t)
		}
		d := l.dst(&a[0], t)
		if a[1].kind == ropOther && a[1].sym != nil {
			l.unknown("%s of the address of code", l.now.in.name)
		}
		from := l.source(&a[1], moved(t, &a[1]), false)
		l.out.run, l.out.spread = copyLanes(d, from), lostCopy(from)
	}
}

// moved is the type that a source of mov must have: addresses have 64 bits and may be cut.
func moved(t typ, o *rop) typ {
	if o.kind == ropConstant && !o.isLit {
		return noType
	}
	if o.isLit && o.lit.kind == floatOperand && t.class() == 'b' {
		return t
	}
	return t
}

func (l *lowering) pack(t typ) {
	a := l.now.args
	n := len(a[1].list)
	part, ok := map[int]typ{8: b8, 16: b16, 32: b32}[t.bits()/max(n, 1)]
	if !ok || part.bits()*n != t.bits() {
		fail(a[1].pos, "%d values in braces do not make %d bits", n, t.bits())
	}
	s := l.sources(&a[1], n, part, part == b8)
	d := l.dst(&a[0], t)
	bits, mask := part.bits(), part.mask()
	l.out.run = func(w *warp, m uint32) {
		D := w.r[d]
		if m == everyone && n == 2 {
			A, B := w.r[s[0]], w.r[s[1]]
			for i := range D {
				D[i] = A[i]&mask | B[i]<<bits
			}
		} else {
			eachLane(m, func(i int) {
				v := uint64(0)
				for j, r := range s {
					v |= w.r[r][i] & mask << (j * bits)
				}
				D[i] = v
			})
		}
	}
	l.out.spread = lostPack(s, bits, mask)
}

func (l *lowering) unpack(t typ) {
	a := l.now.args
	n := len(a[0].list)
	part, ok := map[int]typ{8: b8, 16: b16, 32: b32}[t.bits()/max(n, 1)]
	if !ok || part.bits()*n != t.bits() {
		fail(a[0].pos, "%d bits do not make %d values in braces", t.bits(), n)
	}
	d := l.results(&a[0], n, part, part == b8)
	s := l.src(&a[1], t)
	bits, mask := part.bits(), part.mask()
	l.out.run = func(w *warp, m uint32) {
		S := *w.r[s]
		for j, r := range d {
			D := w.r[r]
			for i := range D {
				if m>>i&1 != 0 {
					D[i] = S[i] >> (j * bits) & mask
				}
			}
		}
	}
	l.out.spread = lostUnpack(s, bits, mask)
}

// convertAddress is cvta: only shared memory has addresses of its own.
func convertAddress(l *lowering, m *mods) {
	to := m.flag("to")
	sp := spacesByName[m.need("global", "shared", "shared::cta", "shared::cluster", "local", "const", "param", "param::entry")]
	t := m.among(u32, u64)
	l.count(2, 2)
	a := l.now.args
	d, s := l.dst(&a[0], t), l.source(&a[1], moved(t, &a[1]), false)
	switch {
	case sp != shared:
		l.out.run = copyLanes(d, s)
	case to:
		l.out.run = one(d, s, func(v uint64) uint64 { return v - sharedView })
	default:
		l.out.run = one(d, s, func(v uint64) uint64 { return v + sharedView })
	}
}
