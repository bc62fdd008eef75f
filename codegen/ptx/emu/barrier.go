package emu

import "math/bits"

// namedBarrier is one of the 16 barriers of a block. Counts are of threads, in whole warps, as the hardware counts.
type namedBarrier struct {
	arrived, expected int
	whole             bool // it waits for all threads that have not ended, which may become fewer
	phase             int
	vc                clocks
	fences            fences
	waiting           []*warp
	sum               int // bar.red: the threads that hold, whether all do, and whether some do
	all, some         bool
}

// barrierMode is what a warp does at a barrier.
type barrierMode uint8

const (
	barrierSync barrierMode = iota
	barrierArrive
	barrierPopc
	barrierAnd
	barrierOr
)

// barrierSpec is the operands of a barrier instruction.
type barrierSpec struct {
	mode          barrierMode
	id, count     reg // count is none where all threads of the block take part
	result, value reg
	not           bool
	aligned       bool // a guard must be the same for all threads of a warp
}

// arrive is a warp's arrival at a barrier.
func (w *warp) arrive(s barrierSpec, m uint32) {
	lane := bits.TrailingZeros32(m)
	id := w.r[s.id][lane]
	if id >= 16 {
		w.fail(Trap, lane, "barrier %d; there are 16", id)
	}
	bar := &w.barriers[id]
	expected, whole := w.running()*warpSize, s.count == none
	if !whole {
		expected = int(uint32(w.r[s.count][lane]))
		if expected == 0 || expected%warpSize != 0 || expected > len(w.warps)*warpSize {
			w.fail(Deadlock, lane, "barrier %d of %d threads in a block of %d; a count is a multiple of %d", id, expected, len(w.warps)*warpSize, warpSize)
		}
	}
	if bar.arrived > 0 && bar.expected != expected {
		w.fail(Deadlock, lane, "barrier %d is waited at for %d threads and for %d", id, bar.expected, expected)
	}
	if bar.arrived == 0 {
		bar.expected, bar.whole = expected, whole
		bar.sum, bar.all, bar.some = 0, true, false
		bar.vc, bar.fences = clocks{}, fences{}
	}
	if s.value != none {
		v := w.p[s.value]
		if s.not {
			v = ^v
		}
		bar.sum += bits.OnesCount32(v & m)
		bar.all = bar.all && v&m == m
		bar.some = bar.some || v&m != 0
	}
	bar.arrived += warpSize
	w.events++
	join(&bar.vc, &w.vc)
	if w.fenced || len(w.published) > 0 {
		bar.fences.join(&w.fences)
	}
	if s.mode == barrierArrive {
		w.endSpan()
	}
	w.vc[w.index]++
	if s.mode != barrierArrive {
		bar.waiting = append(bar.waiting, w)
		w.state, w.barrier = atBarrier, int(id)
	}
	if bar.arrived > bar.expected {
		w.fail(Deadlock, lane, "%d threads arrive at barrier %d, which waits for %d", bar.arrived, id, bar.expected)
	}
	if bar.arrived == bar.expected {
		w.open(bar)
	}
}

// open lets the warps go that wait at a barrier, for the last of which w arrived or need not be waited any more.
func (w *warp) open(bar *namedBarrier) {
	bar.arrived = 0
	bar.phase++
	if len(bar.waiting) == len(w.warps) {
		w.closeInterval()
	}
	for _, other := range bar.waiting {
		other.endSpan()
	}
	for _, other := range bar.waiting {
		other.state = ready
		join(&other.vc, &bar.vc)
		if w.fenced || len(w.published) > 0 {
			other.fences.join(&bar.fences)
		}
		at := other.groups[0].pc - 1
		in := &w.program.code[at]
		other.release(in, bar)
	}
	bar.waiting = bar.waiting[:0]
}

// finish ends a warp. Barriers of all threads do not wait for those that have ended (since compute capability 7.0), whose
// accesses nothing orders before what follows.
func (w *warp) finish() {
	w.state = finished
	for i := range w.barriers {
		if bar := &w.barriers[i]; bar.arrived > 0 && bar.whole {
			if bar.expected -= warpSize; bar.arrived == bar.expected {
				w.open(bar)
			}
		}
	}
}

// running is how many warps of the block have not ended.
func (b *block) running() int {
	n := 0
	for _, w := range b.warps {
		if w.state != finished {
			n++
		}
	}
	return n
}

// release gives a warp the result of a barrier that reduces.
func (w *warp) release(in *instr, bar *namedBarrier) {
	s, m := in.bar, w.groups[0].mask
	if in.guard != none {
		if p := w.p[in.guard]; in.not {
			m &^= p
		} else {
			m &= p
		}
	}
	hold := false
	switch s.mode {
	case barrierPopc:
		for ; m != 0; m &= m - 1 {
			w.r[s.result][bits.TrailingZeros32(m)] = uint64(bar.sum)
		}
		return
	case barrierAnd:
		hold = bar.all
	case barrierOr:
		hold = bar.some
	default:
		return
	}
	w.p[s.result] &^= m
	if hold {
		w.p[s.result] |= m
	}
}

// mbarrier is the state of an mbarrier object in shared memory.
type mbarrier struct {
	expected, pending int
	bytes             int64
	phase             int
	vc                clocks // of the arrivals of this phase
	done              clocks // of the phase that was completed last
	late              []lateArrival
}

// lateArrival is an arrival that takes place when asynchronous copies have: at the latest legal moment, that is when
// somebody waits for it.
type lateArrival struct {
	w    *warp
	mask uint32
	from int // copies of the warp before this one

}

// complete advances the phase where everything has arrived.
func (b *block) complete(m *mbarrier) {
	b.events++
	if m.pending > 0 || m.bytes != 0 {
		return
	}
	m.phase++
	m.pending = m.expected
	m.done = m.vc
}
