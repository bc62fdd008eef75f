package emu

import (
	"math/bits"
	"sync"
)

// table is what the blocks of a launch did in global memory: of those that have ended, and what others published. The
// launch's lock guards it.
type table struct {
	pages     map[uint64]*tablePage
	sequence  uint32                 // of the publication last made
	published map[uint64]publication // by the address of a strong write, the last one there
}

// publication is what a block published by a strong write.
type publication struct {
	sequence uint32
	block    int
}

// tablePage is what is known of 512 bytes. Of those that one block touched, which are most, it is the block's page.
type tablePage struct {
	reads, writes []record
	room          [2]record // for the first of reads and of writes
	one           *page
	oneBlock      int32
	latest        *latest // of several blocks; nil for one
	strong        *[pageBytes / 4]strongMark
	read, wrote   pageBits // by anyone
}

// latest is the last accesses to each word of a page, and what was written last.
type latest struct {
	readers, writers [pageBytes / 4]blockWho
	data             [pageBytes]byte
}

// freeTablePages and freeLatest are those that are free.
var (
	freeTablePages = sync.Pool{New: func() any { return new(tablePage) }}
	freeLatest     = sync.Pool{New: func() any { return new(latest) }}
)

// free gives back the memory of a table that is not used any more.
func (t *table) free() {
	for _, q := range t.pages {
		if q.one != nil {
			q.one.free()
		}
		if q.latest != nil {
			freeLatest.Put(q.latest)
		}
		*q = tablePage{}
		freeTablePages.Put(q)
	}
}

// reader and writer are the last accesses to a word, data the bytes written last.
func (q *tablePage) reader(i int) blockWho {
	if q.one != nil {
		return blockWho{q.oneBlock, q.one.readers[i]}
	}
	return q.latest.readers[i]
}

func (q *tablePage) writer(i int) blockWho {
	if q.one != nil {
		return blockWho{q.oneBlock, q.one.writes.writers[i]}
	}
	return q.latest.writers[i]
}

func (q *tablePage) data() *[pageBytes]byte {
	if q.one != nil {
		return &q.one.writes.data
	}
	return &q.latest.data
}

// put takes over what a block did.
func (q *tablePage) put(p *page, block int32) {
	if q.one == nil && q.latest == nil {
		q.one, q.oneBlock = p, block
		return
	}
	if q.latest == nil {
		q.latest = freeLatest.Get().(*latest)
		q.latest.put(q.one, q.oneBlock)
		q.one.free()
		q.one = nil
	}
	q.latest.put(p, block)
	p.free()
}

func (a *latest) put(p *page, block int32) {
	putWords(&p.r, &a.readers, &p.readers, block)
	if p.w != (pageBits{}) {
		putWords(&p.w, &a.writers, &p.writes.writers, block)
		copyBytes(&p.w, &a.data, &p.writes.data)
	}
}

// putWords is copyWords to accesses of a block.
func putWords(p *pageBits, to *[pageBytes / 4]blockWho, from *who, block int32) {
	for i, x := range p {
		t, f := to[i*16:][:16], from[i*16:][:16]
		if x == ^uint64(0) {
			for j := range t {
				t[j] = blockWho{block, f[j]}
			}
			continue
		}
		for x != 0 {
			j := bits.TrailingZeros64(x) / 4 & 15
			t[j] = blockWho{block, f[j]}
			x &^= 15 << (4 * j)
		}
	}
}

// record is bytes that were touched, and from which publication on this is ordered before what others do.
type record struct {
	block    int // -1 for several
	sequence uint32
	bits     pageBits
}

// blockWho is an access by a thread of a block.
type blockWho struct {
	block int32
	who   uint32
}

// strongMark is the last atomic or strong store to a word, or to some bytes of it.
type strongMark struct {
	sequence uint32
	by       blockWho
	bytes    uint8 // a bit for each
}

// most is how many records of published accesses a page keeps. Beyond it the oldest are forgotten.
const most = 32

func (t *table) page(number uint64) *tablePage {
	p := t.pages[number]
	if p == nil {
		p = freeTablePages.Get().(*tablePage)
		p.reads, p.writes = p.room[:0:1], p.room[1:1]
		t.pages[number] = p
	}
	return p
}

