package emu

import (
	"math/bits"
	"sync"
)

// sharedMemory is a block's, with what races are found by: the last write to every cell, and the last read of every
// warp. A cell is as wide as the narrowest access of the kernel. Accesses of 16 bytes, a row, leave one note for all its cells.
//
// Time is a vector clock: a warp's own entry counts the barriers it has passed, bar.warp.sync among them; the others say
// what it knows of other warps. An access is ordered before what a warp does now if the warp knows a clock of the
// accessing warp that is not earlier.
type sharedMemory struct {
	shape    sharedShape
	data     []byte
	set      []uint64 // a bit for every byte that was written
	shift    int      // log2 of a cell's bytes
	rows     []row
	wrote    []uint64   // by cell, where the row has no note for all
	cellRead [][]uint64 // by warp, then by cell
	rowRead  [][]uint64 // by warp, then by row: of all of it
	strong   strongNotes
	clashes  map[int]clash // by byte
	clock    uint32        // where it is free: the last of its notes
	interval uint32
}

// rowBytes is the widest access of a thread that leaves one note.
const rowBytes = 16

// row is what is known of 16 bytes at once.
type row struct {
	all                        uint64 // note of the last write, where it was of the whole row; otherwise zero
	wrote, cellRead, wholeRead uint32 // the latest clocks: of a write, of a read of a part, of a read of the whole
	pending                    bool   // some cell may wait for an asynchronous copy
	watched                    bool   // not all of it is a variable's, or there was an mbarrier
	readers                    uint32 // the warps that read it, a bit each
	since                      uint32 // in this interval between barriers of the whole block
}

// readBy notes that a warp reads some of it.
func (r *row) readBy(w *warp) {
	if r.since != w.interval {
		r.since, r.readers = w.interval, 0
	}
	r.readers |= 1 << w.index
}

// quiet reports whether a warp that knows all clocks before floor knows of every access.
func (r *row) quiet(floor uint32) bool {
	return r.wrote < floor && r.cellRead < floor && r.wholeRead < floor && !r.pending
}

// A note of an access is clock<<32 | pc<<13 | warp<<8 | flags | thread of the warp.
const (
	noteMany    = 1 << 5 // several threads of the warp, in one clock
	noteStrong  = 1 << 6 // of the access in hand; those that are kept lie apart
	notePending = 1 << 7 // an asynchronous copy that was not waited for
	noteLane    = 31
	notePC      = 1<<19 - 1
)

// sharedShape is what shared memory is made for; bytes is a power of two.
type sharedShape struct{ bytes, shift, warps int }

// freeShared is shared memory that is free, a *sync.Pool by sharedShape.
var freeShared sync.Map

// newShared returns shared memory of n bytes, new or of an earlier launch, maybe of another kernel: what it says of that has clocks
// and intervals up to those that free noted.
func newShared(n, granule, warps int) *sharedMemory {
	shape := sharedShape{1 << bits.Len(uint(max(n, 64)-1)), bits.TrailingZeros(uint(min(granule, rowBytes))), warps}
	pool, _ := freeShared.LoadOrStore(shape, &sync.Pool{})
	s, _ := pool.(*sync.Pool).Get().(*sharedMemory)
	if s == nil {
		s = &sharedMemory{shape: shape, shift: shape.shift}
		s.data, s.set = make([]byte, shape.bytes), make([]uint64, shape.bytes/64)
		s.rows, s.wrote = make([]row, shape.bytes/rowBytes), make([]uint64, shape.bytes>>s.shift)
		s.cellRead, s.rowRead = make([][]uint64, warps), make([][]uint64, warps)
		for i := range warps {
			s.cellRead[i], s.rowRead[i] = make([]uint64, shape.bytes>>s.shift), make([]uint64, shape.bytes/rowBytes)
		}
	}
	s.data = s.data[:n]
	s.strong = strongNotes{wrote: make([][]uint64, warps), read: make([][]uint64, warps)}
	return s
}

