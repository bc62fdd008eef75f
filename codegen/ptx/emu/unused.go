package emu

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// Compilers let all threads load what only some of them go on to use: a scalar, or an element that several threads hold
// copies of. Such a load races with nobody in threads that throw the value away. So a load whose value only guarded
// stores use, close behind it, is noted when they take place, and one whose value nothing uses is not noted at all.

// deferred is a load that is noted by the stores which use its value.
type deferred struct {
	pc    int32
	bytes int
	index int // in warp.held
}

// held is the addresses of a deferred load, in the threads that did it last.
type held struct {
	mask uint32
	addr lanes
}

// unused finds loads from global memory whose values nothing uses, and those that only guarded stores use: between the
// load and them lies nothing that orders accesses. Registers are virtual ones still.
func (p *program) unused() {
	users := map[reg][]int32{}
	for i := range p.code {
		for _, r := range p.code[i].reads {
			users[r] = append(users[r], int32(i))
		}
	}
	p.blocks = blocksOf(p.code)
	for i := range p.code {
		in := &p.code[i]
		if !strings.HasPrefix(in.name, "ld.global") || len(in.writes) == 0 {
			continue
		}
		stores, ok := p.guardedUses(int32(i), users)
		if !ok {
			continue
		}
		if p.defers == nil {
			p.defers, p.uses = map[int32]int{}, map[int32][]int{}
		}
		n := len(p.defers)
		p.defers[int32(i)] = n
		for _, s := range stores {
			p.uses[s] = append(p.uses[s], n)
		}
	}
}

// guardedUses returns the stores that use what the instruction at pc loads. It reports false where anything else does.
func (p *program) guardedUses(pc int32, users map[reg][]int32) (stores []int32, ok bool) {
	load := &p.code[pc]
	tainted := slices.Clone(load.writes)
	for n := 0; n < len(tainted); n++ {
		for _, at := range users[tainted[n]] {
			in := &p.code[at]
			plain := in.flow == straight && in.member == none && in.guard != tainted[n]
			switch {
			case plain && in.pure && len(in.writes) > 0:
				for _, r := range in.writes {
					if !slices.Contains(tainted, r) {
						tainted = append(tainted, r)
					}
				}
			case plain && in.guard != none && strings.HasPrefix(in.name, "st.global") && p.near(pc, at):
				if !slices.Contains(stores, at) {
					stores = append(stores, at)
				}
			default:
				return nil, false
			}
			if len(tainted) > 64 {
				return nil, false
			}
		}
	}
	for _, at := range stores {
		if slices.Contains(tainted, p.code[at].guard) {
			return nil, false
		}
	}
	return stores, true
}

// near reports whether a place lies behind another one in the same basic block, without barriers and the like between.
func (p *program) near(from, to int32) bool {
	if to <= from || p.code[from].block != p.code[to].block {
		return false
	}
	for i := from; i < to; i++ {
		switch name, _, _ := strings.Cut(p.code[i].name, "."); name {
		case "bar", "barrier", "membar", "fence", "atom", "red", "mbarrier", "cp":
			return false
		}
	}
	return true
}

// deferLoads makes loads keep their addresses, and stores note the loads whose values they use.
func (p *program) deferLoads() {
	for pc, n := range p.defers {
		in := &p.code[pc]
		run := in.run
		in.run = func(w *warp, m uint32) {
			run(w, m)
			w.held[n].mask, w.held[n].addr = m, w.addr
		}
	}
	for pc, list := range p.uses {
		in := &p.code[pc]
		run := in.run
		var loads []deferred
		for _, n := range list {
			for at, i := range p.defers {
				if i == n {
					loads = append(loads, deferred{at, p.code[at].bytes, n})
				}
			}
		}
		in.run = func(w *warp, m uint32) {
			for _, d := range loads {
				w.noteHeld(d, m)
			}
			run(w, m)
		}
	}
}

// noteHeld notes a deferred load of the threads of m.
func (w *warp) noteHeld(d deferred, m uint32) {
	if w.launch.NoRaces {
		return
	}
	h, pc := &w.held[d.index], w.pc
	w.pc = d.pc
	m &= h.mask
	eachLane(m, func(lane int) {
		if mem := w.launch.Device.slots[h.addr[lane]>>window-1]; mem == nil || mem.readOnly {
			m &^= 1 << lane
		}
	})
	w.noteReads(&h.addr, m, d.bytes)
	w.pc = pc
}

// roughly is the difference between float32 numbers, relative to the larger one, up to which threads that store them to
// one place by one instruction are taken for copies of a result: what shuffles add up differs in rounding.
const roughly = 1.0 / (1 << 12)

// alike reports whether bytes are float32 numbers that are nearly equal.
func alike(a, b []byte) bool {
	if len(a) != len(b) || len(a) == 0 || len(a)%4 != 0 {
		return false
	}
	for i := 0; i < len(a); i += 4 {
		x, y := math.Float32frombits(binary.LittleEndian.Uint32(a[i:])), math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))
		u, v := math.Abs(float64(x)), math.Abs(float64(y))
		if !(math.Abs(float64(x)-float64(y)) <= roughly*max(u, v)) || max(u, v) < 1e-30 { // small integers look like tiny numbers
			return false
		}
	}
	return true
}