// insert compares pages of a block with those in the table and moves them there. It returns the first race.
func (l *launch) insert(b *block, pages pageSet, acquired, sequence uint32) (found *Finding) {
	t, first := &l.table, uint64(0)
	for number, p := range pages {
		q := t.page(number)
		q.read.or(&p.r)
		q.read.or(&p.unlogged)
		q.wrote.or(&p.w)
		if found == nil || number < first {
			if f := l.compare(b, p, q, acquired); f != nil {
				found, first = f, number
			}
		}
		if p.r != (pageBits{}) {
			q.reads = remember(q.reads, record{b.index, sequence, p.r})
		}
		if p.w != (pageBits{}) {
			q.writes = remember(q.writes, record{b.index, sequence, p.w})
		}
		q.put(p, int32(b.index))
	}
	clear(pages)
	return found
}

// remember adds a record to a list. What nothing orders is one record, since a block adds such but once.
func remember(list []record, r record) []record {
	for i := range list {
		if o := &list[i]; o.sequence == r.sequence && (r.sequence == never || o.block == r.block) {
			if o.block != r.block {
				o.block = -1
			}
			o.bits.or(&r.bits)
			return list
		}
	}
	if len(list) >= most {
		list = list[1:]
	}
	return append(list, r)
}

// compare returns the race between what a block did in a page and what others did.
func (l *launch) compare(b *block, p *page, q *tablePage, acquired uint32) *Finding {
	for i := range q.writes {
		o := &q.writes[i]
		if o.block == b.index || o.sequence <= acquired {
			continue
		}
		if at := p.r.meet(&o.bits); at >= 0 {
			by := q.writer(at / 4)
			return l.race(b, p.number, at, p.readers[at/4], false, int(by.block), by.who, true)
		}
		if p.writes == nil {
			continue
		}
		if at := conflict(&p.w, &o.bits, &p.writes.data, q.data()); at >= 0 {
			by := q.writer(at / 4)
			return l.race(b, p.number, at, p.writes.writers[at/4], true, int(by.block), by.who, true)
		}
	}
	for i := range q.reads {
		o := &q.reads[i]
		if o.block == b.index || o.sequence <= acquired {
			continue
		}
		if at := p.w.meet(&o.bits); at >= 0 {
			by := q.reader(at / 4)
			return l.race(b, p.number, at, p.writes.writers[at/4], true, int(by.block), by.who, false)
		}
	}
	if q.strong == nil {
		return nil
	}
	var found *Finding
	against := func(bytes *pageBits, who *who, write bool) {
		each4(bytes, func(i int) {
			touched := uint8(bytes[i/16] >> (i % 16 * 4) & 15)
			if s := q.strong[i]; found == nil && s.bytes&touched != 0 && s.sequence > acquired && int(s.by.block) != b.index {
				found = l.race(b, p.number, i*4+bits.TrailingZeros8(s.bytes&touched), who[i], write, int(s.by.block), s.by.who, true)
			}
		})
	}
	against(&p.r, &p.readers, false)
	if p.writes != nil && found == nil {
		against(&p.w, &p.writes.writers, true)
	}
	return found
}

// strong notes an atomic or strong access to n bytes by a block, and returns the race with a plain access that nothing
// orders. The plain reads with which loops about compare-and-swap begin are not among the accesses of blocks.
func (l *launch) strong(b *block, w *warp, lane int, address uint64, n int, write bool, acquired uint32) *Finding {
	t := &l.table
	q := t.page(address >> pageShift)
	at := int(address & (pageBytes - 1))
	var bits pageBits
	bits[at>>6] = (1<<n - 1) << (at & 63)
	me := whoOf(w.pc, w.thread(lane))
	for i := range q.writes {
		o := &q.writes[i]
		if o.block != b.index && o.sequence > acquired && o.bits.meet(&bits) >= 0 {
			by := q.writer(at / 4)
			return l.race(b, address>>pageShift, at, me, write, int(by.block), by.who, true)
		}
	}
	if !write {
		return nil
	}
	for i := range q.reads {
		o := &q.reads[i]
		if o.block != b.index && o.sequence > acquired && o.bits.meet(&bits) >= 0 {
			by := q.reader(at / 4)
			return l.race(b, address>>pageShift, at, me, write, int(by.block), by.who, false)
		}
	}
	if q.strong == nil {
		q.strong = new([pageBytes / 4]strongMark)
	}
	for i := at / 4; i <= (at+n-1)/4; i++ {
		q.strong[i] = strongMark{t.sequence, blockWho{int32(b.index), me}, uint8(bits[i/16] >> (i % 16 * 4) & 15)}
	}
	return nil
}
