package emu

import (
	"encoding/binary"
	"math/bits"
)

// What loads and stores do for all threads of a warp at once: plain accesses to shared memory, and to one buffer of global
// memory. They find what the accesses of single threads find; what is wrong with an access is left to those to say.

// sharedPlaces reports whether the n bytes at the address of each thread of m lie in shared memory and are aligned.
func (w *warp) sharedPlaces(m uint32, n int) bool {
	if m == everyone && w.span.whole {
		return w.span.within(sharedBase, len(w.shared.data), n)
	}
	most, odd := uint64(0), uint64(0)
	for rest := m; rest != 0; rest &= rest - 1 {
		at := w.addr[bits.TrailingZeros32(rest)&31]
		most, odd = max(most, at-sharedBase), odd|at
	}
	size := uint64(len(w.shared.data))
	return odd&uint64(n-1) == 0 && size >= uint64(n) && most <= size-uint64(n)
}

// within reports whether n bytes at each address lie in a buffer of a size at a base, and are aligned.
func (s *addressSpan) within(base int64, size, n int) bool {
	return s.bits&uint64(n-1) == 0 && s.low >= base && s.high <= base+int64(size-n)
}

// oneBuffer returns the buffer that the n bytes of all threads of m lie in, aligned, and its address; nil where it is not one.
func (w *warp) oneBuffer(m uint32, n int) (*Memory, uint64) {
	if m == 0 {
		return nil, 0
	}
	slots := w.launch.Device.slots
	base := w.addr[bits.TrailingZeros32(m)&31] &^ (1<<window - 1)
	slot := int(base>>window) - 1
	if slot < 0 || slot >= len(slots) || slots[slot] == nil {
		return nil, 0
	}
	mem := slots[slot]
	if m == everyone && w.span.whole {
		if !w.span.within(int64(base), len(mem.Data), n) {
			return nil, 0
		}
		return mem, base
	}
	most, odd := uint64(0), uint64(0)
	for rest := m; rest != 0; rest &= rest - 1 {
		at := w.addr[bits.TrailingZeros32(rest)&31]
		most, odd = max(most, at-base), odd|at
	}
	if size := uint64(len(mem.Data)); odd&uint64(n-1) != 0 || size < uint64(n) || most > size-uint64(n) {
		return nil, 0
	}
	return mem, base
}

// plainBuffer is oneBuffer for accesses to global memory that are wide: what goes to all threads at once.
func (w *warp) plainBuffer(sp space, wide bool, m uint32, n int) (*Memory, uint64) {
	if !wide || sp != global {
		return nil, 0
	}
	return w.oneBuffer(m, n)
}

// readShared checks and notes reads of n bytes, 16 at most, by the threads of m. It returns those that read what nobody wrote.
func (w *warp) readShared(m uint32, n int) (bad uint32) {
	switch {
	case n == rowBytes:
		return w.readRows(m)
	case m == everyone && w.readSharedInARow(n):
		return 0
	}
	s, me, floor := w.shared, w.note(0), w.knows()
	for rest := m; rest != 0; rest &= rest - 1 {
		lane := bits.TrailingZeros32(rest) & 31
		i := int(w.addr[lane] - sharedBase)
		w.noteSharedRead(me|uint64(lane), floor, i, n)
		if !s.written(i, n) {
			bad |= 1 << lane
		}
	}
	return bad
}

// readRows is readShared of whole rows.
func (w *warp) readRows(m uint32) (bad uint32) {
	s, first, floor := w.shared, w.note(0), w.knows()
	rows, set, reads, now := s.rows, s.set, s.rowRead[w.index], w.vc[w.index]
	for rest := m; rest != 0; rest &= rest - 1 {
		lane := bits.TrailingZeros32(rest) & 31
		i, me := int(w.addr[lane]-sharedBase), first|uint64(lane)
		r, note := &rows[i/rowBytes], &reads[i/rowBytes]
		if r.wrote >= floor || r.pending {
			w.checkReads(me, r, i, rowBytes)
		}
		r.readBy(w)
		r.wholeRead = max(r.wholeRead, now)
		renew(note, me)
		if set[i>>6]>>(i&63)&0xffff != 0xffff {
			bad |= 1 << lane
		}
	}
	return bad
}

