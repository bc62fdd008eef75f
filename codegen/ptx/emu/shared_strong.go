package emu

// strongNotes is the strong accesses to shared memory of every warp, apart from plain ones: the two race with each other, and
// strong ones among themselves do not. By warp, then by cell; nil until there is one.
type strongNotes struct {
	wrote, read [][]uint64
	some        bool
}

// put notes a strong access.
func (t *strongNotes) put(s *sharedMemory, notes [][]uint64, me uint64, i, n int) {
	t.some = true
	by := &notes[me>>8&31]
	if *by == nil {
		*by = make([]uint64, len(s.wrote))
	}
	for c := i >> s.shift; c <= (i+n-1)>>s.shift; c++ {
		renew(&(*by)[c], me)
	}
}

// noteStrongRead checks and notes a strong read of n bytes at an index.
func (w *warp) noteStrongRead(me uint64, i, n int) {
	s := w.shared
	r := &s.rows[i/rowBytes]
	if r.wrote >= w.knows() || r.pending {
		w.checkReads(me, r, i, n)
	}
	r.cellRead = max(r.cellRead, uint32(me>>32))
	s.strong.put(s, s.strong.read, me, i, n)
}

// noteStrongWrite notes a strong write of n bytes that was checked.
func (w *warp) noteStrongWrite(me uint64, i, n int) {
	s := w.shared
	r := &s.rows[i/rowBytes]
	r.wrote = max(r.wrote, uint32(me>>32))
	s.strong.put(s, s.strong.wrote, me, i, n)
	s.set[i>>6] |= (uint64(1)<<n - 1) << (i & 63)
}

// checkStrong judges a plain access of n bytes: of b, or a read, where others made strong ones.
func (w *warp) checkStrong(me uint64, i, n int, b []byte, write bool) {
	s := w.shared
	for other := range w.warps {
		wrote, read := s.strong.wrote[other], s.strong.read[other]
		if wrote == nil && read == nil {
			continue
		}
		for c := i >> s.shift; c <= (i+n-1)>>s.shift; c++ {
			switch at := c << s.shift; {
			case wrote != nil && w.readLately(other, wrote[c]) && !write:
				w.checkRead(int(me&noteLane), at, wrote[c])
			case wrote != nil && w.readLately(other, wrote[c]):
				w.checkWrite(at, wrote[c], me, i, b)
			case write && read != nil && w.readLately(other, read[c]):
				w.checkOverwrite(at, other, read[c], me, i, b)
			}
		}
	}
}
