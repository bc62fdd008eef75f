package emu

import "math/bits"

// What registers hold nothing, or bits of them, is followed through arithmetic, because compilers compute with undefined
// values and throw them away. It is a finding where it matters: in addresses, in what goes to shared or global memory, in
// predicates of branches. The finding names the instruction that first used what nobody wrote.
//
// A warp follows it only while it is poisoned. Unknown has the threads in which a register has unknown bits, lost says
// which, and poison whom to blame.

// known is a register and the bits of it that an instruction needs.
type known struct {
	r    reg
	bits uint64
}

// lostBits is the bits of a register that hold nothing in a thread.
func (w *warp) lostBits(r reg, lane int) uint64 {
	if w.unknown[r]>>lane&1 == 0 {
		return 0
	}
	if b := w.lost[r]; b != nil {
		return b[lane]
	}
	return ^uint64(0)
}

// lose says which bits of a register hold nothing in a thread.
func (w *warp) lose(r reg, lane int, lost uint64) {
	if lost == 0 {
		w.unknown[r] &^= 1 << lane
		return
	}
	b := w.lost[r]
	if b == nil {
		b = broadcast(^uint64(0))
		w.lost[r] = b
	}
	w.unknown[r] |= 1 << lane
	b[lane] = lost
}

// inspect stops a thread that needs what a register does not hold. The instruction runs in the threads of m, if its
// guard holds.
func (w *warp) inspect(in *instr, m uint32) {
	if in.guard != none {
		if u := w.unknown[in.guard] & m; u != 0 {
			w.blame(in.guard, u)
		}
		if p := w.p[in.guard]; in.not {
			m &^= p
		} else {
			m &= p
		}
	}
	if in.pure {
		return
	}
	for _, k := range in.must {
		for u := w.unknown[k.r] & m; u != 0; u &= u - 1 {
			if lane := bits.TrailingZeros32(u); w.lostBits(k.r, lane)&k.bits != 0 {
				w.blame(k.r, 1<<lane)
			}
		}
	}
}

// follow notes what the results of an instruction hold.
func (w *warp) follow(in *instr, m uint32) {
	switch {
	case in.manages:
	case !in.pure:
		for _, r := range in.writes {
			w.unknown[r] &^= m
		}
	default:
		w.spread(in, m)
	}
}

// spread makes results unknown where operands are. An instruction may say which bits; otherwise all are.
func (w *warp) spread(in *instr, m uint32) {
	u, from := uint32(0), none
	for _, r := range in.reads {
		if r == in.guard && !in.guardRead {
			continue
		}
		if v := w.unknown[r] & m; v != 0 {
			u |= v
			from = r
		}
	}
	if u == 0 {
		for _, r := range in.writes {
			w.unknown[r] &^= m
		}
		return
	}
	f := w.poison[from]
	if f == nil {
		f = w.unwritten(from, w.unknown[from]&m)
	}
	var before []uint64
	if in.spread != nil {
		before = make([]uint64, 0, len(in.writes)*warpSize)
		eachLane(m, func(lane int) {
			for i := range in.writes {
				before = append(before, in.spread(w, lane, i))
			}
		})
	}
	at := 0
	eachLane(m, func(lane int) {
		for _, r := range in.writes {
			lost := -uint64(u >> lane & 1)
			if in.spread != nil {
				lost = before[at]
				at++
			}
			w.lose(r, lane, lost)
		}
	})
	for _, r := range in.writes {
		if w.unknown[r]&m != 0 {
			w.poison[r] = f
		}
	}
}

// blame stops at a register that holds nothing: what put it there is to blame, if it is known.
func (w *warp) blame(r reg, u uint32) {
	if f := w.poison[r]; f != nil {
		panic(f)
	}
	panic(w.unwritten(r, u))
}

// unwritten is the finding that the instruction in hand reads a register in threads that have not written it.
func (w *warp) unwritten(r reg, u uint32) *Finding {
	return w.finding(Uninitialized, bits.TrailingZeros32(u), "%s reads %s, which the thread has not written", w.name(), w.program.registerName(r))
}

// loaded notes which threads of a load got something that nobody has written; registers have size bytes each.
func (w *warp) loaded(dst []reg, sp space, m, bad uint32, size int) {
	for _, d := range dst {
		w.unknown[d] &^= m
	}
	if bad == 0 {
		return
	}
	w.poisoned = true
	lane := bits.TrailingZeros32(bad)
	f := w.missing(sp, lane, size*len(dst))
	f.byte = w.addr[lane]
	eachLane(bad, func(lane int) {
		for j, d := range dst {
			if lost := w.unset(sp, lane, w.addr[lane]+uint64(j*size), size); lost != 0 {
				w.lose(d, lane, lost)
				w.poison[d] = f
			}
		}
	})
}

