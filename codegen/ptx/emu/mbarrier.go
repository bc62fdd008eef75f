package emu

import "math/bits"

// mbarrierOps is the objects in shared memory that count arrivals and bytes.
var mbarrierOps = map[string]func(l *lowering, m *mods){"mbarrier": mbarrierOp}

// mbarrierOp builds an operation on an mbarrier.
func mbarrierOp(l *lowering, m *mods) {
	args := l.now.args
	op := m.need("init", "inval", "arrive", "arrive_drop", "test_wait", "try_wait", "expect_tx", "complete_tx", "pending_count")
	if op == "pending_count" {
		m.among(b64)
		l.count(2, 2)
		l.out.run = one(l.dst(&args[0], u32), l.src(&args[1], b64), func(v uint64) uint64 { return v & 0xfffff })
		return
	}
	l.out.looks = true
	expects, parity := m.flag("expect_tx"), m.flag("parity")
	m.drop("noComplete")
	m.drop("release", "acquire", "relaxed", "cta", "cluster", "shared", "shared::cta", "shared::cluster")
	l.narrowest(shared, 8)
	m.among(b64)
	switch op {
	case "init":
		l.count(2, 2)
		base, offset, _ := l.place(&args[0], shared)
		n := l.src(&args[1], u32)
		l.out.run = func(w *warp, m uint32) { w.initBarrier(base, offset, n, m) }
	case "inval":
		l.count(1, 1)
		base, offset, _ := l.place(&args[0], shared)
		l.out.run = func(w *warp, m uint32) {
			w.addresses(base, offset, m)
			eachLane(m, func(i int) { w.mbarrier(i); delete(w.mbars, uint32(w.addr[i])) })
		}
	case "test_wait", "try_wait":
		n := l.count(3, 4)
		d := l.dst(&args[0], pred)
		base, offset, _ := l.place(&args[1], shared)
		t := b64
		if parity {
			t = u32
		}
		phase := l.src(&args[2], t)
		if n == 4 {
			l.src(&args[3], u32)
		}
		l.out.run = func(w *warp, m uint32) { w.testWait(d, base, offset, phase, parity, m) }
	default:
		l.arrivals(op, expects)
	}
}

// arrivals builds arrive, arrive_drop, expect_tx and complete_tx.
func (l *lowering) arrivals(op string, expects bool) {
	args := l.now.args
	d := none
	if len(args) > 0 && args[0].kind != ropMemory {
		if d = l.dst(&args[0], b64); args[0].kind == ropOther {
			d = none
		}
		args = args[1:]
	}
	if len(args) == 0 || len(args) > 2 {
		l.count(1, 3)
	}
	base, offset, _ := l.place(&args[0], shared)
	n := l.value(1)
	if len(args) == 2 {
		n = l.src(&args[1], u32)
	}
	l.out.run = func(w *warp, m uint32) {
		w.addresses(base, offset, m)
		if op != "expect_tx" && op != "complete_tx" {
			w.inOnePhase(m, func(lane int) int {
				if expects {
					return 1
				}
				return int(w.r[n][lane])
			})
		}
		eachLane(m, func(i int) {
			bar := w.mbarrier(i)
			count := int(w.r[n][i])
			state := uint64(bar.phase)<<32 | uint64(bar.pending)
			switch {
			case op == "expect_tx":
				bar.bytes += int64(count)
				return
			case op == "complete_tx":
				bar.bytes -= int64(count)
				w.complete(bar)
				return
			case expects:
				bar.bytes += int64(count)
				count = 1
			}
			if op == "arrive_drop" {
				bar.expected -= count
			}
			w.arriveAt(i, bar, count)
			if d != none {
				w.r[d][i] = state
			}
		})
		w.vc[w.index]++
	}
}

// inOnePhase stops where threads of an instruction arrive more often at an mbarrier than its phase lacks: the rest would count
// for the next phase, and what those threads did before would be behind the phase that others wait for.
func (w *warp) inOnePhase(m uint32, count func(lane int) int) {
	for rest := m; rest != 0; {
		first := bits.TrailingZeros32(rest)
		arrivals, bar := 0, w.mbarrier(first)
		eachLane(rest, func(lane int) {
			if w.addr[lane] == w.addr[first] {
				arrivals += count(lane)
				rest &^= 1 << lane
			}
		})
		if arrivals > bar.pending {
			w.fail(Deadlock, first, "%s arrives %d times at an mbarrier that waits for %d in phase %d", w.name(), arrivals, bar.pending, bar.phase)
		}
	}
}

