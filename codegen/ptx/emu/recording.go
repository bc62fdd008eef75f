package emu

import (
	"sync"
	"sync/atomic"
)

// recording is what is noted, beside the log, of a launch that is to be remembered: pages as they were before it wrote to them.
type recording struct {
	key   sum
	slots []atomic.Pointer[savedPages] // of the device
	mu    sync.Mutex
}

// savedPages is pages of a buffer as they were.
type savedPages struct {
	done []atomic.Uint64 // a bit for each
	was  map[int]*[pageBytes]byte
}

// slotOf is which buffer of a device an address lies in.
func slotOf(address uint64) int { return int(address>>window) - 1 }

// save keeps the pages of n bytes of the buffer at an address, before something is written there for the first time.
func (r *recording) save(mem *Memory, address uint64, n int) {
	if r == nil {
		return
	}
	slot := &r.slots[slotOf(address)]
	s := slot.Load()
	if s == nil {
		r.mu.Lock()
		if s = slot.Load(); s == nil {
			s = &savedPages{done: make([]atomic.Uint64, len(mem.Data)>>(pageShift+6)+1), was: map[int]*[pageBytes]byte{}}
			slot.Store(s)
		}
		r.mu.Unlock()
	}
	off := int(address & (1<<window - 1))
	for i := off >> pageShift; i <= (off+n-1)>>pageShift; i++ {
		if done := &s.done[i>>6]; done.Load()>>(i&63)&1 == 0 {
			r.mu.Lock()
			if s.was[i] == nil {
				s.was[i] = new([pageBytes]byte)
				copy(s.was[i][:], mem.Data[i<<pageShift:])
				done.Or(1 << (i & 63))
			}
			r.mu.Unlock()
		}
	}
}

// before returns n bytes of a buffer as they were before the launch, which has ended; they lie in one page.
func (r *recording) before(d *Device, slot, off, n int) []byte {
	if s := r.slots[slot].Load(); s != nil {
		if p := s.was[off>>pageShift]; p != nil {
			return p[off&(pageBytes-1):][:n]
		}
	}
	return there(d, slot, off, n)
}

// there returns n bytes of a buffer as they are.
func there(d *Device, slot, off, n int) []byte { return d.slots[slot].Data[off:][:n] }

// recordFree notes reads that the log leaves out, of n bytes by the threads of m: those that race with nobody.
func (w *warp) recordFree(sp space, m uint32, n int) {
	if w.launch.recording == nil || sp != global && sp != generic {
		return
	}
	eachLane(m, func(lane int) {
		at := w.addr[lane]
		if mem, _, ok := w.launch.Device.Find(at); ok && !mem.readOnly {
			w.page(at).unlogged[at&(pageBytes-1)>>6] |= (uint64(1)<<n - 1) << (at & 63)
		}
	})
}

// recordStrong notes strong accesses to n bytes by the threads of m, which the log leaves out, too.
func (w *warp) recordStrong(m uint32, n int, write bool) {
	l := w.launch
	if l.recording == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	eachLane(m, func(lane int) {
		at := w.addr[lane]
		p, line, touched := l.table.page(at>>pageShift), at&(pageBytes-1)>>6, (uint64(1)<<n-1)<<(at&63)
		p.read[line] |= touched
		if write {
			p.wrote[line] |= touched
		}
	})
}
