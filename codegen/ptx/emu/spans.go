package emu

import "slices"

// What a warp does in global memory is cut into spans: it learns nothing within one, and others learn of it only at the
// end. A barrier of all warps ends all spans at once, and what lies before is compared and forgotten (closeInterval). Other
// edges, of barriers of some warps, mbarriers and fences, order only the warps that they join. So spans that such an edge
// ends are kept, and compared with spans of other warps that do not know of them.

// span is what a warp did up to a clock of its own, by page.
type span struct {
	clock uint32
	pages pageSet
	wrote []*page
}

// mostSpans is how many spans a warp keeps. Beyond, the two oldest become one, with the clock of the older: that finds less, and
// accuses nobody of what the memory model allows.
const mostSpans = 64

// endSpan ends a warp's span, before it learns something or others learn of it.
func (w *warp) endSpan() {
	if w.launch.NoRaces || len(w.log.touched) == 0 {
		return
	}
	if len(w.warps) > 1 {
		w.keepSpan()
	}
	w.nextSpan()
}

// nextSpan begins a span.
func (w *warp) nextSpan() {
	w.log.touched, w.log.wrote = w.log.touched[:0], w.log.wrote[:0]
	w.epoch++
}

// keepSpan compares what the warp did in the span with those of other warps that it does not know of, and keeps it.
func (w *warp) keepSpan() {
	s := &span{clock: w.vc[w.index], pages: make(pageSet, len(w.log.touched))}
	if w.state == atBarrier {
		s.clock-- // when it arrived
	}
	for _, p := range w.log.touched {
		q := newPage(p.number)
		q.r, q.w, q.readers = p.r, p.w, p.readers
		q.r.or(&p.pastR)
		q.w.or(&p.pastW)
		if q.w != (pageBits{}) {
			*q.write() = *p.writes
			s.wrote = append(s.wrote, q)
		}
		s.pages[q.number] = q
	}
	w.log.touched = w.log.touched[:0]
	for _, o := range w.warps {
		if o == w {
			continue
		}
		for _, t := range slices.Backward(o.log.spans) {
			if t.clock <= w.vc[o.index] {
				break
			}
			w.block.compareSpans(s, t)
		}
	}
	w.log.spans = append(w.log.spans, s)
	w.forgetSpans()
}

// forgetSpans drops the spans that all other warps know of, and keeps the others few.
func (w *warp) forgetSpans() {
	known := ^uint32(0)
	for _, o := range w.warps {
		if o != w && (o.state != finished || len(o.log.touched) > 0) {
			known = min(known, o.vc[w.index])
		}
	}
	list := w.log.spans
	for len(list) > 0 && list[0].clock <= known {
		list = list[1:]
	}
	if len(list) > mostSpans {
		list[0].add(list[1])
		list = slices.Delete(list, 1, 2)
	}
	w.log.spans = list
}

// add joins a later span to one.
func (s *span) add(t *span) {
	for _, p := range t.pages {
		s.pages.add(p, false, 0)
	}
	s.wrote = s.wrote[:0]
	for _, p := range s.pages.sorted() {
		if p.writes != nil {
			s.wrote = append(s.wrote, p)
		}
	}
}

// compareSpans keeps the finding of a race between two spans that nothing orders.
func (b *block) compareSpans(s, t *span) {
	for _, p := range s.wrote {
		if q := t.pages[p.number]; q != nil {
			b.comparePages(p, q)
		}
	}
	for _, q := range t.wrote {
		if p := s.pages[q.number]; p != nil && p.writes == nil {
			b.comparePages(q, p)
		}
	}
}

// comparePages keeps the finding of a race between two warps of which the first wrote to a page.
func (b *block) comparePages(p, q *page) {
	if at := p.w.meet(&q.r); at >= 0 {
		b.raced(p.number, at, p.writes.writers[at/4], true, q.readers[at/4], false)
	}
	if q.writes == nil {
		return
	}
	if at := q.w.meet(&p.r); at >= 0 {
		b.raced(p.number, at, q.writes.writers[at/4], true, p.readers[at/4], false)
	}
	if at := conflict(&p.w, &q.w, &p.writes.data, &q.writes.data); at >= 0 {
		b.raced(p.number, at, p.writes.writers[at/4], true, q.writes.writers[at/4], true)
	}
}

// closeInterval compares what all warps did up to now, which comes before all that any does from now on.
func (b *block) closeInterval() {
	b.interval++
	if b.launch.NoRaces {
		return
	}
	kept := false
	for _, w := range b.warps {
		kept = kept || len(w.log.spans) > 0
	}
	if !kept {
		b.closeLogs()
	}
	for _, w := range b.warps {
		if kept {
			w.endSpan()
		}
		w.nextSpan()
	}
	for _, w := range b.warps {
		clear(w.log.spans)
		w.log.spans = w.log.spans[:0]
	}
}
