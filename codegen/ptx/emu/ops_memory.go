package emu

import "math/bits"

// memoryOps is loads, stores and hints.
var memoryOps = map[string]func(l *lowering, m *mods){
	"ld":  load,
	"ldu": load,
	"st":  store,
	"prefetch": func(l *lowering, m *mods) {
		sp := m.space()
		m.drop("L1", "L2", "L2::evict_last", "L2::evict_normal", "tensormap")
		l.hint(sp)
	},
	"prefetchu":     func(l *lowering, m *mods) { m.need("L1"); l.hint(generic) },
	"discard":       func(l *lowering, m *mods) { sp := m.space(); m.need("L2"); l.hint(sp) },
	"applypriority": func(l *lowering, m *mods) { sp := m.space(); m.need("L2::evict_normal"); l.hint(sp) },
	"createpolicy": func(l *lowering, m *mods) {
		m.drop("fractional", "range", "cvt", "L2", "global", "L2::evict_last", "L2::evict_normal", "L2::evict_first", "L2::evict_unchanged")
		m.among(b64)
		a := l.now.args
		for i := 1; i < len(a); i++ {
			if a[i].kind == ropRegister {
				l.source(&a[i], noType, true)
			}
		}
		l.out.run = copyLanes(l.dst(&a[0], b64), l.value(1))
	},
	"membar": func(l *lowering, m *mods) {
		m.drop("proxy")
		level := m.need("cta", "gl", "sys", "alias", "tensormap", "async")
		l.count(0, 0)
		if level == "cta" || level == "gl" || level == "sys" {
			l.fence(level == "cta")
		}
	},
	"fence": func(l *lowering, m *mods) {
		proxy := m.flag("proxy") || m.flag("mbarrier_init") // orders accesses by other ways to memory, or of copies, which are not executed
		m.drop("sc", "acq_rel", "acquire", "release", "alias", "async", "async::generic", "tensormap", "global", "shared::cta", "shared::cluster",
			"sync_restrict::shared::cta", "sync_restrict::shared::cluster", "tensormap::generic")
		if block := m.block(); !proxy {
			l.fence(block)
		}
	},
}

// space takes a state space.
func (m *mods) space() space {
	return spacesByName[m.take("global", "shared", "shared::cta", "shared::cluster", "local", "const", "param", "param::entry", "param::func")]
}

// cacheHints drops what tells caches how to behave, and reports whether a policy is the last operand.
func (m *mods) cacheHints() bool {
	m.drop("ca", "cg", "cs", "lu", "cv", "wb", "wt", "L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate",
		"L2::evict_first", "L2::evict_last", "L2::evict_normal", "L2::64B", "L2::128B", "L2::256B", "unified")
	return m.flag("L2::cache_hint")
}

// hint is an instruction that only tells caches something.
func (l *lowering) hint(sp space) {
	l.count(1, 2)
	l.place(&l.now.args[0], sp)
}

// fence is membar and fence.
func (l *lowering) fence(block bool) {
	l.out.run = func(w *warp, _ uint32) {
		w.fence()
		if !block && !w.launch.NoRaces {
			w.block.fold(w)
			w.block.acquire()
			w.block.released = true
		}
	}
}

// strength says how an access is ordered.
type strength struct {
	strong, acquire, release, block bool
	atomic                          bool // it reads and writes
}

// strength reads the modifiers of ordering and scope.
func (m *mods) strength() strength {
	var s strength
	switch m.take("weak", "volatile", "relaxed", "acquire", "release", "acq_rel", "mmio", "sc") {
	case "volatile", "relaxed", "mmio":
		s.strong = true
	case "acquire":
		s.strong, s.acquire = true, true
	case "release":
		s.strong, s.release = true, true
	case "acq_rel", "sc":
		s.strong, s.acquire, s.release = true, true, true
	}
	m.drop("relaxed") // mmio.relaxed
	s.block = m.block()
	return s
}

// block takes the scope, and reports whether it is the block; a cluster is one.
func (m *mods) block() bool {
	scope := m.take("cta", "cluster", "gpu", "sys")
	return scope == "cta" || scope == "cluster"
}

