package emu

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"sync"
)

// Races in global memory are found from logs. While a warp runs it notes in pages of its own, a bit a byte, what it
// reads and writes. Where a barrier of all warps completes, the pages that they wrote since the last one are compared; what
// orders some of them only is in spans.go.
// Where a block ends, its pages are compared with what earlier blocks left in the launch's table, and added to it.
//
// Blocks are ordered by fences and strong operations (atomics, volatile, acquire and release): what lies before a fence
// is published by the next strong write of the block, at its address; who reads strongly there observes it, and all that
// was published before; what it does behind a fence, or an acquire operation, is ordered behind. That is more generous than
// the memory model where two pairs of blocks use two flags; it never accuses what the model allows.

// warpLog is what a warp did in global memory since the last fold.
type warpLog struct {
	pages   pageSet
	cache   [64]*page
	touched []*page // in this span
	wrote   []*page // of those
	spans   []*span // that ended before, and that other warps may not know of
}

func (l *warpLog) reset() {
	clear(l.pages)
	clear(l.cache[:])
	l.touched, l.wrote = l.touched[:0], l.wrote[:0]
	clear(l.spans)
	l.spans = l.spans[:0]
}

// page returns the page of an address.
func (w *warp) page(address uint64) *page {
	number := address >> pageShift
	p := w.log.cache[number&63]
	if p == nil || p.number != number {
		if w.log.pages == nil {
			w.log.pages = pageSet{}
		}
		if p = w.log.pages[number]; p == nil {
			p = newPage(number)
			p.epoch = w.epoch
			w.log.touched = append(w.log.touched, p)
			w.log.pages[number] = p
		}
		w.log.cache[number&63] = p
	}
	if p.epoch != w.epoch {
		p.oldR.or(&p.r)
		p.oldW.or(&p.w)
		p.r, p.w, p.epoch = pageBits{}, pageBits{}, w.epoch
		w.log.touched = append(w.log.touched, p)
		p.pastR, p.pastW = pageBits{}, pageBits{}
	}
	if now := w.vc[w.index]; p.turn != now {
		p.turn, p.turnR, p.turnW, p.many = now, pageBits{}, pageBits{}, pageBits{}
	}
	return p
}

// noteRead notes that a thread reads n bytes, which are aligned and lie in one line of 64.
func (w *warp) noteRead(address uint64, n int, lane int) {
	me := whoOf(w.pc, w.thread(lane))
	if len(w.marks) > 0 {
		w.checkMarks(address, n, me, false)
	}
	w.noteInPage(w.page(address), address&(pageBytes-1), n, me)
}

// noteInPage is noteRead at a place in a page.
func (w *warp) noteInPage(p *page, at uint64, n int, me uint32) {
	line, touched := at>>6, (uint64(1)<<n-1)<<(at&63)
	if p.turnW[line]&touched != 0 {
		w.ownWrites(p, line, touched, nil, me)
	}
	if again := p.turnR[line] & touched &^ p.many[line]; again != 0 {
		for ; again != 0; again &= again - 1 {
			if i := line*64 + uint64(bits.TrailingZeros64(again)); p.readers[i/4]&1023 != me&1023 {
				p.many[line] |= again & -again
			}
		}
	}
	p.turnR[line] |= touched
	p.r[line] |= touched
	for i := at / 4; i <= (at+uint64(n)-1)/4; i++ {
		p.readers[i] = me
	}
}

// ownWrites stops where a thread touches bytes that another one of its warp wrote since the last barrier of the warp.
// Data is what the thread writes, or nil where it reads.
func (w *warp) ownWrites(p *page, line, touched uint64, data []byte, me uint32) {
	first := line*64 + uint64(bits.TrailingZeros64(touched))
	for both := p.turnW[line] & touched; both != 0; both &= both - 1 {
		i := line*64 + uint64(bits.TrailingZeros64(both))
		by := p.writes.writers[i/4]
		if data != nil && by>>10 == me>>10 && alike(data, p.writes.data[first:first+uint64(len(data))]) {
			return
		}
		if by&1023 != me&1023 && (data == nil || data[i-first] != p.writes.data[i]) {
			w.found(w.launch.race(w.block, p.number, int(i), me, data != nil, w.block.index, by, true))
			return
		}
	}
}

