package emu

import "math/bits"

// sharedMemory is a block's, with what races are found by: for every cell, the last write, and the last read of every
// warp. A cell is as wide as the narrowest access of the kernel.
//
// Time is a vector clock: a warp's own entry counts the barriers it has passed, bar.warp.sync among them; the others say
// what it knows of other warps. An access is ordered before what a warp does now if the warp knows a clock of the
// accessing warp that is not earlier.
type sharedMemory struct {
	data   []byte
	set    []uint64 // a bit for every byte that was written
	shift  int      // log2 of a cell's bytes
	warps  int
	cells  []cell
	reads  []uint64           // by cell, then by warp
	strong map[int][32]uint32 // clocks that strong operations left at an address
}

// cell is the note of the last write and the latest clock of a read.
type cell struct {
	wrote uint64
	read  uint32
}

// quiet reports whether a warp that knows all clocks before floor knows of every access.
func (c *cell) quiet(floor uint32) bool {
	return uint32(c.wrote>>32) < floor && c.read < floor && c.wrote&notePending == 0
}

// A note of an access is clock<<32 | pc<<13 | warp<<8 | flags | thread of the warp.
const (
	noteMany    = 1 << 5 // several threads of the warp, in one clock
	noteStrong  = 1 << 6
	notePending = 1 << 7 // an asynchronous copy that was not waited for
	noteLane    = 31
	notePC      = 1<<19 - 1
)

func (s *sharedMemory) init(n, granule, warps int) {
	s.data, s.set = make([]byte, n), make([]uint64, (n+63)/64)
	s.shift, s.warps = bits.TrailingZeros(uint(granule)), warps
	cells := n>>s.shift + 1
	s.cells, s.reads = make([]cell, cells), make([]uint64, cells*warps)
	s.strong = map[int][32]uint32{}
}

// reset forgets what was written; notes of earlier blocks have clocks before any of this one.
func (s *sharedMemory) reset(*worker) {
	clear(s.set)
	clear(s.strong)
}

func (w *warp) note(lane int) uint64 {
	return uint64(w.vc[w.index])<<32 | uint64(w.pc&notePC)<<13 | uint64(w.index)<<8 | uint64(lane)
}

// knows returns a clock such that all before it, of every warp of the block, are ordered before what this one does now.
func (w *warp) knows() uint32 {
	if w.floorAt != w.executed {
		w.floorAt, w.floor = w.executed, w.vc[0]
		for _, c := range w.vc[1:len(w.warps)] {
			w.floor = min(w.floor, c)
		}
	}
	return w.floor
}

// within returns the index of an access to shared memory, and stops where it is none.
func (w *warp) within(lane int, at uint64, n int) int {
	i := int64(at) - sharedBase
	if i < 0 || i+int64(n) > int64(len(w.shared.data)) {
		w.fail(OutOfBounds, lane, "%s touches bytes %d to %d of shared memory, which has %d", w.name(), i, i+int64(n)-1, len(w.shared.data))
	}
	if at&uint64(n-1) != 0 {
		w.fail(Misaligned, lane, "%s touches %d bytes at address %#x of shared memory, which is not a multiple", w.name(), n, at)
	}
	return int(i)
}

func (w *warp) name() string { return w.program.code[w.pc].name }

// sharedRead checks and notes a read of n bytes at an index. It reports whether all of them were written.
func (w *warp) sharedRead(lane, i, n int, strong bool) bool {
	s := &w.shared
	me := w.note(lane)
	if strong {
		me |= noteStrong
	}
	now, floor := me>>32, w.knows()
	first, last := i>>s.shift, (i+n-1)>>s.shift
	for k := range s.cells[first : last+1] {
		at, c := &s.cells[first+k], first+k
		if wr := at.wrote; uint32(wr>>32) >= floor || wr&notePending != 0 {
			if by := wr >> 8 & 31; wr>>32 > uint64(w.vc[by]) || wr&notePending != 0 || by == uint64(w.index) && wr>>32 == now {
				w.checkRead(lane, c, wr, strong)
			}
		}
		at.read = max(at.read, uint32(now))
		r := &s.reads[c*s.warps+w.index]
		if old := *r; old>>32 == now && old&noteLane != me&noteLane {
			*r = me | noteMany | old&noteMany
		} else {
			*r = me
		}
	}
	return s.written(i, n)
}

// written reports whether n bytes were written; they lie in one line of 64.
func (s *sharedMemory) written(i, n int) bool {
	want := (uint64(1)<<n - 1) << (i & 63)
	return s.set[i>>6]&want == want
}

