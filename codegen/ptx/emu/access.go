package emu

import (
	"fmt"
	"math/bits"
)

// fetch returns the n bytes that a thread reads, and whether all of them were written.
func (w *warp) fetch(sp space, lane int, at uint64, n int, strong bool) ([]byte, bool) {
	if sp == generic {
		if sp = spaceOf(at); sp == shared {
			at -= sharedView
		}
	}
	switch sp {
	case shared:
		i := w.within(lane, at, n)
		known := true
		for j := 0; j < n; j += 16 {
			known = w.sharedRead(lane, i+j, min(n, 16), strong) && known
		}
		return w.shared.data[i : i+n], known
	case local:
		i := w.localIndex(lane, at, n)
		known := true
		for _, b := range w.localSet[i : i+n] {
			known = known && b != 0
		}
		return w.locals[i : i+n], known
	case paramSpace:
		off := at - paramBase
		if ends := w.program.paramEnds; at < paramBase || off >= uint64(len(ends)) || off+uint64(n) > uint64(ends[off]) {
			w.outsideParameter(lane, int64(off), n)
		}
		return w.launch.params[off : off+uint64(n)], true
	}
	mem, off := w.locate(lane, at, n)
	known := mem.written == nil || mem.has(off, n)
	if !w.launch.NoRaces && !mem.readOnly && !strong {
		w.noteRead(at, n, lane)
	}
	return mem.Data[off : off+n], known
}

// put writes bytes for a thread.
func (w *warp) put(sp space, lane int, at uint64, b []byte, strong bool) {
	if sp == generic {
		if sp = spaceOf(at); sp == shared {
			at -= sharedView
		}
	}
	n := len(b)
	switch sp {
	case shared:
		i := w.within(lane, at, n)
		to := w.shared.data[i : i+n]
		flags := uint64(0)
		if strong {
			flags = noteStrong
		}
		for j := 0; j < n; j += 16 {
			k := min(n, 16)
			w.sharedWrite(lane, i+j, k, flags, b[j:j+k])
		}
		copy(to, b)
		return
	case local:
		i := w.localIndex(lane, at, n)
		copy(w.locals[i:], b)
		for j := range n {
			w.localSet[i+j] = 1
		}
		return
	case paramSpace, constant:
		w.fail(OutOfBounds, lane, "%s writes to %s", w.name(), sp)
	}
	mem, off := w.locate(lane, at, n)
	if mem.readOnly {
		w.fail(OutOfBounds, lane, "%s writes to the constant %s", w.name(), mem.label())
	}
	switch {
	case w.launch.NoRaces:
	case !strong:
		w.noteWrite(at, b, mem.Data[off:off+n], lane)
	default:
		if w.scoped {
			w.noteForBlocks(at, b, lane)
		}
		if string(b) != string(mem.Data[off:off+n]) {
			w.markStrong(at, n, lane)
		}
	}
	w.launch.recording.save(mem, at, n)
	copy(mem.Data[off:], b)
	if mem.written != nil {
		mem.mark(off, n)
	}
}

// locate returns the buffer and offset of a global address, and stops where a thread must not touch it.
func (w *warp) locate(lane int, at uint64, n int) (*Memory, int) {
	slots := w.launch.Device.slots
	i, off := int(at>>window)-1, at&(1<<window-1)
	if i < 0 || i >= len(slots) || slots[i] == nil {
		w.fail(OutOfBounds, lane, "%s touches address %#x, where no buffer lies", w.name(), at)
	}
	mem := slots[i]
	if off+uint64(n) > uint64(len(mem.Data)) {
		w.outside(lane, mem, at, n)
	}
	if at&uint64(n-1) != 0 {
		w.fail(Misaligned, lane, "%s touches %d bytes at byte %d of %s, which is no multiple of %d", w.name(), n, off, mem.label(), n)
	}
	return mem, int(off)
}

// outside stops at an address behind a buffer, or just before the next one.
func (w *warp) outside(lane int, mem *Memory, at uint64, n int) {
	off := int64(at & (1<<window - 1))
	slots := w.launch.Device.slots
	if next := int(at >> window); off > 1<<(window-1) && next < len(slots) && slots[next] != nil {
		mem, off = slots[next], off-1<<window
	}
	w.fail(OutOfBounds, lane, "%s touches bytes %d to %d of %s, which has %d", w.name(), off, off+int64(n)-1, mem.label(), len(mem.Data))
}

