package emu

import (
	"math/bits"
	"slices"
)

// Atomic and strong stores race with plain accesses of other threads of their block that nothing orders: barriers, or a
// release and an acquire. Of each word the last such stores of two warps are kept, and the clocks of the warps.

// mark is the last strong store to a word.
type mark struct {
	clock uint32
	who   uint32
	bytes uint8 // a bit for each
}

// by is the warp.
func (m mark) by() int { return int(m.who&1023) / warpSize }

// markPage is the last mark of each word, and the last one of another warp.
type markPage [pageBytes / 4][2]mark

// markStrong notes a strong store, and stops at a plain access of another thread that it races with.
func (w *warp) markStrong(address uint64, n int, lane int) {
	w.meetPlain(address, n, lane, true)
	number, at := address>>pageShift, address&(pageBytes-1)
	m := w.marks[number]
	if m == nil {
		m = &markPage{}
		w.marks[number] = m
	}
	for i := at / 4; i <= (at+uint64(n)-1)/4; i++ {
		if m[i][0].by() != w.index {
			m[i][1] = m[i][0]
		}
		m[i][0] = mark{w.vc[w.index], whoOf(w.pc, w.thread(lane)), wordBytes(at, n, i)}
	}
}

// wordBytes is which bytes of word i an access to n bytes touches, a bit each.
func wordBytes(at uint64, n int, i uint64) uint8 {
	if n >= 4 {
		return 15
	}
	return (1<<n - 1) << (at - 4*i)
}

// meetPlain stops where a strong access meets a plain one of another thread of the block, and one of them writes.
func (w *warp) meetPlain(address uint64, n int, lane int, write bool) {
	number, at := address>>pageShift, address&(pageBytes-1)
	line, touched := at>>6, (uint64(1)<<n-1)<<(at&63)
	me := whoOf(w.pc, w.thread(lane))
	meet := func(p *page, plain uint64, by *who, wrote bool) {
		for both := plain & touched; both != 0; both &= both - 1 {
			i := int(line)*64 + bits.TrailingZeros64(both)
			if by[i/4]&1023 != me&1023 || !wrote && p.many[line]&(both&-both) != 0 {
				w.found(w.launch.race(w.block, number, i, me, write, w.block.index, by[i/4], wrote))
				return
			}
		}
	}
	both := func(p *page, wrote, read uint64) {
		if wrote&touched != 0 {
			meet(p, wrote, &p.writes.writers, true)
		}
		if write {
			meet(p, read, &p.readers, false)
		}
	}
	for _, o := range w.warps {
		p := o.log.pages[number]
		if o == w {
			if p != nil && p.turn >= w.vc[w.index] {
				both(p, p.turnW[line], p.turnR[line])
			}
			continue
		}
		if p != nil && p.epoch == o.epoch {
			both(p, p.w[line]|p.pastW[line], p.r[line]|p.pastR[line])
		}
		for _, s := range slices.Backward(o.log.spans) {
			if s.clock <= w.vc[o.index] {
				break
			}
			if q := s.pages[number]; q != nil {
				both(q, q.w[line], q.r[line])
			}
		}
	}
}

// checkMarks stops where a thread accesses bytes plainly that another one has stored to strongly, and nothing orders it.
func (w *warp) checkMarks(address uint64, n int, me uint32, write bool) {
	m := w.marks[address>>pageShift]
	if m == nil {
		return
	}
	at := address & (pageBytes - 1)
	for i := at / 4; i <= (at+uint64(n)-1)/4; i++ {
		for _, last := range m[i] {
			known := w.vc[last.by()]
			if last.by() == w.index {
				if last.who&1023 == me&1023 {
					continue
				}
				known-- // of its own clock the warp knows no more than each thread does of itself
			}
			if both := last.bytes & wordBytes(at, n, i); both != 0 && last.clock > known {
				w.found(w.launch.race(w.block, address>>pageShift, int(4*i)+bits.TrailingZeros8(both), me, write, w.block.index, last.who, true))
				return
			}
		}
	}
}
