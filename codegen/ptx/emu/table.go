package emu

import "math/bits"

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

// tablePage is what is known of 512 bytes.
type tablePage struct {
	reads, writes    []record
	readers, writers *[pageBytes / 4]blockWho
	data             *[pageBytes]byte // written last
	strong           *[pageBytes / 4]strongMark
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
		p = &tablePage{}
		t.pages[number] = p
	}
	return p
}

// insert compares pages of a block with those in the table and adds them. It returns the first race.
func (l *launch) insert(b *block, pages pageSet, acquired, sequence uint32) (found *Finding) {
	t := &l.table
	for _, p := range pages.sorted() {
		q := t.page(p.number)
		if found == nil {
			found = l.compare(b, p, q, acquired)
		}
		if p.r != (pageBits{}) {
			q.reads = remember(q.reads, record{b.index, sequence, p.r})
			if q.readers == nil {
				q.readers = new([pageBytes / 4]blockWho)
			}
			each4(&p.r, func(i int) { q.readers[i] = blockWho{int32(b.index), p.readers[i]} })
		}
		if p.w != (pageBits{}) {
			q.writes = remember(q.writes, record{b.index, sequence, p.w})
			if q.writers == nil {
				q.writers, q.data = new([pageBytes / 4]blockWho), new([pageBytes]byte)
			}
			each4(&p.w, func(i int) { q.writers[i] = blockWho{int32(b.index), p.writes.writers[i]} })
			copyBytes(&p.w, q.data, &p.writes.data)
		}
	}
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
			by := q.writers[at/4]
			return l.race(b, p.number, at, p.readers[at/4], false, int(by.block), by.who, true)
		}
		if p.writes == nil {
			continue
		}
		if at := conflict(&p.w, &o.bits, &p.writes.data, q.data); at >= 0 {
			by := q.writers[at/4]
			return l.race(b, p.number, at, p.writes.writers[at/4], true, int(by.block), by.who, true)
		}
	}
	for i := range q.reads {
		o := &q.reads[i]
		if o.block == b.index || o.sequence <= acquired {
			continue
		}
		if at := p.w.meet(&o.bits); at >= 0 {
			by := q.readers[at/4]
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
			by := q.writers[at/4]
			return l.race(b, address>>pageShift, at, me, write, int(by.block), by.who, true)
		}
	}
	if !write {
		return nil
	}
	for i := range q.reads {
		o := &q.reads[i]
		if o.block != b.index && o.sequence > acquired && o.bits.meet(&bits) >= 0 {
			by := q.readers[at/4]
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