// free gives shared memory to later launches, with the last clock and the last interval of its notes.
func (s *sharedMemory) free(clock, interval uint32) {
	if clock > lastClock {
		return
	}
	s.clock, s.interval, s.data = clock, interval, s.data[:cap(s.data)]
	clear(s.rows)
	pool, _ := freeShared.Load(s.shape)
	pool.(*sync.Pool).Put(s)
}

// reset forgets what was written; notes of earlier blocks have clocks before any of this one.
func (s *sharedMemory) reset() {
	clear(s.set[:(len(s.data)+63)/64])
	clear(s.clashes)
}

func (w *warp) note(lane int) uint64 {
	return uint64(w.vc[w.index])<<32 | uint64(w.pc&notePC)<<13 | uint64(w.index)<<8 | uint64(lane)
}

// knows returns a clock such that all before it, of every warp of the block, are ordered before what this one does now.
func (w *warp) knows() uint32 {
	if w.floorAt != w.executed {
		w.floorAt, w.floor = w.executed, w.vc[w.index]
		for i, c := range w.vc[:len(w.warps)] {
			if i != w.index {
				w.floor = min(w.floor, c+1)
			}
		}
	}
	return w.floor
}

// within returns the index of an access to shared memory, and stops where it is none.
func (w *warp) within(lane int, at uint64, n int) int {
	i := int64(at) - sharedBase
	if i < 0 || i+int64(n) > int64(len(w.shared.data)) {
		w.outsideShared(lane, int(i), n)
	}
	if at&uint64(n-1) != 0 {
		w.fail(Misaligned, lane, "%s touches %d bytes at address %#x of shared memory, which is not a multiple", w.name(), n, at)
	}
	return int(i)
}

func (w *warp) name() string { return w.program.code[w.pc].name }

// sharedRead checks and notes a read of n bytes at an index, 16 at most. It reports whether all of them were written.
func (w *warp) sharedRead(lane, i, n int, strong bool) bool {
	if strong {
		w.noteStrongRead(w.note(lane)|noteStrong, i, n)
	} else {
		w.noteSharedRead(w.note(lane), w.knows(), i, n)
	}
	return w.shared.written(i, n)
}

// noteSharedRead is sharedRead with the thread's note and the clock before which the warp knows everything.
func (w *warp) noteSharedRead(me uint64, floor uint32, i, n int) {
	s := w.shared
	r, now := &s.rows[i/rowBytes], uint32(me>>32)
	if r.wrote >= floor || r.pending {
		w.checkReads(me, r, i, n)
	}
	r.readBy(w)
	if n == rowBytes {
		r.wholeRead = max(r.wholeRead, now)
		renew(&s.rowRead[w.index][i/rowBytes], me)
		return
	}
	r.cellRead = max(r.cellRead, now)
	notes := s.cellRead[w.index][i>>s.shift : (i+n-1)>>s.shift+1]
	for k := range notes {
		renew(&notes[k], me)
	}
}

// renew puts a note of a read over the warp's last one.
func renew(at *uint64, me uint64) {
	if old := *at; old>>32 == me>>32 && old&noteLane != me&noteLane {
		me |= noteMany | old&noteMany
	}
	*at = me
}

// written reports whether n bytes were written; they lie in one line of 64.
func (s *sharedMemory) written(i, n int) bool {
	want := (uint64(1)<<n - 1) << (i & 63)
	return s.set[i>>6]&want == want
}

// recent reports whether a write needs a closer look: what the warp does not know, an asynchronous copy, or what threads of
// the warp wrote since it last passed a barrier. Me is the note of the access in hand.
func (w *warp) recent(wrote, me uint64) bool {
	by := wrote >> 8 & 31
	return wrote>>32 > uint64(w.vc[by]) || wrote&notePending != 0 || by == me>>8&31 && wrote>>32 == me>>32
}

