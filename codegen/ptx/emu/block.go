package emu

import (
	"fmt"
	"math/bits"
	"strings"

	"pgc/runtime/plural"
)

// block is one block of threads: its shared memory, its warps and its barriers.
type block struct {
	*worker
	index     int // in the order x, y, z
	at        [3]int
	warps     []*warp
	barriers  [16]namedBarrier
	mbars     map[uint32]*mbarrier
	events    int      // changes that a spinning warp may wait for
	pending   *Finding // found; the other warps run on, because a race may be its cause
	log       blockLog
	marks     map[uint64]*markPage // strong stores to global memory, by page
	published map[uint64]*clocks   // by address, what release patterns published there
	fenced    bool                 // some warp has executed a fence
	observed  uint32               // the last publication of others that a strong operation of the block saw
	released  bool                 // a fence or a release operation has ordered what it did for other blocks
}

// run executes the block.
func (b *block) run() {
	quiet := 0
	for {
		before, open, blocked := b.events, 0, 0
		for _, w := range b.warps {
			if w.state == finished || w.state == stopped {
				continue
			}
			open++
			if w.state == atBarrier {
				blocked++
				continue
			}
			b.step(w)
			if w.state == spinning || w.state == atBarrier {
				blocked++
			}
			if b.launch.stopped(b.index) {
				return
			}
		}
		switch {
		case open == 0:
			return
		case blocked < open || b.events != before:
			quiet = 0
		default:
			// Twice round: a warp may have looked before another one changed what it waits for.
			if quiet++; quiet < 2 {
				break
			}
			quiet = 0
			if b.pending != nil {
				return
			}
			if b.waitsForOthers() && b.launch.yield(b) {
				break
			}
			b.pending = b.deadlock()
			return
		}
	}
}

// step runs a warp and keeps what it finds.
func (b *block) step(w *warp) {
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(*Finding)
			if !ok {
				panic(r)
			}
			w.state = stopped
			b.found(f)
		}
	}()
	w.run()
}

// found keeps the finding that explains most: a race outdoes what unwritten data or a missing wait looks like.
func (b *block) found(f *Finding) {
	if b.pending == nil || f.Kind == Race && b.pending.Kind == Uninitialized {
		b.pending = f
	}
}

// waitsForOthers reports whether a warp looks for a change in global memory, which another block may make.
func (b *block) waitsForOthers() bool {
	for _, w := range b.warps {
		if w.state == spinning && w.watch.global {
			return true
		}
	}
	return false
}

// deadlock says who waits for what.
func (b *block) deadlock() *Finding {
	var parts []string
	var first *warp
	done := 0
	for _, w := range b.warps {
		switch w.state {
		case finished:
			done++
		case atBarrier, spinning:
			if first == nil {
				first = w
			}
		}
	}
	for i := range b.barriers {
		if bar := &b.barriers[i]; bar.arrived > 0 {
			parts = append(parts, fmt.Sprintf("barrier %d, phase %d, has %d of %d threads", i, bar.phase, bar.arrived, bar.expected))
		}
	}
	for _, w := range b.warps {
		if w.state == spinning && w.watch.mbar != 0 {
			if m := b.mbars[w.watch.mbar]; m != nil {
				text := fmt.Sprintf("mbarrier at %#x, phase %d, lacks %d of %d arrivals", w.watch.mbar, m.phase, m.pending, m.expected)
				if m.bytes != 0 {
					text += " and " + plural.Of(int(m.bytes), "byte")
				}
				if len(parts) == 0 || parts[len(parts)-1] != text {
					parts = append(parts, text)
				}
			}
		} else if w.state == spinning {
			parts = append(parts, fmt.Sprintf("warp %d waits for a change at address %#x that nobody makes", w.index, w.watch.address))
		}
	}
	text := fmt.Sprintf("%d of %s wait for ever: %s", len(b.warps)-done, plural.Of(len(b.warps), "warp"), strings.Join(parts, "; "))
	if done > 0 {
		text += fmt.Sprintf("; ended: %s", plural.Of(done, "warp"))
	}
	code := b.program.code
	at := first.groups[0].pc
	if first.state == atBarrier {
		at--
	} else {
		at = first.watch.pc
	}
	return &Finding{Kind: Deadlock, Pos: code[at].pos, Entry: b.program.fn.name, Block: b.at, Thread: first.thread(bits.TrailingZeros32(first.alive)), Text: text}
}

// reset prepares the block to be the one of an index.
func (b *block) reset(index int) {
	g := b.launch.Grid
	b.index, b.at = index, [3]int{index % g[0], index / g[0] % g[1], index / g[0] / g[1]}
	b.events, b.pending, b.began, b.observed = 0, nil, b.executed, 0
	clear(b.mbars)
	clear(b.marks)
	clear(b.published)
	b.fenced, b.released = false, false
	b.barriers = [16]namedBarrier{}
	b.shared.reset()
	b.log.reset()
	for _, w := range b.warps {
		w.reset()
	}
}

// reset prepares a warp to run from the beginning.
func (w *warp) reset() {
	w.state, w.alive = ready, w.all
	w.groups = append(w.groups[:0], group{mask: w.all})
	w.poisoned = len(w.program.unwritten) > 0
	clear(w.poison)
	clear(w.lost)
	clear(w.unknown[:w.program.slots])
	for _, r := range w.program.unwritten {
		w.unknown[r] = everyone
	}
	for i := range w.vc {
		w.vc[i] = w.clock
	}
	w.vc[w.index]++
	w.fences = fences{}
	w.copies.reset()
	w.log.reset()
	w.watch = spinWatch{}
	clear(w.jumps)
	clear(w.localSet)
	w.blockSpecials()
}