// vectorLength takes .v2, .v4 or .v8.
func (m *mods) vectorLength() int {
	switch m.take("v2", "v4", "v8") {
	case "v2":
		return 2
	case "v4":
		return 4
	case "v8":
		return 8
	}
	return 1
}

// access is a load or store of a warp: where, how wide, how ordered.
type access struct {
	base   reg
	offset int64
	space  space
	size   int // bytes of an element
	n      int // elements
	strength
}

// access reads the modifiers and the address of a load or store.
func (l *lowering) access(m *mods, o *rop) (a access, t typ) {
	a.strength = m.strength()
	sp := m.space()
	m.drop("nc")
	hint := m.cacheHints()
	a.n = m.vectorLength()
	t = m.typ()
	l.count(2, 2+int(truth(hint)))
	if hint {
		l.src(&l.now.args[2], b64)
	}
	a.base, a.offset, a.space = l.place(o, sp)
	a.size = t.bytes()
	l.narrowest(a.space, a.size*a.n)
	return a, t
}

// narrowest notes the width of an access to shared memory.
func (l *lowering) narrowest(sp space, n int) {
	if sp == shared || sp == generic {
		l.program.granule = min(l.program.granule, n&-n)
	}
}

// load is ld.
func load(l *lowering, m *mods) {
	args := l.now.args
	if len(args) < 2 {
		l.count(2, 3)
	}
	a, t := l.access(m, &args[1])
	dst := l.results(&args[0], a.n, t, true)
	l.out.manages = true
	size := a.size
	into := &loading{dst: dst, full: make([]uint64, len(dst)), size: size, t: t}
	for i, e := range l.vector(&args[0], a.n) {
		into.full[i] = ^uint64(0)
		if have := e.typ; have != noType {
			into.full[i] = have.mask()
		}
	}
	total := size * a.n
	l.out.bytes = total
	_, deferred := l.program.defers[int32(l.at)]
	free := a.strong || deferred || l.swapped[placeOf(&args[1])] // a look before an atomic operation, as in loops about compare-and-swap, races with nobody
	wide := !a.strong && total <= rowBytes
	l.out.looks = a.strong
	l.out.run = func(w *warp, m uint32) {
		w.addresses(a.base, a.offset, m)
		if a.strong {
			w.order(a.space, a.strength, m, total, false)
		} else if free {
			w.recordFree(a.space, m, total)
		}
		if a.space == shared {
			w.bankCheck(m, total)
		}
		bad := uint32(0)
		if wide && a.space == shared && !free && w.sharedPlaces(m, total) {
			bad = w.readShared(m, total)
			into.move(w, w.shared.data, sharedBase, m)
		} else if mem, base := w.plainBuffer(a.space, wide, m, total); mem != nil {
			bad = w.readGlobal(mem, base, m, total, free)
			into.move(w, mem.Data, base, m)
		} else {
			for rest := m; rest != 0; rest &= rest - 1 {
				i := bits.TrailingZeros32(rest) & 31
				b, known := w.fetch(a.space, i, w.addr[i], total, free)
				if !known {
					bad |= 1 << i
				}
				into.fill(w, b, i)
			}
		}
		if bad != 0 || w.poisoned {
			w.loaded(dst, a.space, m, bad, size)
		}
		if w.counts != nil {
			w.counts.memory(w, a.space, m, total)
		}
		if a.strong {
			w.lookAgain(a.space, m, w.r[dst[0]])
		}
	}
	if a.space == paramSpace && !a.strong && l.isConstant(a.base) {
		l.out.run = func(w *warp, m uint32) { w.loadParameter(a, into, m, total) }
	}
	l.confine(&args[1], total)
}

