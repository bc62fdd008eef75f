package emu

import (
	"fmt"
	"math/bits"
)

const (
	warpSize = 32
	everyone = 1<<warpSize - 1
)

// lanes is a register of all threads of a warp.
type lanes = [warpSize]uint64

// group is threads of a warp that go together.
type group struct {
	pc      int32
	mask    uint32
	waiting bool // for others of the warp, at a .sync instruction
	parked  int  // it looked for a change in vain when the block had seen so many events less one
}

// warpState says whether a warp can run.
type warpState uint8

const (
	ready    warpState = iota
	spinning           // it found nothing new where it looks for a change
	atBarrier
	finished
	stopped // by a finding
)

// warp is 32 threads.
type warp struct {
	*block
	index    int
	state    warpState
	r        []*lanes // by register; constants are shared
	p        []uint32 // predicates, a bit a thread
	unknown  []uint32 // by register, the threads in which it has bits that nobody has written
	poisoned bool     // some register may be unknown
	lost     map[reg]*lanes
	poison   map[reg]*Finding
	slab     []lanes
	all      uint32      // the threads there are
	alive    uint32      // those that have not ended
	groups   []group     // the first one runs
	apart    bool        // the others wait at the beginnings of basic blocks: the first one runs on until it reaches one
	pc       int32       // being executed
	addr     lanes       // addresses of the instruction in hand
	span     addressSpan // of addr
	scoped   bool        // it is strong for its block alone
	vc       clocks
	fences   fences
	floor    uint32 // of vc, when the block had executed so many instructions
	floorAt  int64
	copies   copyQueue
	log      warpLog
	epoch    int    // the number of its span in global memory
	carry    uint32 // condition code: the carry of every thread
	watch    spinWatch
	barrier  int // that it waits at
	locals   []byte
	localSet []byte              // a byte for every byte of locals: 1 where written
	held     []held              // by the number of a deferred load
	bytes    [32]byte            // of a thread, on their way to memory
	row      [warpSize * 16]byte // of all threads
	watching bool                // whether loops are watched
	jumps    map[int32]*jump
}

// quantum is how many instructions a warp runs before others get a turn.
const quantum = 200_000

// run executes a warp until it ends, waits at a barrier, or finds nothing new where it spins.
func (w *warp) run() {
	code := w.program.code
	w.state = ready
	w.bound()
	for budget := quantum; budget > 0; budget-- {
		g := &w.groups[0]
		if code[g.pc].direct && g.mask == everyone && !w.poisoned && w.counts == nil && budget > 1 {
			budget -= w.direct(code, budget-1)
			continue
		}
		in := &code[g.pc]
		w.pc = g.pc
		w.executed++
		m := g.mask
		if w.poisoned {
			w.inspect(in, m)
		}
		if in.guard != none {
			if p := w.p[in.guard]; in.not {
				m &^= p
			} else {
				m &= p
			}
		}
		if w.counts != nil {
			w.counts.note(w.pc, m)
		}
		switch {
		case in.flow == straight:
			if in.member != none && m != 0 {
				if v := w.r[in.member]; int(in.member) < w.program.slots && !uniform(v, m) {
					w.split(in, m)
					continue
				}
				if !w.together(in, m) {
					continue
				}
			}
			g.pc++
			if m != 0 {
				in.run(w, m)
				if w.poisoned {
					w.follow(in, m)
				}
				if w.state != ready {
					return
				}
			}
		case in.flow == branch:
			if w.watching {
				w.watchLoops(in, m)
			}
			w.branch(in.target, m)
			continue
		case in.flow == exit:
			w.exit(m)
			if len(w.groups) == 0 {
				w.finish()
				return
			}
			continue
		case in.flow == multiway:
			w.multiway(in, m)
			continue
		case in.flow == barrierFlow:
			if m == 0 {
				g.pc++
				break
			}
			if !w.together(in, m) {
				continue
			}
			g.pc++
			in.run(w, m)
			if w.state != ready {
				return
			}
		}
		if len(w.groups) > 1 && (!w.apart || code[w.groups[0].pc].leads) {
			w.merge()
		}
	}
}

