package emu

import "math/bits"

// What loads and stores do for a whole warp whose threads touch n bytes each, side by side. In global memory, notes are of
// lines of 64 bytes, where nobody has touched them since the warp's last barrier; in shared memory, of rows that the warp need
// not look at closely.

// inARow reports whether n bytes of each thread follow those of the thread before, and whole words are touched.
func inARow(addr *lanes, n int) bool {
	at, step := addr[0], uint64(n)
	if n < 2 || at&3 != 0 {
		return false
	}
	for i := range addr {
		if addr[i] != at {
			return false
		}
		at += step
	}
	return true
}

// lines calls f with the parts of the row that lie in a line: a page, the place in it, which bytes of the line are touched, the
// first thread and how many there are.
func (w *warp) lines(n int, f func(p *page, at, touched uint64, lane, count int)) {
	for lane := 0; lane < warpSize; {
		address := w.addr[lane]
		at := address & (pageBytes - 1)
		count := min(warpSize-lane, int(64-at&63)/n)
		f(w.page(address), at, ^uint64(0)>>(64-count*n)<<(at&63), lane, count)
		lane += count
	}
}

// fillWho notes in words the threads from me on, which touched n bytes each.
func fillWho(words []uint32, me uint32, n int) {
	for i := range words {
		switch n {
		case 2:
			words[i] = me + uint32(2*i+1)
		case 4:
			words[i] = me + uint32(i)
		case 8:
			words[i] = me + uint32(i/2)
		default:
			words[i] = me + uint32(i/4)
		}
	}
}

// noteReadsInARow is noteRead for the row.
func (w *warp) noteReadsInARow(n int) {
	first := whoOf(w.pc, w.thread(0))
	w.lines(n, func(p *page, at, touched uint64, lane, count int) {
		me, line := first+uint32(lane), at>>6
		if (p.turnW[line]|p.turnR[line])&touched != 0 {
			for i := range count {
				w.noteInPage(p, at+uint64(i*n), n, me+uint32(i))
			}
			return
		}
		p.turnR[line] |= touched
		p.r[line] |= touched
		fillWho(p.readers[at/4:][:count*n/4], me, n)
	})
}

// noteWritesInARow is noteWrite for the row, of data where there are other bytes.
func (w *warp) noteWritesInARow(n int, data, there []byte) {
	first := whoOf(w.pc, w.thread(0))
	w.lines(n, func(p *page, at, touched uint64, lane, count int) {
		me, line, part := first+uint32(lane), at>>6, data[lane*n:][:count*n]
		if (p.turnW[line]|p.turnR[line])&touched != 0 {
			for i := range count {
				w.noteWrite(w.addr[lane+i], part[i*n:][:n], there[(lane+i)*n:][:n], lane+i)
			}
			return
		}
		w.wrote(p)
		p.w[line] |= touched
		p.turnW[line] |= touched
		writes := p.write()
		fillWho(writes.writers[at/4:][:count*n/4], me, n)
		copy(writes.data[at:], part)
	})
}

// hasAll reports whether n bytes from an offset on were written.
func (m *Memory) hasAll(off, n int) bool {
	for end := off + n; off < end; {
		part := min(64-off&63, end-off)
		if !m.hasPart(off, ^uint64(0)>>(64-part)<<(off&63)) {
			return false
		}
		off += part
	}
	return true
}

// markAll notes that n bytes from an offset on are written.
func (m *Memory) markAll(off, n int) {
	for end := off + n; off < end; {
		part := min(64-off&63, end-off)
		m.markPart(off, ^uint64(0)>>(64-part)<<(off&63))
		off += part
	}
}

// rowsOf returns the rows of shared memory that the threads touch side by side, from an index on; nil where they do not touch
// whole rows.
func (w *warp) rowsOf(n int) (rows []row, first int) {
	first = int(w.addr[0] - sharedBase)
	if n < 4 || first%rowBytes != 0 || !inARow(&w.addr, n) {
		return nil, 0
	}
	return w.shared.rows[first/rowBytes:][:warpSize*n/rowBytes], first
}

// readSharedInARow is readShared for the row. It reports false, and does nothing, where that has to look closely.
func (w *warp) readSharedInARow(n int) bool {
	s, me, floor, now := w.shared, w.note(0), w.knows(), w.vc[w.index]
	rows, first := w.rowsOf(n)
	if rows == nil || !s.writtenAll(first, warpSize*n) {
		return false
	}
	for i := range rows {
		if rows[i].wrote >= floor || rows[i].pending {
			return false
		}
	}
	for i := range rows {
		rows[i].cellRead = max(rows[i].cellRead, now)
		rows[i].readBy(w)
	}
	each := bits.TrailingZeros(uint(n>>s.shift)) & 31 // log2 of a thread's cells
	notes := s.cellRead[w.index][first>>s.shift:][:warpSize<<each]
	for i := range notes {
		renew(&notes[i], me|uint64(i>>each))
	}
	return true
}

// writeSharedInARow notes the writes of the row. It reports false, and does nothing, where they have to be looked at closely.
func (w *warp) writeSharedInARow(n int) bool {
	s, me, floor, now := w.shared, w.note(0), w.knows(), w.vc[w.index]
	rows, first := w.rowsOf(n)
	if rows == nil {
		return false
	}
	for i := range rows {
		if !rows[i].quiet(floor) {
			return false
		}
	}
	for i := range rows {
		rows[i].all, rows[i].wrote = 0, now
		if n == rowBytes {
			rows[i].all = me | uint64(i)
		}
	}
	if n < rowBytes {
		each := bits.TrailingZeros(uint(n>>s.shift)) & 31 // log2 of a thread's cells
		notes := s.wrote[first>>s.shift:][:warpSize<<each]
		for i := range notes {
			notes[i] = me | uint64(i>>each)
		}
	}
	s.setAll(first, warpSize*n)
	return true
}

// writtenAll and setAll are of n bytes, whole rows.
func (s *sharedMemory) writtenAll(i, n int) bool {
	for ; n > 0; i, n = i+rowBytes, n-rowBytes {
		if s.set[i>>6]>>(i&63)&0xffff != 0xffff {
			return false
		}
	}
	return true
}

func (s *sharedMemory) setAll(i, n int) {
	for ; n > 0; i, n = i+rowBytes, n-rowBytes {
		s.set[i>>6] |= 0xffff << (i & 63)
	}
}