// unset is the bits of n bytes at an address that nobody has written.
func (w *warp) unset(sp space, lane int, at uint64, n int) (lost uint64) {
	if sp == generic {
		if sp = spaceOf(at); sp == shared {
			at -= sharedView
		}
	}
	for i := range n {
		set := true
		switch sp {
		case shared:
			set = w.shared.written(int(at)-sharedBase+i, 1)
		case local:
			set = w.localSet[w.localIndex(lane, at, n)+i] != 0
		default:
			if mem, off, ok := w.launch.Device.Find(at); ok && mem.written != nil {
				set = mem.has(int(off)+i, 1)
			}
		}
		if !set {
			lost |= 255 << (8 * i)
		}
	}
	return lost
}

// keepLost keeps in local memory what a store put there of unwritten registers; elsewhere that is a finding.
func (w *warp) keepLost(a access, t typ, lane int, src []reg) {
	for j, s := range src {
		lost := w.lostBits(s, lane) & t.mask()
		if lost == 0 {
			continue
		}
		at := w.addr[lane] + uint64(j*a.size)
		if a.space != local && !(a.space == generic && spaceOf(at) == local) {
			w.blame(s, 1<<lane)
		}
		i := w.localIndex(lane, at, a.size)
		for k := range a.size {
			if lost>>(8*k)&255 != 0 {
				w.localSet[i+k] = 0
			}
		}
	}
}

// Which bits of a result are lost, for instructions that move bits about. Operands are registers or constants.

func lostCopy(s reg) func(w *warp, lane, _ int) uint64 {
	return func(w *warp, lane, _ int) uint64 { return w.lostBits(s, lane) }
}

func lostPack(s []reg, width int, mask uint64) func(w *warp, lane, _ int) uint64 {
	return func(w *warp, lane, _ int) (out uint64) {
		for j, r := range s {
			out |= w.lostBits(r, lane) & mask << (j * width)
		}
		return out
	}
}

func lostUnpack(s reg, width int, mask uint64) func(w *warp, lane, i int) uint64 {
	return func(w *warp, lane, i int) uint64 { return w.lostBits(s, lane) >> (i * width) & mask }
}

// lostPermute is of prmt with a known selector.
func lostPermute(a, b, c reg, mode string) func(w *warp, lane, _ int) uint64 {
	return func(w *warp, lane, _ int) uint64 {
		if w.lostBits(c, lane) != 0 || int(c) < w.program.slots {
			if w.lostBits(a, lane)|w.lostBits(b, lane)|w.lostBits(c, lane) == 0 {
				return 0
			}
			return ^uint64(0)
		}
		return permute(w.lostBits(a, lane)&0xffffffff|w.lostBits(b, lane)<<32, w.r[c][lane], mode)
	}
}

// lostShift is of shifts by a constant.
func lostShift(a, b reg, f func(a, b uint64) uint64) func(w *warp, lane, _ int) uint64 {
	return func(w *warp, lane, _ int) uint64 {
		if w.lostBits(b, lane) != 0 {
			return ^uint64(0)
		}
		if la := w.lostBits(a, lane); la != 0 && int(b) >= w.program.slots {
			return f(la, w.r[b][lane])
		}
		return -truth(w.lostBits(a, lane) != 0)
	}
}

// lostAny is of xor.
func lostAny(a, b reg) func(w *warp, lane, _ int) uint64 {
	return func(w *warp, lane, _ int) uint64 { return w.lostBits(a, lane) | w.lostBits(b, lane) }
}

// lostAnd is of and, and of or where inverted: a constant decides the bits that it does not let through.
func lostAnd(inverted bool) func(a, b reg) func(w *warp, lane, _ int) uint64 {
	return func(a, b reg) func(w *warp, lane, _ int) uint64 {
		return func(w *warp, lane, _ int) uint64 {
			out := w.lostBits(a, lane) | w.lostBits(b, lane)
			for _, r := range []reg{a, b} {
				if int(r) < w.program.slots {
					continue
				}
				if v := w.r[r][lane]; inverted {
					out &^= v
				} else {
					out &= v
				}
			}
			return out
		}
	}
}

// lostCut is of conversions between integers: all that the result takes over.
func lostCut(s reg, from, to typ) func(w *warp, lane, _ int) uint64 {
	return func(w *warp, lane, _ int) uint64 {
		lost := w.lostBits(s, lane) & from.mask()
		if from.signed() && lost>>(from.bits()-1) != 0 {
			lost |= ^from.mask()
		}
		return lost & to.mask()
	}
}