// checkRead judges a read of a cell that was written a short while ago.
func (w *warp) checkRead(lane, c int, wr uint64, strong bool) {
	by := int(wr >> 8 & 31)
	if uint32(wr>>32) <= w.clock {
		return // of an earlier block
	}
	ordered := wr>>32 <= uint64(w.vc[by])
	if wr&notePending != 0 && ordered {
		f := w.finding(MissingWait, lane, "%s reads byte %d of shared memory, where an asynchronous copy is on its way", w.name(), c<<w.shared.shift)
		f.Other = w.access(wr, true)
		panic(f)
	}
	if by == w.index {
		ordered = wr>>32 < uint64(w.vc[by]) || wr&noteLane == uint64(lane) && wr&noteMany == 0
	}
	if ordered || strong && wr&noteStrong != 0 {
		return
	}
	w.sharedRace(lane, c, "reads", wr, true)
}

// sharedRace stops with the finding of a race.
func (w *warp) sharedRace(lane, c int, verb string, other uint64, write bool) {
	f := w.finding(Race, lane, "%s %s byte %d of shared memory, and no barrier orders it", w.name(), verb, c<<w.shared.shift)
	f.Other = w.access(other, write)
	panic(f)
}

// access is who left a note.
func (w *warp) access(note uint64, write bool) *Access {
	pc := int(note >> 13 & notePC)
	return &Access{Pos: w.program.code[min(pc, len(w.program.code)-1)].pos, Block: w.at, Thread: int(note>>8&31)*warpSize + int(note&noteLane), Write: write}
}

// sharedWrite checks and notes a write of n bytes at an index. Same says that the bytes are there already: then another
// write is no race.
func (w *warp) sharedWrite(lane, i, n int, flags uint64, same bool) {
	s := &w.shared
	me, floor := w.note(lane)|flags, w.knows()
	first, last := i>>s.shift, (i+n-1)>>s.shift
	for k := range s.cells[first : last+1] {
		if at := &s.cells[first+k]; at.quiet(floor) {
			at.wrote = me
			continue
		}
		c := first + k
		wr := s.cells[c].wrote
		if by := wr >> 8 & 31; wr>>32 > uint64(w.vc[by]) || wr&notePending != 0 || by == uint64(w.index) && wr>>32 == me>>32 {
			w.checkWrite(lane, c, wr, flags, same)
		}
		for other, r := range s.reads[c*s.warps : (c+1)*s.warps] {
			if r>>32 >= uint64(w.vc[other]) && r>>32 > uint64(w.clock) {
				w.checkOverwrite(lane, c, other, r, flags, same)
			}
		}
		s.cells[c].wrote = me
	}
	s.set[i>>6] |= (uint64(1)<<n - 1) << (i & 63)
}

// checkWrite judges a write over a write.
func (w *warp) checkWrite(lane, c int, wr, flags uint64, same bool) {
	if uint32(wr>>32) <= w.clock {
		return
	}
	by := int(wr >> 8 & 31)
	ordered := wr>>32 <= uint64(w.vc[by])
	if wr&notePending != 0 && ordered {
		f := w.finding(MissingWait, lane, "%s writes byte %d of shared memory, where an asynchronous copy is on its way", w.name(), c<<w.shared.shift)
		f.Other = w.access(wr, true)
		panic(f)
	}
	if by == w.index {
		ordered = wr>>32 < uint64(w.vc[by]) || wr&noteLane == uint64(lane) && wr&noteMany == 0
	}
	if ordered || same || flags&noteStrong != 0 && wr&noteStrong != 0 {
		return
	}
	if at := w.storeAt; by == w.index && int32(wr>>13&notePC) == w.pc && alike(w.storing, w.shared.data[at:at+len(w.storing)]) {
		return
	}
	w.sharedRace(lane, c, "writes", wr, true)
}

// checkOverwrite judges a write over what a warp has read.
func (w *warp) checkOverwrite(lane, c, other int, r, flags uint64, same bool) {
	ordered := r>>32 <= uint64(w.vc[other])
	if other == w.index {
		ordered = r>>32 < uint64(w.vc[other]) || r&noteLane == uint64(lane) && r&noteMany == 0
	}
	if ordered || same || flags&noteStrong != 0 && r&noteStrong != 0 {
		return
	}
	w.sharedRace(lane, c, "writes", r, false)
}

// strongShared orders a strong operation on shared memory after those on the same address before.
func (w *warp) strongShared(i int) {
	at := w.shared.strong[i]
	for j := range w.warps {
		w.vc[j] = max(w.vc[j], at[j])
		at[j] = w.vc[j]
	}
	w.shared.strong[i] = at
	w.vc[w.index]++
	w.closeInterval()
}