// loadParameter loads what all threads of m find at one place among the parameters.
func (w *warp) loadParameter(a access, into *loading, m uint32, n int) {
	first := bits.TrailingZeros32(m) & 31
	b, _ := w.fetch(paramSpace, first, w.r[a.base][first]+uint64(a.offset), n, true)
	into.fill(w, b, first)
	for _, d := range into.dst {
		D := w.r[d]
		v := D[first]
		if m == everyone {
			for i := range D {
				D[i] = v
			}
			continue
		}
		for rest := m; rest != 0; rest &= rest - 1 {
			D[bits.TrailingZeros32(rest)&31] = v
		}
	}
	if w.poisoned {
		w.loaded(into.dst, paramSpace, m, 0, into.size)
	}
	if w.counts != nil {
		w.counts.memory(w, paramSpace, m, n)
	}
}

// store is st.
func store(l *lowering, m *mods) {
	args := l.now.args
	if len(args) < 2 {
		l.count(2, 3)
	}
	a, t := l.access(m, &args[0])
	needs := len(l.out.must)
	src := l.sources(&args[1], a.n, t, true)
	l.out.must = l.out.must[:needs] // unwritten registers may be saved in local memory
	total, size := a.size*a.n, a.size
	wide := !a.strong && total <= rowBytes
	l.out.run = func(w *warp, m uint32) {
		w.addresses(a.base, a.offset, m)
		if a.strong {
			w.order(a.space, a.strength, m, total, true)
		}
		if a.space == shared {
			w.bankCheck(m, total)
		}
		w.events++
		if wide && a.space == shared && w.sharedPlaces(m, total) {
			w.writeShared(m, size, src)
		} else if mem, base := w.plainBuffer(a.space, wide, m, total); mem != nil && !mem.readOnly {
			w.writeGlobal(mem, base, m, size, src)
		} else {
			for rest := m; rest != 0; rest &= rest - 1 {
				i := bits.TrailingZeros32(rest) & 31
				w.collect(w.bytes[:total], i, size, src)
				w.put(a.space, i, w.addr[i], w.bytes[:total], a.strong)
			}
		}
		if w.poisoned {
			eachLane(m, func(i int) { w.keepLost(a, t, i, src) })
		}
		if w.counts != nil {
			w.counts.memory(w, a.space, m, total)
		}
	}
	l.confine(&args[0], total)
}

// order is the part of a strong access that comes before it.
func (w *warp) order(sp space, s strength, m uint32, n int, write bool) {
	inGlobal, inShared := uint32(0), uint32(0)
	eachLane(m, func(i int) {
		switch {
		case sp == shared || sp == generic && spaceOf(w.addr[i]) == shared:
			inShared |= 1 << i
		case w.addr[i]>>window != 0:
			w.locate(i, w.addr[i], n) // stops where it must not be touched
			inGlobal |= 1 << i
		}
	})
	w.recordStrong(inGlobal, n, write)
	if w.fenced || s.release || len(w.published) > 0 {
		last := uint64(0)
		eachLane(inShared|inGlobal, func(i int) {
			at := w.addr[i]
			if inShared>>i&1 != 0 {
				at &= sharedView - 1
			}
			if at != last {
				w.strongAt(at, s, write)
				last = at
			}
		})
	}
	w.scoped = s.block
	if inGlobal != 0 && !s.block {
		w.strongOperation(inGlobal, n, write, s)
	}
	if (s.atomic || !write) && !w.launch.NoRaces {
		eachLane(inGlobal, func(i int) { w.meetPlain(w.addr[i], n, i, false) })
	}
	if s.release {
		w.vc[w.index]++
	}
}

// spinWatch is what a warp saw when it last looked at memory that others change.
type spinWatch struct {
	pc      int32
	address uint64
	value   uint64
	events  int
	global  bool
	mbar    uint32
	seen    bool
}

// lookAgain notes the result of a strong load. A warp that sees the same at the same place, and nothing happened in
// between, lets others run.
func (w *warp) lookAgain(sp space, m uint32, values *lanes) {
	i := bits.TrailingZeros32(m)
	now := spinWatch{pc: w.pc, address: w.addr[i], value: values[i], events: w.events, global: sp != shared && w.addr[i]>>window != 0, seen: true}
	before := w.watch
	w.watch = now
	if before.seen && before.pc == now.pc && before.address == now.address && before.value == now.value && !w.yieldGroup() {
		w.state = spinning
	}
}
