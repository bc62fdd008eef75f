package emu

// Threads of a warp that store different values to one byte of shared memory by one instruction race, and which value
// stays is not defined. Compilers do so with copies of a value that several threads hold, where the copies differ because
// they are undefined themselves, as the index of the greatest of numbers that are none. So the byte holds nothing, as if
// nobody had written it, and the race is a finding where that matters (poison.go). Copies that differ in rounding alone
// are as good as each other.

// clash is a byte that holds nothing for that reason.
type clash struct {
	found *Finding
	by    uint64 // the store: its note without the thread
}

// clash notes that a store of b at a place, with the note me, is not the first one to write there. The first thread that
// does so is found.
func (s *sharedMemory) clash(me uint64, place int, b []byte, found *Finding) {
	there := s.data[place : place+len(b)]
	if alike(b, there) {
		return
	}
	if s.clashes == nil {
		s.clashes = map[int]clash{}
	}
	for i := range b {
		if c := s.clashes[place+i]; b[i] != there[i] && c.by != me>>8 {
			s.clashes[place+i] = clash{found, me >> 8}
		}
	}
}

// keepClashes makes bytes that were just written hold nothing where other threads wrote other values by the same store.
func (s *sharedMemory) keepClashes(me uint64, i, n int) {
	for ; n > 0; i, n = i+1, n-1 {
		if c, ok := s.clashes[i]; ok && c.by == me>>8 {
			s.set[i>>6] &^= 1 << (i & 63)
		}
	}
}

// missing is the finding that a thread reads what n bytes at an address do not hold.
func (w *warp) missing(sp space, lane, n int) *Finding {
	at := w.addr[lane]
	if s := w.shared; len(s.clashes) > 0 && (sp == shared || sp == generic && spaceOf(at) == shared) {
		first := int(at) - sharedBase
		if sp == generic {
			first = int(at-sharedView) - sharedBase
		}
		for i := first; i < first+n; i++ {
			if c, ok := s.clashes[i]; ok && !s.written(i, 1) {
				return c.found
			}
		}
	}
	return w.finding(Uninitialized, lane, "%s reads %s, which nobody has written", w.name(), w.describe(sp, at, n))
}