// readGlobal notes reads of n bytes of a buffer by the threads of m. It returns those that read what nobody wrote.
func (w *warp) readGlobal(mem *Memory, base uint64, m uint32, n int, free bool) (bad uint32) {
	row := m == everyone && inARow(&w.addr, n)
	if mem.written != nil && !(row && mem.hasAll(int(w.addr[0]-base), warpSize*n)) {
		for rest := m; rest != 0; rest &= rest - 1 {
			lane := bits.TrailingZeros32(rest) & 31
			if !mem.has(int(w.addr[lane]-base), n) {
				bad |= 1 << lane
			}
		}
	}
	switch {
	case w.launch.NoRaces || mem.readOnly || free:
	case row && len(w.marks) == 0:
		w.noteReadsInARow(n)
	default:
		w.noteReads(&w.addr, m, n)
	}
	return bad
}

// noteReads is noteRead at the addresses of the threads of m.
func (w *warp) noteReads(addr *lanes, m uint32, n int) {
	number, p := ^uint64(0), (*page)(nil)
	first := whoOf(w.pc, w.thread(0))
	for rest := m; rest != 0; rest &= rest - 1 {
		lane := bits.TrailingZeros32(rest) & 31
		address, me := addr[lane], first+uint32(lane)
		if len(w.marks) > 0 {
			w.checkMarks(address, n, me, false)
		}
		if address>>pageShift != number {
			number, p = address>>pageShift, w.page(address)
		}
		w.noteInPage(p, address&(pageBytes-1), n, me)
	}
}

// writeGlobal stores size bytes of each of the registers for the threads of m, side by side in a buffer.
func (w *warp) writeGlobal(mem *Memory, base uint64, m uint32, size int, src []reg) {
	n := size * len(src)
	races := !w.launch.NoRaces
	if m == everyone && len(w.marks) == 0 && inARow(&w.addr, n) {
		data := w.row[:warpSize*n]
		w.collectAll(data, size, src)
		at := int(w.addr[0] - base)
		to := mem.Data[at:][:len(data)]
		if races {
			w.noteWritesInARow(n, data, to)
		}
		w.launch.recording.save(mem, w.addr[0], len(data))
		copy(to, data)
		if mem.written != nil {
			mem.markAll(at, len(data))
		}
		return
	}
	b := w.bytes[:n]
	for rest := m; rest != 0; rest &= rest - 1 {
		lane := bits.TrailingZeros32(rest) & 31
		w.collect(b, lane, size, src)
		at := int(w.addr[lane] - base)
		to := mem.Data[at:][:n]
		if races {
			w.noteWrite(w.addr[lane], b, to, lane)
		}
		w.launch.recording.save(mem, w.addr[lane], n)
		copy(to, b)
		if mem.written != nil {
			mem.mark(at, n)
		}
	}
}

// writeShared is writeGlobal in shared memory, of 16 bytes a thread at most.
func (w *warp) writeShared(m uint32, size int, src []reg) {
	s, n := w.shared, size*len(src)
	if m == everyone && w.writeSharedInARow(n) {
		w.collectAll(s.data[w.addr[0]-sharedBase:][:warpSize*n], size, src)
		return
	}
	if n == 4 && size == 4 && s.shift == 2 {
		w.writeCells(m, w.r[src[0]])
		return
	}
	note, floor := w.note(0), w.knows()
	for rest := m; rest != 0; rest &= rest - 1 {
		lane := bits.TrailingZeros32(rest) & 31
		i, me := int(w.addr[lane]-sharedBase), note|uint64(lane)
		to := s.data[i:][:n]
		if r := &s.rows[i/rowBytes]; !r.quiet(floor) {
			b := w.bytes[:n]
			w.collect(b, lane, size, src)
			w.checkWrites(me, r, i, n, b)
		}
		w.noteSharedWrite(me, i, n)
		w.collect(to, lane, size, src)
	}
}