// checkReads judges a read of n bytes of a row that was written a short while ago.
func (w *warp) checkReads(me uint64, r *row, i, n int) {
	s := w.shared
	if r.watched {
		w.inside(int(me&noteLane), i, n)
	}
	if s.strong.some && me&noteStrong == 0 {
		w.checkStrong(me, i, n, nil, false)
	}
	if r.all != 0 {
		if w.recent(r.all, me) {
			w.checkRead(int(me&noteLane), i, r.all)
		}
		return
	}
	for c := i >> s.shift; c <= (i+n-1)>>s.shift; c++ {
		if wr := s.wrote[c]; w.recent(wr, me) {
			w.checkRead(int(me&noteLane), c<<s.shift, wr)
		}
	}
}

// checkRead judges a read of the byte at an index.
func (w *warp) checkRead(lane, i int, wr uint64) {
	by := int(wr >> 8 & 31)
	if uint32(wr>>32) <= w.clock {
		return // of an earlier block
	}
	ordered := wr>>32 <= uint64(w.vc[by])
	if wr&notePending != 0 && ordered {
		f := w.finding(MissingWait, lane, "%s reads %s, where an asynchronous copy is on its way", w.name(), w.sharedByte(i))
		f.Other = w.access(wr, true)
		panic(f)
	}
	if by == w.index {
		ordered = wr>>32 < uint64(w.vc[by]) || wr&noteLane == uint64(lane) && wr&noteMany == 0
	}
	if ordered {
		return
	}
	panic(w.sharedRace(lane, i, "reads", wr, true))
}

// sharedRace is the finding of a race.
func (w *warp) sharedRace(lane, i int, verb string, other uint64, write bool) *Finding {
	f := w.finding(Race, lane, "%s %s %s, and no barrier orders it", w.name(), verb, w.sharedByte(i))
	f.Other = w.access(other, write)
	return f
}

// access is who left a note.
func (w *warp) access(note uint64, write bool) *Access {
	pc := int(note >> 13 & notePC)
	return &Access{Pos: w.program.code[min(pc, len(w.program.code)-1)].pos, Block: w.at, Thread: int(note>>8&31)*warpSize + int(note&noteLane), Write: write}
}

// sharedWrite checks and notes a write of n bytes at an index, 16 at most: of b, or of what is not known yet.
func (w *warp) sharedWrite(lane, i, n int, flags uint64, b []byte) {
	me := w.note(lane) | flags
	if r := &w.shared.rows[i/rowBytes]; !r.quiet(w.knows()) {
		w.checkWrites(me, r, i, n, b)
	}
	if flags&noteStrong != 0 {
		w.noteStrongWrite(me, i, n)
		return
	}
	w.noteSharedWrite(me, i, n)
}

// noteSharedWrite notes a write of n bytes that was checked.
func (w *warp) noteSharedWrite(me uint64, i, n int) {
	s := w.shared
	r := &s.rows[i/rowBytes]
	if n == rowBytes {
		r.all = me
	} else {
		s.putCells(r, me, i, n)
	}
	r.wrote = max(r.wrote, uint32(me>>32))
	r.pending = me&notePending != 0 || r.pending && n < rowBytes
	s.set[i>>6] |= (uint64(1)<<n - 1) << (i & 63)
	if len(s.clashes) > 0 {
		s.keepClashes(me, i, n)
	}
}

// putCells leaves the note of a write of a part of a row.
func (s *sharedMemory) putCells(r *row, me uint64, i, n int) {
	shift := s.shift & 63
	if r.all != 0 {
		cells := s.wrote[i/rowBytes*rowBytes>>shift:][:rowBytes>>shift]
		for c := range cells {
			cells[c] = r.all
		}
		r.all = 0
	}
	cells := s.wrote[i>>shift : (i+n-1)>>shift+1]
	for c := range cells {
		cells[c] = me
	}
}

