package emu

import (
	"math/bits"
	"slices"
	"sync"
)

const (
	pageBytes = 512
	pageShift = 9
	// never is the number of what no fence and no strong operation published.
	never = ^uint32(0)
)

// pageBits has a bit for every byte of a page.
type pageBits [8]uint64

func (p *pageBits) or(q *pageBits) {
	for i := range p {
		p[i] |= q[i]
	}
}

// meet returns the index of the first byte in both, or -1.
func (p *pageBits) meet(q *pageBits) int {
	for i := range p {
		if x := p[i] & q[i]; x != 0 {
			return i*64 + bits.TrailingZeros64(x)
		}
	}
	return -1
}

// who is the last access to each word of a page: pc<<10 | thread.
type who [pageBytes / 4]uint32

func whoOf(pc int32, thread int) uint32 { return uint32(pc)<<10 | uint32(thread) }

// page is what a warp did in 512 bytes: in this interval between barriers, and before.
type page struct {
	number uint64
	epoch  int    // the warp's span
	turn   uint32 // the warp's clock since which turnR and turnW count
	touches
	readers who
	writes  *pageWrites
	spare   *pageWrites // of an earlier use of this memory
}

// touches is which bytes of a page a warp touched.
type touches struct {
	r, w         pageBits // in this span, unless
	pastR, pastW pageBits // the block's log has it already
	oldR, oldW   pageBits // before
	turnR, turnW pageBits // since the warp's last barrier
	many         pageBits // of turnR, what several threads of it read
	unlogged     pageBits // of a launch that is recorded, what it read that is not in r: it races with nobody
}

// pageWrites is kept for pages that are written.
type pageWrites struct {
	writers who
	data    [pageBytes]byte
}

// freePages is pages that are free. What a page says of words that are not among its touches is of earlier uses.
var freePages = sync.Pool{New: func() any { return new(page) }}

func newPage(number uint64) *page {
	p := freePages.Get().(*page)
	p.number, p.epoch, p.turn, p.touches = number, 0, 0, touches{}
	if p.writes != nil {
		p.spare, p.writes = p.writes, nil
	}
	return p
}

func (p *page) free() { freePages.Put(p) }

// write makes a page have writes.
func (p *page) write() *pageWrites {
	if p.writes == nil {
		if p.writes = p.spare; p.writes == nil {
			p.writes = &pageWrites{}
		}
		p.spare = nil
	}
	return p.writes
}

// pageSet is pages by number.
type pageSet map[uint64]*page

// add moves a page into a set, or what lies before the interval now.
func (s pageSet) add(p *page, old bool, now int) {
	r, w := p.oldR, p.oldW
	if !old || p.epoch != now {
		r.or(&p.r)
		w.or(&p.w)
	}
	if r == (pageBits{}) && w == (pageBits{}) && p.unlogged == (pageBits{}) {
		return
	}
	q := s[p.number]
	if q == nil {
		q = newPage(p.number)
		s[p.number] = q
	}
	q.r.or(&r)
	q.w.or(&w)
	q.unlogged.or(&p.unlogged)
	copyWords(&r, &q.readers, &p.readers)
	if p.writes == nil {
		return
	}
	writes := q.write()
	copyWords(&w, &writes.writers, &p.writes.writers)
	copyBytes(&w, &writes.data, &p.writes.data)
}

// each4 calls f with the words of a page of which a byte is set.
func each4(p *pageBits, f func(i int)) {
	for i, x := range p {
		if x == ^uint64(0) {
			for j := range 16 {
				f(i*16 + j)
			}
			continue
		}
		for x != 0 {
			j := bits.TrailingZeros64(x) / 4
			f(i*16 + j)
			x &^= 15 << (4 * j)
		}
	}
}

// copyWords copies the words of a page of which a byte is set.
func copyWords(p *pageBits, to, from *who) {
	for i, x := range p {
		t, f := to[i*16:][:16], from[i*16:][:16]
		if x == ^uint64(0) {
			copy(t, f)
			continue
		}
		for x != 0 {
			j := bits.TrailingZeros64(x) / 4 & 15
			t[j] = f[j]
			x &^= 15 << (4 * j)
		}
	}
}

// copyBytes copies the bytes of a page that are set.
func copyBytes(p *pageBits, to, from *[pageBytes]byte) {
	for i, x := range p {
		if x == ^uint64(0) {
			copy(to[i*64:i*64+64], from[i*64:i*64+64])
			continue
		}
		for ; x != 0; x &= x - 1 {
			j := i*64 + bits.TrailingZeros64(x)
			to[j&(pageBytes-1)] = from[j&(pageBytes-1)]
		}
	}
}

// sorted returns the pages by number.
func (s pageSet) sorted() []*page {
	out := make([]*page, 0, len(s))
	for _, p := range s {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *page) int {
		switch {
		case a.number < b.number:
			return -1
		case a.number > b.number:
			return 1
		}
		return 0
	})
	return out
}