// direct runs instructions that are no more than that, one after the other, and returns how many, less one.
func (w *warp) direct(code []instr, most int) (n int) {
	g := &w.groups[0]
	pc := g.pc
	for {
		in := &code[pc]
		w.pc = pc
		w.executed++
		m := uint32(everyone)
		if in.guard != none {
			if m = w.p[in.guard]; in.not {
				m = ^m
			}
		}
		if pc++; m != 0 {
			in.run(w, m)
			if w.poisoned {
				w.follow(in, m)
				break
			}
		}
		if n == most || !code[pc].direct {
			break
		}
		n++
	}
	g.pc = pc
	return n
}

// together reports whether all threads that an instruction waits for are there. Where they are not, the threads of m
// wait and others of the warp run.
func (w *warp) together(in *instr, m uint32) bool {
	need := w.all
	if in.flow == straight {
		need = uint32(w.r[in.member][bits.TrailingZeros32(m)])
		if outside := m &^ need; outside != 0 {
			w.fail(Trap, bits.TrailingZeros32(outside), "%s is executed by a thread that its mask %#x leaves out", in.name, need)
		}
	}
	need &= w.alive
	if need&^m == 0 {
		return true
	}
	w.wait(in, m, need)
	return false
}

// wait lets the threads of m wait at the instruction in hand for the others of need.
func (w *warp) wait(in *instr, m, need uint32) {
	g := &w.groups[0]
	if rest := g.mask &^ m; rest != 0 {
		g.mask = m
		w.groups = append(w.groups, group{pc: g.pc + 1, mask: rest})
		g = &w.groups[0]
	}
	g.waiting = true
	w.merge()
	if w.groups[0].waiting {
		w.alone(m, need)
	}
}

// split executes an instruction for every team that is complete; the others wait.
func (w *warp) split(in *instr, m uint32) {
	missing := w.teams(in, m, func(team uint32) {
		in.run(w, team)
		if w.poisoned {
			w.follow(in, team)
		}
	})
	if missing == 0 {
		w.groups[0].pc++
		w.merge()
		return
	}
	if rest := w.groups[0].mask &^ missing; rest != 0 {
		w.groups = append(w.groups, group{pc: w.groups[0].pc + 1, mask: rest})
		w.groups[0].mask = missing
	}
	w.wait(in, missing, missing)
}

// teams splits the threads of m by the masks that they give to an instruction, such as the tiles of a warp. It calls f
// with the teams that are complete, and returns the threads of the others.
func (w *warp) teams(in *instr, m uint32, f func(team uint32)) (missing uint32) {
	masks := w.r[in.member]
	for rest := m; rest != 0; {
		lane := bits.TrailingZeros32(rest)
		team := uint32(0)
		for t := rest; t != 0; t &= t - 1 {
			if i := bits.TrailingZeros32(t); uint32(masks[i]) == uint32(masks[lane]) {
				team |= 1 << i
			}
		}
		need := uint32(masks[lane])
		if outside := team &^ need; outside != 0 {
			w.fail(Trap, bits.TrailingZeros32(outside), "%s is executed by a thread that its mask %#x leaves out", in.name, need)
		}
		if need&w.alive == team {
			f(team)
		} else {
			missing |= team
		}
		rest &^= team
	}
	return missing
}

// uniform reports whether a register holds the same in all threads of m.
func uniform(v *lanes, m uint32) bool {
	first := v[bits.TrailingZeros32(m)&31]
	for ; m != 0; m &= m - 1 {
		if v[bits.TrailingZeros32(m)&31] != first {
			return false
		}
	}
	return true
}

// branch moves the threads of m from the first group to the target, and the others to the next instruction.
func (w *warp) branch(target int32, m uint32) {
	g := &w.groups[0]
	switch m {
	case 0:
		g.pc++
	case g.mask:
		g.pc = target
	default:
		g.mask &^= m
		g.pc++
		w.groups = append(w.groups, group{pc: target, mask: m})
	}
	if len(w.groups) > 1 {
		w.merge()
	}
}

