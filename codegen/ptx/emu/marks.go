package emu

import "math/bits"

// Atomic and strong stores race with plain accesses of other warps of their block that nothing orders: barriers, or a
// release and an acquire. Of each word the last such stores of two warps are kept, and the clocks of the warps.

// mark is the last strong store to a word.
type mark struct {
	clock uint32
	who   uint32
}

// by is the warp.
func (m mark) by() int { return int(m.who&1023) / warpSize }

// markPage is the last mark of each word, and the last one of another warp.
type markPage [pageBytes / 4][2]mark

// markStrong notes a strong store, and stops at a plain access of another warp that it races with.
func (w *warp) markStrong(address uint64, n int, lane int) {
	number, at := address>>pageShift, address&(pageBytes-1)
	line, touched := at>>6, (uint64(1)<<n-1)<<(at&63)
	me := whoOf(w.pc, w.thread(lane))
	for _, o := range w.warps {
		p := o.log.pages[number]
		if o == w || p == nil || p.turn != o.vc[o.index] || p.turn <= w.vc[o.index] {
			continue
		}
		if both := p.turnW[line] & touched; both != 0 {
			i := int(line)*64 + bits.TrailingZeros64(both)
			w.found(w.launch.race(w.block, number, i, me, true, w.block.index, p.writes.writers[i/4], true))
		} else if both := p.turnR[line] & touched; both != 0 {
			i := int(line)*64 + bits.TrailingZeros64(both)
			w.found(w.launch.race(w.block, number, i, me, true, w.block.index, p.readers[i/4], false))
		}
	}
	m := w.marks[number]
	if m == nil {
		m = &markPage{}
		w.marks[number] = m
	}
	for i := at / 4; i <= (at+uint64(n)-1)/4; i++ {
		if m[i][0].by() != w.index {
			m[i][1] = m[i][0]
		}
		m[i][0] = mark{w.vc[w.index], me}
	}
}

// checkMarks stops where a thread accesses bytes plainly that another warp has stored to strongly, and nothing orders it.
func (w *warp) checkMarks(address uint64, n int, me uint32, write bool) {
	m := w.marks[address>>pageShift]
	if m == nil {
		return
	}
	at := address & (pageBytes - 1)
	for i := at / 4; i <= (at+uint64(n)-1)/4; i++ {
		for _, last := range m[i] {
			if last.by() != w.index && last.clock > w.vc[last.by()] {
				w.found(w.launch.race(w.block, address>>pageShift, int(4*i), me, write, w.block.index, last.who, true))
				return
			}
		}
	}
}

// publish and observe order what warps of a block do: what a warp did before it published is ordered before what another
// one does after it observed.
func (w *warp) publish() {
	for i, c := range w.vc {
		w.published[i] = max(w.published[i], c)
	}
	w.vc[w.index]++
}

func (w *warp) observe() {
	for i, c := range w.published {
		w.vc[i] = max(w.vc[i], c)
	}
}
