package emu

import "math/bits"

// worker is what runs blocks one after another: their shared memory and counters.
type worker struct {
	launch    *launch
	program   *program
	threads   int
	dynamic   int // bytes of dynamic shared memory
	shared    *sharedMemory
	executed  int64
	began     int64 // what was executed before the block in hand
	conflicts int64
	clock     uint32 // above every clock of the blocks before
	interval  uint32 // the number of barriers of all warps that have completed, and of blocks before
	counts    *counter
	tile      floatTile // of the product in hand
}

// lastClock is a clock behind which no worker begins: clocks of one that goes on for long would overflow.
const lastClock = 1 << 31

// startBlock returns a block to run in: that of an earlier launch of the program which had the same dimensions, or a new one.
func (l *launch) startBlock() *block {
	p := l.program
	b, _ := p.idle.Get().(*block)
	if b == nil || b.threads != l.threads || b.dynamic != l.Shared || b.clock > lastClock {
		b = l.newBlock()
	}
	b.launch, b.executed, b.conflicts, b.counts = l, 0, 0, nil
	b.shared = newShared(l.sharedBytes(), p.granule, len(b.warps))
	b.shared.watchHoles(l.extents)
	b.clock, b.interval = max(b.clock, b.shared.clock), max(b.interval, b.shared.interval)
	if l.Counts {
		b.counts = newCounter(p)
	}
	for _, w := range b.warps {
		w.watching, w.floorAt = false, -1
		for i, c := range p.constants {
			if c.kind != specialReg {
				w.r[p.slots+i] = l.constants[i]
			}
		}
	}
	return b
}

// newBlock makes a block with its warps.
func (l *launch) newBlock() *block {
	p := l.program
	wk := &worker{program: p, threads: l.threads, dynamic: l.Shared, clock: 1}
	n := (l.threads + warpSize - 1) / warpSize
	b := &block{worker: wk, mbars: map[uint32]*mbarrier{}, marks: map[uint64]*markPage{}, published: map[uint64]*clocks{}}
	for i := range n {
		w := &warp{block: b, index: i, poison: map[reg]*Finding{}, lost: map[reg]*lanes{}, all: everyone}
		if rest := l.threads - i*warpSize; rest < warpSize {
			w.all = 1<<rest - 1
		}
		total := p.slots + len(p.constants)
		w.slab = make([]lanes, p.slots)
		w.r, w.p, w.unknown = make([]*lanes, total), make([]uint32, total), make([]uint32, total)
		for i := range w.slab {
			w.r[i] = &w.slab[i]
		}
		for i, c := range p.constants {
			if c.kind == literal && c.value != 0 {
				w.p[p.slots+i] = everyone
			}
		}
		w.locals, w.localSet = make([]byte, p.local*warpSize), make([]byte, p.local*warpSize)
		w.held = make([]held, len(p.defers))
		b.warps = append(b.warps, w)
	}
	return b
}

// blockSpecials sets the special registers for the block that the warp now runs in.
func (w *warp) blockSpecials() {
	for i, c := range w.program.constants {
		if c.kind != specialReg {
			continue
		}
		at := w.program.slots + i
		if w.r[at] == nil {
			w.r[at] = new(lanes)
		}
		f := specials[specialKey(c.name)]
		for lane := range warpSize {
			w.r[at][lane] = f.value(w, lane, c.name)
		}
	}
}

// special is a special register: its type, and its value in a thread.
type special struct {
	typ   typ
	value func(w *warp, lane int, name string) uint64
	moves bool // it changes while a warp runs
}

// coordinate is the number of a thread in a dimension.
func (w *warp) coordinate(lane, d int) uint64 {
	t, b := w.thread(lane), w.launch.Block
	return uint64([3]int{t % b[0], t / b[0] % b[1], t / b[0] / b[1]}[d])
}