// multiway is a branch to one of several targets.
func (w *warp) multiway(in *instr, m uint32) {
	pc := w.groups[0].pc
	rest := w.groups[0].mask &^ m
	w.groups[0].mask = rest
	w.groups[0].pc = pc + 1
	for ; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros32(m)
		i := uint32(w.r[in.index][lane])
		if int(i) >= len(in.targets) {
			w.fail(Trap, lane, "%s takes target %d of %d", in.name, i, len(in.targets))
		}
		w.groups = append(w.groups, group{pc: in.targets[i], mask: 1 << lane})
	}
	if rest == 0 {
		w.groups = w.groups[1:]
	}
	w.merge()
}

// exit ends the threads of m.
func (w *warp) exit(m uint32) {
	g := &w.groups[0]
	w.alive &^= m
	if g.mask &^= m; g.mask == 0 {
		w.groups = append(w.groups[:0], w.groups[1:]...)
		for i := range w.groups {
			g := &w.groups[i]
			in := &w.program.code[g.pc]
			g.waiting = g.waiting && in.bar.aligned && in.guard != none // others may have waited for these
		}
	} else {
		g.pc++
	}
	if len(w.groups) > 1 {
		w.merge()
	}
	if len(w.groups) > 0 && w.groups[0].waiting {
		w.alone(w.groups[0].mask, w.alive|m)
	}
}

// alone fails because the threads of m wait, at the instruction in hand, for others of need that never come.
func (w *warp) alone(m, need uint32) {
	w.fail(Deadlock, bits.TrailingZeros32(m), "%s is reached by %d of %d threads of the warp, and the others never come", w.program.code[w.groups[0].pc].name,
		bits.OnesCount32(m), bits.OnesCount32(need|m))
}

// merge joins groups that have met and brings the one to run to the front: of those that can run, the hindmost.
func (w *warp) merge() {
	code, out := w.program.code, w.groups[:0]
	for _, g := range w.groups {
		joined := false
		for i := range out {
			if out[i].pc == g.pc {
				out[i].mask |= g.mask
				out[i].waiting = false
				joined = true
				break
			}
		}
		if !joined {
			out = append(out, g)
		}
	}
	w.groups = out
	first := 0
	for i := range out {
		if w.before(&out[i], &out[first]) {
			first = i
		}
	}
	out[0], out[first] = out[first], out[0]
	w.apart = true
	for _, g := range out[1:] {
		w.apart = w.apart && !g.waiting && g.parked == 0 && code[g.pc].leads
	}
}

// before reports whether a group is to run rather than another one: one that can run, then one that has not looked in
// vain since something changed, then the hindmost.
func (w *warp) before(a, b *group) bool {
	if a.waiting != b.waiting {
		return b.waiting
	}
	if x, y := a.parked == w.events+1, b.parked == w.events+1; x != y {
		return y
	}
	return w.program.code[a.pc].rank < w.program.code[b.pc].rank
}

// yieldGroup lets another group of the warp run before this one goes on, where there is one that can.
func (w *warp) yieldGroup() bool {
	if len(w.groups) < 2 {
		return false
	}
	w.groups[0].parked, w.apart = w.events+1, false
	next := 0
	for i := range w.groups {
		if w.before(&w.groups[i], &w.groups[next]) {
			next = i
		}
	}
	g := &w.groups[next]
	if g.waiting || g.parked == w.events+1 {
		return false
	}
	w.groups[0], w.groups[next] = w.groups[next], w.groups[0]
	return true
}

// fail stops the launch with a finding about a thread at the instruction in hand.
func (w *warp) fail(k Kind, lane int, format string, args ...any) {
	panic(w.finding(k, lane, format, args...))
}

func (w *warp) finding(k Kind, lane int, format string, args ...any) *Finding {
	return &Finding{Kind: k, Pos: w.program.code[w.pc].pos, Entry: w.program.fn.name, Block: w.block.at, Thread: w.thread(lane), Text: fmt.Sprintf(format, args...)}
}

// thread is the number of a thread in its block.
func (w *warp) thread(lane int) int { return w.index*warpSize + lane }
