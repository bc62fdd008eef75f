package emu

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

// Memo remembers what launches did. A launch of the same kernel with the same arguments that would read the same bytes is not
// executed again: it leaves the same bytes, and would find nothing. What a launch read and wrote is known to the byte, from the log
// that races are found by. Launches that count, that do not look for races or that look at a clock are executed always, and so are
// those that fail: they are not remembered.
type Memo struct {
	mu       sync.Mutex
	ran      map[sum]*sameLaunches
	recalled int  // launches that were not executed
	fresh    bool // something was added
}

type sum = [sha256.Size]byte

// sameLaunches is launches, alike in kernel, arguments and dimensions, by what they read.
type sameLaunches struct {
	list []*sameReads
	last int // of list, which the last launch was
}

// mostReads is how many lists of places are kept of launches that are alike in all else.
const mostReads = 256

// sameReads is launches that read the same places.
type sameReads struct {
	buffers []touchedBuffer
	reads   []stretch
	results map[sum]*effect // by what was there
	short   map[sum]bool    // by what was there in short stretches: numbers such as lengths, of which the places depend
}

// touchedBuffer is a buffer that a launch touched: whether an address is wrong depends on its size.
type touchedBuffer struct{ slot, size int }

// stretch is bytes side by side.
type stretch struct {
	at uint64
	n  int
}

// shortBytes is how many bytes a short stretch has at most.
const shortBytes = 64

// effect is what a launch left.
type effect struct {
	wrote []stretch
	data  []byte // of all of them
	stats Stats
	used  bool // by this process
}

// memoKey is the hash of all that a launch depends on, but for what it reads. It reports false where the launch has no sense. It
// asks for nothing that is known when the kernel is lowered: what is recalled is not.
func (l *launch) memoKey(m *Module) (sum, bool) {
	e := m.entries[l.Entry]
	if e == nil || l.Device.Load(m) != nil || l.arguments(e.fn.layout()) != nil {
		return sum{}, false
	}
	h := sha256.New()
	h.Write(m.sum())
	h.Write(append([]byte(l.Entry), 0))
	number := func(v uint64) { h.Write(binary.LittleEndian.AppendUint64(nil, v)) }
	for i := range 3 {
		number(uint64(l.Grid[i]))
		number(uint64(l.Block[i]))
	}
	number(uint64(l.Blocks))
	number(uint64(l.Shared))
	number(uint64(l.Most))
	for _, v := range slices.Concat(m.unit.variables, m.unit.statics) {
		if mem := l.Device.modules[m][v]; mem != nil {
			number(l.Device.Add(mem))
		}
	}
	h.Write(l.params)
	return sum(h.Sum(nil)), true
}

// recall does what the launch did before, and reports whether it has.
func (l *launch) recall(m *Module) bool {
	if l.Memo == nil || l.NoRaces || l.Counts || l.Banks {
		return false
	}
	key, ok := l.memoKey(m)
	if !ok {
		return false
	}
	e := l.Memo.find(key, l.Device)
	if e == nil {
		l.recording = &recording{key: key}
		return false
	}
	data := e.data
	for _, t := range e.wrote {
		mem, off, _ := l.Device.Find(t.at)
		copy(mem.Data[off:], data[:t.n])
		mem.Written(int(off), t.n)
		data = data[t.n:]
	}
	l.stats = e.stats
	return true
}

// record makes a launch ready that was not recalled, unless it looks at a clock.
func (l *launch) record() {
	if slices.ContainsFunc(l.program.code, func(in instr) bool { return in.moves }) {
		l.recording = nil
	}
	if l.recording != nil {
		l.recording.slots = make([]atomic.Pointer[savedPages], len(l.Device.slots))
	}
}

// find returns what a launch with a key does; nil where that is not known.
func (m *Memo) find(key sum, d *Device) *effect {
	m.mu.Lock()
	defer m.mu.Unlock()
	same := m.ran[key]
	if same == nil {
		return nil
	}
	for i := range same.list {
		at := (same.last + i) % len(same.list)
		if e := same.list[at].find(d); e != nil {
			same.last = at
			m.recalled++
			e.used = true
			return e
		}
	}
	return nil
}