// specials is the special registers; those that end in a number are listed without it.
var specials = func() map[string]special {
	m := map[string]special{}
	of := func(name string, t typ, f func(w *warp, lane int) uint64) {
		m[name] = special{typ: t, value: func(w *warp, lane int, _ string) uint64 { return f(w, lane) }}
	}
	fixed := func(name string, v uint64) { of(name, u32, func(*warp, int) uint64 { return v }) }
	for d, axis := range []string{"x", "y", "z"} {
		of("%tid."+axis, u32, func(w *warp, lane int) uint64 { return w.coordinate(lane, d) })
		of("%ntid."+axis, u32, func(w *warp, _ int) uint64 { return uint64(w.launch.Block[d]) })
		of("%ctaid."+axis, u32, func(w *warp, _ int) uint64 { return uint64(w.at[d]) })
		of("%clusterid."+axis, u32, func(w *warp, _ int) uint64 { return uint64(w.at[d]) })
		of("%nctaid."+axis, u32, func(w *warp, _ int) uint64 { return uint64(w.launch.Grid[d]) })
		of("%nclusterid."+axis, u32, func(w *warp, _ int) uint64 { return uint64(w.launch.Grid[d]) })
		fixed("%cluster_ctaid."+axis, 0)
		fixed("%cluster_nctaid."+axis, 1)
	}
	fixed("%cluster_ctarank", 0)
	fixed("%cluster_nctarank", 1)
	fixed("%nsmid", 1)
	fixed("%smid", 0)
	of("%gridid", u64, func(*warp, int) uint64 { return 1 })
	of("%laneid", u32, func(_ *warp, lane int) uint64 { return uint64(lane) })
	of("%warpid", u32, func(w *warp, _ int) uint64 { return uint64(w.index) })
	of("%nwarpid", u32, func(w *warp, _ int) uint64 { return uint64(len(w.warps)) })
	of("%lanemask_eq", u32, func(_ *warp, lane int) uint64 { return 1 << lane })
	of("%lanemask_lt", u32, func(_ *warp, lane int) uint64 { return 1<<lane - 1 })
	of("%lanemask_le", u32, func(_ *warp, lane int) uint64 { return 2<<lane - 1 })
	of("%lanemask_gt", u32, func(_ *warp, lane int) uint64 { return everyone &^ (2<<lane - 1) })
	of("%lanemask_ge", u32, func(_ *warp, lane int) uint64 { return everyone &^ (1<<lane - 1) })
	of("%dynamic_smem_size", u32, func(w *warp, _ int) uint64 { return uint64(w.launch.Shared) })
	of("%total_smem_size", u32, func(w *warp, _ int) uint64 { return uint64(w.program.shared + w.launch.Shared) })
	of("%aggr_smem_size", u32, func(w *warp, _ int) uint64 { return uint64(w.program.shared + w.launch.Shared) })
	fixed("%reserved_smem_offset_begin", 0)
	fixed("%reserved_smem_offset_end", sharedBase)
	fixed("%reserved_smem_offset_cap", sharedBase)
	fixed("%envreg", 0)
	fixed("%pm", 0)
	clock := func(name string, t typ, shift int) {
		m[name] = special{typ: t, moves: true, value: func(w *warp, _ int, _ string) uint64 { return uint64(w.executed) >> shift & t.mask() }}
	}
	clock("%clock", u32, 0)
	clock("%clock64", u64, 0)
	clock("%clock_hi", u32, 32)
	clock("%globaltimer", u64, 0)
	clock("%globaltimer_lo", u32, 0)
	clock("%globaltimer_hi", u32, 32)
	return m
}()

// specialKey is the name in specials.
func specialKey(name string) string {
	if _, ok := specials[name]; ok {
		return name
	}
	for len(name) > 0 && name[len(name)-1] >= '0' && name[len(name)-1] <= '9' {
		name = name[:len(name)-1]
	}
	return name
}

func specialType(name string) typ { return specials[specialKey(name)].typ }

// refresh gives special registers that change their values now.
func (w *warp) refresh(r reg) {
	name := w.program.constants[int(r)-w.program.slots].name
	f := specials[specialKey(name)]
	for lane := range warpSize {
		w.r[r][lane] = f.value(w, lane, name)
	}
}

// eachLane calls f with the threads of m.
func eachLane(m uint32, f func(lane int)) {
	for ; m != 0; m &= m - 1 {
		f(bits.TrailingZeros32(m))
	}
}