// ownReads stops where a thread writes bytes that another one of its warp read since the last barrier of the warp, unless
// it writes what is there.
func (w *warp) ownReads(p *page, line, touched uint64, data, there []byte, me uint32) {
	first := line*64 + uint64(bits.TrailingZeros64(touched))
	for both := p.turnR[line] & touched; both != 0; both &= both - 1 {
		i := line*64 + uint64(bits.TrailingZeros64(both))
		by := p.readers[i/4]
		if data[i-first] != there[i-first] && (by&1023 != me&1023 || p.many[line]&(both&-both) != 0) {
			w.found(w.launch.race(w.block, p.number, int(i), me, true, w.block.index, by, false))
			return
		}
	}
}

// noteWrite notes that a thread writes bytes where there are others.
func (w *warp) noteWrite(address uint64, data, there []byte, lane int) {
	p := w.page(address)
	at, n := address&(pageBytes-1), len(data)
	line, touched := at>>6, (uint64(1)<<n-1)<<(at&63)
	w.wrote(p)
	p.w[line] |= touched
	writes := p.write()
	me := whoOf(w.pc, w.thread(lane))
	if len(w.marks) > 0 {
		w.checkMarks(address, n, me, true)
	}
	if p.turnW[line]&touched != 0 {
		w.ownWrites(p, line, touched, data, me)
	}
	if p.turnR[line]&touched != 0 {
		w.ownReads(p, line, touched, data, there, me)
	}
	p.turnW[line] |= touched
	for i := at / 4; i <= (at+uint64(n)-1)/4; i++ {
		writes.writers[i] = me
	}
	copy(writes.data[at:], data)
}

// wrote lists a page that is written from now on.
func (w *warp) wrote(p *page) {
	if p.w == (pageBits{}) && p.pastW == (pageBits{}) {
		w.log.wrote = append(w.log.wrote, p)
	}
}

// closeLogs compares what warps did in the interval that a barrier ends.
func (b *block) closeLogs() {
	for _, w := range b.warps {
		for _, p := range w.log.wrote {
			wrote := p.w
			wrote.or(&p.pastW)
			for _, o := range b.warps {
				q := o.log.pages[p.number]
				if o == w || q == nil || q.epoch != o.epoch {
					continue
				}
				both := q.r
				both.or(&q.pastR)
				if at := wrote.meet(&both); at >= 0 {
					b.raced(p.number, at, p.writes.writers[at/4], true, q.readers[at/4], false)
				}
				if o.index < w.index && q.writes != nil {
					both = q.w
					both.or(&q.pastW)
					if at := conflict(&wrote, &both, &p.writes.data, &q.writes.data); at >= 0 {
						b.raced(p.number, at, p.writes.writers[at/4], true, q.writes.writers[at/4], true)
					}
				}
			}
		}
	}
}

// conflict returns the first byte that both wrote, unless they wrote the same value everywhere.
func conflict(p, q *pageBits, x, y *[pageBytes]byte) int {
	for i := range p {
		for both := p[i] & q[i]; both != 0; both &= both - 1 {
			if at := i*64 + bits.TrailingZeros64(both); x[at] != y[at] {
				return at
			}
		}
	}
	return -1
}

// raced keeps the finding of a race between two threads of a block.
func (b *block) raced(number uint64, at int, mine uint32, write bool, other uint32, otherWrite bool) {
	if mine&1023 < other&1023 {
		mine, write, other, otherWrite = other, otherWrite, mine, write
	}
	b.found(b.launch.race(b, number, at, mine, write, b.index, other, otherWrite))
}