// localIndex is where a thread's local memory holds an address.
func (w *warp) localIndex(lane int, at uint64, n int) int {
	off := at - localBase
	if at < localBase || off+uint64(n) > uint64(w.program.local) {
		w.fail(OutOfBounds, lane, "%s touches bytes %d to %d of local memory, of which a thread has %d", w.name(), int64(off), int64(off)+int64(n)-1, w.program.local)
	}
	for _, h := range w.program.localHoles {
		if int(off) < h.end && int(off)+n > h.first {
			w.fail(OutOfBounds, lane, "%s touches bytes %d to %d of local memory, which are no variable's", w.name(), off, off+uint64(n)-1)
		}
	}
	if off&uint64(n-1) != 0 {
		w.fail(Misaligned, lane, "%s touches %d bytes at address %#x of local memory, which is no multiple", w.name(), n, off)
	}
	return lane*w.program.local + int(off)
}

// describe names bytes at an address in a sentence.
func (w *warp) describe(sp space, at uint64, n int) string {
	if sp == generic {
		if sp = spaceOf(at); sp == shared {
			at -= sharedView
		}
	}
	off, name := int64(at), sp.String()
	switch sp {
	case shared:
		e := w.launch.nearest(int(off - sharedBase))
		off, name = off-sharedBase-int64(e.first), e.name
	case local:
		off -= localBase
	default:
		if mem, o, ok := w.launch.Device.Find(at); ok {
			off, name = o, mem.label()
		}
	}
	return fmt.Sprintf("bytes %d to %d of %s", off, off+int64(n)-1, name)
}

// bankCheck counts how often threads of an instruction wait for each other, because their words lie in the same one of
// 32 banks of 4 bytes. As many threads are served at a time as fetch 128 bytes together; equal words are read once.
func (w *warp) bankCheck(m uint32, n int) {
	if !w.launch.Banks && w.counts == nil {
		return
	}
	waits := bankWaits(&w.addr, m, n)
	w.conflicts += int64(waits)
	if w.counts != nil {
		w.counts.at[w.pc].Conflicts += int64(waits)
	}
}

// bankWaits is the greatest number of different words in a bank, less one, summed over the parts of a warp.
func bankWaits(addr *lanes, m uint32, n int) int {
	together, words := warpSize, max(n/4, 1)
	if n > 4 {
		together = warpSize * 4 / n
	}
	if m == everyone && sideBySide(addr, uint64(n)) {
		return 0
	}
	total := 0
	for first := 0; first < warpSize; first += together {
		part := m >> first
		if together < 32 {
			part &= 1<<together - 1
		}
		if n >= 4 && ownBanks(addr, part, first, words, together) {
			continue
		}
		var word [32]uint32 // of each bank, plus one
		clash := false
		for rest := part; rest != 0; rest &= rest - 1 {
			at := uint32(addr[first+bits.TrailingZeros32(rest)]) / 4
			for j := range uint32(words) {
				bank := &word[(at+j)%32]
				if *bank == 0 {
					*bank = at + j + 1
				} else if *bank != at+j+1 {
					clash = true
				}
			}
		}
		if clash {
			total += worstBank(addr, part, first, words)
		}
	}
	return total
}

// ownBanks reports whether each thread's words lie in banks of their own, of which there are so many groups.
func ownBanks(addr *lanes, part uint32, first, words, groups int) bool {
	taken, shift := uint32(0), bits.TrailingZeros(uint(words*4))&31
	for ; part != 0; part &= part - 1 {
		group := uint32(1) << (int(addr[(first+bits.TrailingZeros32(part))&31]>>shift) & (groups - 1) & 31)
		if taken&group != 0 {
			return false
		}
		taken |= group
	}
	return true
}

// sideBySide reports whether n bytes of each thread follow those of the thread before, in whole words.
func sideBySide(addr *lanes, n uint64) bool {
	if n < 4 {
		return false
	}
	for i, at := range addr {
		if at != addr[0]+uint64(i)*n {
			return false
		}
	}
	return true
}

// worstBank counts the different words of every bank. A part of a warp has at most 32 words.
func worstBank(addr *lanes, part uint32, first, words int) int {
	var (
		word        [32]uint32 // those that are different
		before      [32]int8   // of each, the one before it in its bank, plus one
		last, count [32]int8   // of each bank, its last word, plus one, and how many there are
		n, worst    int8       = 0, 1
	)
	for ; part != 0; part &= part - 1 {
		at := uint32(addr[first+bits.TrailingZeros32(part)]) / 4
		for j := range uint32(words) {
			bank := (at + j) % 32
			i := last[bank]
			for i != 0 && word[i-1] != at+j {
				i = before[i-1]
			}
			if i != 0 {
				continue
			}
			word[n], before[n] = at+j, last[bank]
			n++
			last[bank] = n
			count[bank]++
			worst = max(worst, count[bank])
		}
	}
	return int(worst) - 1
}