// writeCells is writeShared of a word that is a cell of its own.
func (w *warp) writeCells(m uint32, src *lanes) {
	s, note, floor := w.shared, w.note(0), w.knows()
	for rest := m; rest != 0; rest &= rest - 1 {
		lane := bits.TrailingZeros32(rest) & 31
		i, me := int(w.addr[lane]-sharedBase), note|uint64(lane)
		r, cell, to := &s.rows[i/rowBytes], &s.wrote[i/4], s.data[i:][:4]
		unread := r.since != w.interval || r.cellRead < floor && r.wholeRead < floor
		fresh := unread && r.all == 0 && !r.watched && !s.strong.some && !w.recent(*cell, me)
		if !fresh && !r.quiet(floor) {
			binary.LittleEndian.PutUint32(w.bytes[:4], uint32(src[lane]))
			w.checkWrites(me, r, i, 4, w.bytes[:4])
		}
		if r.all == 0 && len(s.clashes) == 0 {
			*cell, r.wrote = me, max(r.wrote, uint32(me>>32))
			s.set[i>>6] |= 15 << (i & 63)
		} else {
			w.noteSharedWrite(me, i, 4)
		}
		binary.LittleEndian.PutUint32(to, uint32(src[lane]))
	}
}

// collectAll is collect of all threads, one behind the other.
func (w *warp) collectAll(b []byte, size int, src []reg) {
	n := size * len(src)
	for j, s := range src {
		R, to := w.r[s], b[j*size:]
		switch size {
		case 4:
			for lane, v := range R {
				binary.LittleEndian.PutUint32(to[lane*n:], uint32(v))
			}
		case 2:
			for lane, v := range R {
				binary.LittleEndian.PutUint16(to[lane*n:], uint16(v))
			}
		default:
			for lane, v := range R {
				write(to[lane*n:][:size], v)
			}
		}
	}
}

// collect puts size bytes of each of the registers of a thread side by side.
func (w *warp) collect(b []byte, lane, size int, src []reg) {
	switch size {
	case 4:
		for j, s := range src {
			binary.LittleEndian.PutUint32(b[j*4:], uint32(w.r[s][lane]))
		}
	case 2:
		for j, s := range src {
			binary.LittleEndian.PutUint16(b[j*2:], uint16(w.r[s][lane]))
		}
	default:
		for j, s := range src {
			write(b[j*size:(j+1)*size], w.r[s][lane])
		}
	}
}

// loading is the registers that a load fills, and how: size bytes each, as numbers of a type.
type loading struct {
	dst  []reg
	full []uint64 // the bits of a register
	size int
	t    typ
}

// move fills registers of the threads of m from memory that begins at an address.
func (l *loading) move(w *warp, data []byte, base uint64, m uint32) {
	if l.size == 4 && !l.t.signed() || l.size == 2 && !l.t.signed() {
		for j, d := range l.dst {
			D, off := w.r[d], base-uint64(j*l.size)
			switch {
			case l.size == 2:
				for rest := m; rest != 0; rest &= rest - 1 {
					i := bits.TrailingZeros32(rest) & 31
					D[i] = uint64(binary.LittleEndian.Uint16(data[w.addr[i]-off:]))
				}
			case m == everyone:
				for i := range D {
					D[i] = uint64(binary.LittleEndian.Uint32(data[w.addr[i]-off:]))
				}
			default:
				for rest := m; rest != 0; rest &= rest - 1 {
					i := bits.TrailingZeros32(rest) & 31
					D[i] = uint64(binary.LittleEndian.Uint32(data[w.addr[i]-off:]))
				}
			}
		}
		return
	}
	n := uint64(l.size * len(l.dst))
	for rest := m; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros32(rest) & 31
		l.fill(w, data[w.addr[i]-base:][:n], i)
	}
}

// fill fills registers of one thread.
func (l *loading) fill(w *warp, b []byte, lane int) {
	signed, y := l.t.signed() && l.size < 8, extend(l.t)
	for j, d := range l.dst {
		v := read(b[j*l.size : (j+1)*l.size])
		if signed {
			v = uint64(y(v)) & l.full[j]
		}
		w.r[d][lane] = v
	}
}