// race is the finding of a race in global memory.
func (l *launch) race(b *block, number uint64, at int, mine uint32, write bool, otherBlock int, other uint32, otherWrite bool) *Finding {
	code, g := l.program.code, l.Grid
	address := number<<pageShift + uint64(at)
	verb, ordered := "reads", "no barrier orders them"
	if write {
		verb = "writes"
	}
	if otherBlock != b.index {
		ordered = "nothing orders the two blocks"
	}
	name := "global memory"
	off := int64(address & (1<<window - 1))
	if m, o, ok := l.Device.Find(address); ok {
		name, off = m.label(), o
	}
	return &Finding{Kind: Race, Pos: code[mine>>10].pos, Entry: l.program.fn.name, Block: b.at, Thread: int(mine & 1023), byte: address,
		Text: verb + " byte " + strconv.FormatInt(off, 10) + " of " + name + " and " + ordered,
		Other: &Access{Pos: code[other>>10].pos, Block: [3]int{otherBlock % g[0], otherBlock / g[0] % g[1], otherBlock / g[0] / g[1]},
			Thread: int(other & 1023), Write: otherWrite}}
}

// segment is what a block did while it had seen the same publications of others.
type segment struct {
	acquired     uint32
	open, fenced pageSet
}

// freeSegments is segments that are free: their sets are empty.
var freeSegments = sync.Pool{New: func() any { return &segment{open: pageSet{}, fenced: pageSet{}} }}

func newSegment() *segment {
	s := freeSegments.Get().(*segment)
	s.acquired = 0
	return s
}

// blockLog is what a block did, as far as its warps' logs were folded into it.
type blockLog struct{ segments []*segment }

func (l *blockLog) reset() { l.segments = []*segment{newSegment()} }

func (l *blockLog) last() *segment { return l.segments[len(l.segments)-1] }

// fold moves what the warps did into the block's log. A fence of one warp takes all that it did, and what the others did
// before the last barrier.
func (b *block) fold(fence *warp) {
	seg := b.log.last()
	to := seg.open
	if fence != nil {
		to = seg.fenced
		for _, s := range b.log.segments {
			for _, p := range s.open {
				s.fenced.add(p, false, 0)
				p.free()
			}
			clear(s.open)
		}
	}
	for _, w := range b.warps {
		others := fence != nil && w != fence
		for number, p := range w.log.pages {
			if p.epoch != w.epoch {
				if to[number] == nil {
					p.r.or(&p.oldR)
					p.w.or(&p.oldW)
					to[number] = p
				} else {
					to.add(p, others, w.epoch)
					p.free()
				}
				delete(w.log.pages, number)
				if w.log.cache[number&63] == p {
					w.log.cache[number&63] = nil
				}
				continue
			}
			to.add(p, others, w.epoch) // the page stays: other warps of the block may touch it in this interval
			p.oldR, p.oldW = pageBits{}, pageBits{}
			if !others {
				p.pastR.or(&p.r)
				p.pastW.or(&p.w)
				p.r, p.w = pageBits{}, pageBits{}
			}
		}
	}
}

// noteForBlocks notes a strong write that only threads of its block may take for one: to others it is a plain one.
func (w *warp) noteForBlocks(address uint64, data []byte, lane int) {
	p := newPage(address >> pageShift)
	at, n := address&(pageBytes-1), len(data)
	p.w[at>>6] = (1<<n - 1) << (at & 63)
	writes := p.write()
	for i := at / 4; i <= (at+uint64(n)-1)/4; i++ {
		writes.writers[i] = whoOf(w.pc, w.thread(lane))
	}
	copy(writes.data[at:], data)
	w.block.log.last().open.add(p, false, 0)
	p.free()
}

// acquire orders what the block has observed before what it does from now on.
func (b *block) acquire() {
	seg := b.log.last()
	if b.observed <= seg.acquired {
		return
	}
	b.fold(nil)
	if len(seg.open) > 0 || len(seg.fenced) > 0 {
		seg = newSegment()
		b.log.segments = append(b.log.segments, seg)
	}
	seg.acquired = b.observed
}

// read and write move little-endian values of 1 to 8 bytes.
func read(b []byte) uint64 {
	switch len(b) {
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	case 8:
		return binary.LittleEndian.Uint64(b)
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	}
	return uint64(b[0])
}

func write(b []byte, v uint64) {
	switch len(b) {
	case 4:
		binary.LittleEndian.PutUint32(b, uint32(v))
	case 8:
		binary.LittleEndian.PutUint64(b, v)
	case 2:
		binary.LittleEndian.PutUint16(b, uint16(v))
	default:
		b[0] = byte(v)
	}
}