// find returns what launches did that read what is there.
func (s *sameReads) find(d *Device) *effect {
	for _, b := range s.buffers {
		if b.slot >= len(d.slots) || d.slots[b.slot] == nil || len(d.slots[b.slot].Data) != b.size {
			return nil
		}
	}
	if quick, ok := hashReads(d, s.reads, shortBytes, there); !ok || !s.short[quick] {
		return nil
	}
	all, ok := hashReads(d, s.reads, 1<<62, there)
	if !ok {
		return nil
	}
	return s.results[all]
}

// hashReads is the hash of what is in the stretches that are not longer than most. It reports false where nobody has written it.
func hashReads(d *Device, reads []stretch, most int, of func(d *Device, slot, off, n int) []byte) (sum, bool) {
	h := sha256.New()
	for _, t := range reads {
		if t.n > most {
			continue
		}
		mem, off, _ := d.Find(t.at)
		if mem.written != nil && !mem.hasAll(int(off), t.n) {
			return sum{}, false
		}
		for at, end := int(off), int(off)+t.n; at < end; {
			n := min(end-at, pageBytes-at&(pageBytes-1))
			h.Write(of(d, slotOf(t.at), at, n))
			at += n
		}
	}
	return sum(h.Sum(nil)), true
}

// remember keeps what the launch did, if it was recorded.
func (l *launch) remember() {
	r := l.recording
	if r == nil {
		return
	}
	numbers := make([]uint64, 0, len(l.table.pages))
	for n := range l.table.pages {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	s := &sameReads{results: map[sum]*effect{}, short: map[sum]bool{}}
	for _, n := range numbers {
		slot := slotOf(n << pageShift)
		if last := len(s.buffers) - 1; last < 0 || s.buffers[last].slot != slot {
			s.buffers = append(s.buffers, touchedBuffer{slot, len(l.Device.slots[slot].Data)})
		}
	}
	s.reads = stretches(numbers, func(n uint64) *pageBits { return &l.table.pages[n].read })
	short, ok := hashReads(l.Device, s.reads, shortBytes, r.before)
	all, known := hashReads(l.Device, s.reads, 1<<62, r.before)
	if !ok || !known {
		return
	}
	e := &effect{wrote: stretches(numbers, func(n uint64) *pageBits { return &l.table.pages[n].wrote }), stats: l.stats, used: true}
	for _, t := range e.wrote {
		mem, off, _ := l.Device.Find(t.at)
		e.data = append(e.data, mem.Data[off:][:t.n]...)
	}
	l.Memo.add(r.key, s, short, all, e)
}

// add keeps what a launch did.
func (m *Memo) add(key sum, s *sameReads, short, all sum, e *effect) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ran == nil {
		m.ran = map[sum]*sameLaunches{}
	}
	same := m.ran[key]
	if same == nil {
		same = &sameLaunches{}
		m.ran[key] = same
	}
	at := slices.IndexFunc(same.list, func(o *sameReads) bool { return slices.Equal(o.reads, s.reads) && slices.Equal(o.buffers, s.buffers) })
	if at < 0 {
		if len(same.list) == mostReads {
			return
		}
		at = len(same.list)
		same.list = append(same.list, s)
	}
	same.last, m.fresh = at, true
	same.list[at].short[short], same.list[at].results[all] = true, e
}

// stretches joins the bytes of pages, in the order of their addresses.
func stretches(numbers []uint64, of func(number uint64) *pageBits) (list []stretch) {
	for _, number := range numbers {
		for line, x := range of(number) {
			for x != 0 {
				first := bits.TrailingZeros64(x)
				n := bits.TrailingZeros64(^(x >> first))
				at := number<<pageShift + uint64(line*64+first)
				if x &^= ^uint64(0) >> (64 - n) << first; len(list) > 0 {
					if last := &list[len(list)-1]; last.at+uint64(last.n) == at && last.at>>window == at>>window {
						last.n += n
						continue
					}
				}
				list = append(list, stretch{at, n})
			}
		}
	}
	return list
}