// mbarrier is the object at a thread's address.
func (w *warp) mbarrier(lane int) *mbarrier {
	at := w.addr[lane]
	i := w.within(lane, at, 8)
	m := w.mbars[uint32(at)]
	if m == nil {
		w.fail(Uninitialized, lane, "%s uses the mbarrier at byte %d of shared memory, which nobody has initialized", w.name(), at-sharedBase)
	}
	w.sharedRead(lane, i, 8, true)
	return m
}

// initBarrier makes an mbarrier.
func (w *warp) initBarrier(base reg, offset int64, n reg, m uint32) {
	w.addresses(base, offset, m)
	eachLane(m, func(i int) {
		count := int(w.r[n][i])
		if count < 1 || count > 1<<20-1 {
			w.fail(Trap, i, "an mbarrier for %d arrivals", count)
		}
		w.sharedWrite(i, w.within(i, w.addr[i], 8), 8, 0, nil)
		w.shared.rows[(w.addr[i]-sharedBase)/rowBytes].watch()
		w.mbars[uint32(w.addr[i])] = &mbarrier{expected: count, pending: count}
		w.events++
	})
}

// arriveAt counts arrivals of a warp.
func (w *warp) arriveAt(lane int, bar *mbarrier, count int) {
	if count > bar.pending { // a copy's late arrival
		w.fail(Deadlock, lane, "%s arrives %d times at an mbarrier that waits for %d in phase %d", w.name(), count, bar.pending, bar.phase)
	}
	w.endSpan()
	join(&bar.vc, &w.vc)
	bar.pending -= count
	w.complete(bar)
}

// arriveLate is an arrival after all copies that the threads of m have issued.
func (w *warp) arriveLate(base reg, offset int64, m uint32, noinc bool) {
	w.addresses(base, offset, m)
	eachLane(m, func(i int) {
		bar := w.mbarrier(i)
		if !noinc {
			bar.pending++
		}
		if n := len(bar.late); n > 0 && bar.late[n-1].w == w && bar.late[n-1].from == w.copies.issued {
			bar.late[n-1].mask |= 1 << i
			return
		}
		bar.late = append(bar.late, lateArrival{w: w, mask: 1 << i, from: w.copies.issued})
	})
	w.events++
}

// settle makes the copies happen that late arrivals of an mbarrier wait for, and then the arrivals.
func (m *mbarrier) settle(b *block) {
	late := m.late
	m.late = nil
	for _, a := range late {
		q := &a.w.copies
		for i := range q.groups {
			for j := range q.groups[i].copies {
				if c := &q.groups[i].copies[j]; c.number < a.from {
					a.w.land(c, a.mask)
				}
			}
		}
		for j := range q.open {
			if c := &q.open[j]; c.number < a.from {
				a.w.land(c, a.mask)
			}
		}
		eachLane(a.mask, func(lane int) { a.w.arriveAt(lane, m, 1) })
		a.w.vc[a.w.index]++
	}
}

// testWait tests whether a phase is complete. A warp that waits in vain lets others run.
func (w *warp) testWait(d reg, base reg, offset int64, phase reg, parity bool, m uint32) {
	w.addresses(base, offset, m)
	yes, blocked := uint32(0), uint32(0)
	eachLane(m, func(i int) {
		bar := w.mbarrier(i)
		if !w.passed(bar, w.r[phase][i], parity) && len(bar.late) > 0 {
			bar.settle(w.block)
		}
		if !w.passed(bar, w.r[phase][i], parity) {
			blocked |= 1 << i
			return
		}
		yes |= 1 << i
		w.learn(&bar.done)
	})
	w.p[d] = w.p[d]&^m | yes
	if blocked == m && !w.yieldGroup() {
		w.watch = spinWatch{pc: w.pc, mbar: uint32(w.addr[bits.TrailingZeros32(blocked)])}
		w.state = spinning
	}
}

// passed reports whether the phase that a thread waits for is complete: by its parity, or by the state of an arrival.
func (w *warp) passed(bar *mbarrier, v uint64, parity bool) bool {
	if parity {
		return uint64(bar.phase&1) != v&1
	}
	return bar.phase > int(v>>32)
}