// landed notes that an asynchronous copy of n bytes has taken place.
func (s *sharedMemory) landed(note uint64, i, n int) {
	r := &s.rows[i/rowBytes]
	r.wrote, r.pending = max(r.wrote, uint32(note>>32)), false
	if n == rowBytes {
		r.all = note
		return
	}
	s.putCells(r, note, i, n)
	for _, other := range s.wrote[i/rowBytes*rowBytes>>s.shift:][:rowBytes>>s.shift] {
		r.pending = r.pending || other&notePending != 0
	}
}

// checkWrites judges a write of n bytes of a row that was touched a short while ago.
func (w *warp) checkWrites(me uint64, r *row, i, n int, b []byte) {
	s := w.shared
	if r.watched {
		w.inside(int(me&noteLane), i, n)
	}
	if s.strong.some && me&noteStrong == 0 {
		w.checkStrong(me, i, n, b, true)
	}
	first, last := i>>s.shift, (i+n-1)>>s.shift
	if r.all != 0 {
		if w.recent(r.all, me) {
			w.checkWrite(i, r.all, me, i, b)
		}
	} else {
		for c := first; c <= last; c++ {
			if wr := s.wrote[c]; w.recent(wr, me) {
				w.checkWrite(c<<s.shift, wr, me, i, b)
			}
		}
	}
	floor := w.knows()
	if r.wholeRead < floor && r.cellRead < floor || r.since != w.interval {
		return
	}
	for readers := r.readers; readers != 0; readers &= readers - 1 {
		other := bits.TrailingZeros32(readers)
		if read := s.rowRead[other][i/rowBytes]; r.wholeRead >= floor && w.readLately(other, read) {
			w.checkOverwrite(i, other, read, me, i, b)
		}
		if r.cellRead >= floor {
			for c := first; c <= last; c++ {
				if read := s.cellRead[other][c]; w.readLately(other, read) {
					w.checkOverwrite(c<<s.shift, other, read, me, i, b)
				}
			}
		}
	}
}

// readLately reports whether a warp's read needs a closer look before something is written there.
func (w *warp) readLately(other int, read uint64) bool {
	return read>>32 >= uint64(w.vc[other]) && read>>32 > uint64(w.clock)
}

// keeps reports whether a write leaves what is there: then another access is no race. B is what is written at a place, nil
// where that is not known.
func (s *sharedMemory) keeps(place int, b []byte) bool {
	return b != nil && string(s.data[place:place+len(b)]) == string(b) && s.written(place, len(b))
}

// checkWrite judges a write over a write of the byte at an index: of b at a place, with the note me.
func (w *warp) checkWrite(i int, wr, me uint64, place int, b []byte) {
	if uint32(wr>>32) <= w.clock {
		return
	}
	by, lane := int(wr>>8&31), int(me&noteLane)
	ordered := wr>>32 <= uint64(w.vc[by])
	if wr&notePending != 0 && ordered {
		f := w.finding(MissingWait, lane, "%s writes %s, where an asynchronous copy is on its way", w.name(), w.sharedByte(i))
		f.Other = w.access(wr, true)
		panic(f)
	}
	if by == w.index {
		ordered = wr>>32 < uint64(w.vc[by]) || wr&noteLane == uint64(lane) && wr&noteMany == 0
	}
	if ordered || w.shared.keeps(place, b) {
		return
	}
	if by == w.index && int32(wr>>13&notePC) == w.pc && b != nil {
		w.shared.clash(me, place, b, w.sharedRace(lane, i, "writes", wr, true))
		return
	}
	panic(w.sharedRace(lane, i, "writes", wr, true))
}

// checkOverwrite judges a write over what a warp has read.
func (w *warp) checkOverwrite(i, other int, r, me uint64, place int, b []byte) {
	lane := int(me & noteLane)
	ordered := r>>32 <= uint64(w.vc[other])
	if other == w.index {
		ordered = r>>32 < uint64(w.vc[other]) || r&noteLane == uint64(lane) && r&noteMany == 0
	}
	if ordered || w.shared.keeps(place, b) {
		return
	}
	panic(w.sharedRace(lane, i, "writes", r, false))
}
