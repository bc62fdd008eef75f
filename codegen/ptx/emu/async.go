package emu

import (
	"math/bits"
	"slices"
)

// asyncOps is cp.async: copies from global to shared memory that go on while the warp does.
var asyncOps = map[string]func(l *lowering, m *mods){"cp": copyOp}

// copyQueue is a warp's asynchronous copies: groups that were committed, the oldest first, and the open one. All copies
// take place when they are waited for.
type copyQueue struct {
	groups []copyGroup
	open   []asyncCopy
	issued int // copies ever
}

// copyGroup is what threads of a mask committed together.
type copyGroup struct {
	mask   uint32
	copies []asyncCopy
}

// asyncCopy is one instruction's copies.
type asyncCopy struct {
	number int
	pc     int32
	mask   uint32
	size   int
	to     [warpSize]uint32 // index into shared memory
	from   [warpSize]uint64
	bytes  [warpSize]uint8 // read; zeros follow
}

func (q *copyQueue) reset() { q.groups, q.open, q.issued = q.groups[:0], q.open[:0], 0 }

// copyOp builds cp.async and its companions.
func copyOp(l *lowering, m *mods) {
	m.need("async")
	args := l.now.args
	switch {
	case m.flag("commit_group"):
		l.count(0, 0)
		l.out.run = func(w *warp, m uint32) { w.commit(m) }
	case m.flag("wait_group"):
		l.count(1, 1)
		n := int(l.integer(&args[0]))
		l.out.run = func(w *warp, m uint32) { w.waitGroups(m, n) }
	case m.flag("wait_all"):
		l.count(0, 0)
		l.out.run = func(w *warp, m uint32) { w.commit(m); w.waitGroups(m, 0) }
	case m.flag("mbarrier"):
		m.need("arrive")
		noinc := m.flag("noinc")
		m.drop("shared", "shared::cta")
		m.among(b64)
		l.count(1, 1)
		base, offset, _ := l.place(&args[0], shared)
		l.out.run = func(w *warp, m uint32) { w.arriveLate(base, offset, m, noinc) }
	default:
		l.copy(m)
	}
}

// copying is what one cp.async says.
type copying struct {
	to, from             reg
	toOffset, fromOffset int64
	size                 int
	some                 reg // how many bytes are copied, before zeros
	ignore               reg // a predicate: nothing but zeros
	not                  bool
}

// copy builds cp.async itself.
func (l *lowering) copy(m *mods) {
	if m.flag("bulk") {
		l.unknown("%s", l.now.in.name)
	}
	m.need("ca", "cg")
	m.need("shared", "shared::cta", "shared::cluster")
	m.need("global")
	hint := m.cacheHints()
	args, n := l.now.args, l.count(3, 5)
	if hint {
		n--
		l.src(&args[n], b64)
	}
	c := copying{some: none, ignore: none}
	c.to, c.toOffset, _ = l.place(&args[0], shared)
	c.from, c.fromOffset, _ = l.place(&args[1], global)
	c.size = int(l.integer(&args[2]))
	if c.size != 4 && c.size != 8 && c.size != 16 {
		fail(args[2].pos, "a copy of %d bytes; 4, 8 and 16 are possible", c.size)
	}
	l.narrowest(shared, c.size)
	if n == 4 {
		if args[3].typ == pred {
			c.ignore, c.not = l.predicate(&args[3])
		} else {
			c.some = l.src(&args[3], b32)
		}
	}
	l.out.run = func(w *warp, m uint32) { w.copy(&c, m) }
	l.confine(&args[0], c.size)
	l.confine(&args[1], c.size)
}

// next adds a copy to the open group.
func (q *copyQueue) next() *asyncCopy {
	if len(q.open) == cap(q.open) {
		q.open = append(q.open, asyncCopy{})
	} else {
		q.open = q.open[:len(q.open)+1]
	}
	return &q.open[len(q.open)-1]
}

// copy begins the copies of the threads of m.
func (w *warp) copy(o *copying, m uint32) {
	q := &w.copies
	c := q.next()
	w.addresses(o.from, o.fromOffset, m)
	c.number, c.pc, c.mask, c.size, c.from = q.issued, w.pc, 0, o.size, w.addr
	q.issued++
	short := w.copiedBytes(o, c, m)
	whole := m &^ short
	if mem, base := w.oneBuffer(whole, o.size); mem != nil && w.readGlobal(mem, base, whole, o.size, false) == 0 {
		whole = 0
	}
	for rest := whole | short; rest != 0; rest &= rest - 1 {
		if i := bits.TrailingZeros32(rest) & 31; c.bytes[i] > 0 {
			w.source(i, c.from[i], int(c.bytes[i]))
		}
	}
	w.addresses(o.to, o.toOffset, m)
	w.bankCheck(m, o.size)
	me, floor, inside := w.note(0)|notePending, w.knows(), w.sharedPlaces(m, o.size)
	if inside && o.size == rowBytes && len(w.shared.clashes) == 0 {
		w.copyRows(c, me, floor, m)
		m, c.mask = 0, m
	}
	for rest := m; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros32(rest) & 31
		j := int(w.addr[i] - sharedBase)
		if !inside {
			j = w.within(i, w.addr[i], o.size)
		}
		c.to[i] = uint32(j)
		if r := &w.shared.rows[j/rowBytes]; !r.quiet(floor) {
			w.checkWrites(me|uint64(i), r, j, o.size, nil)
		}
		w.noteSharedWrite(me|uint64(i), j, o.size)
	}
	c.mask |= m
	if w.counts != nil {
		w.addr = c.from
		w.counts.memory(w, global, c.mask, o.size)
	}
}

// copyRows notes that copies of the threads of m are on their way to whole rows.
func (w *warp) copyRows(c *asyncCopy, me uint64, floor, m uint32) {
	s, now := w.shared, uint32(me>>32)
	for rest := m; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros32(rest) & 31
		j := int(w.addr[i] - sharedBase)
		c.to[i] = uint32(j)
		r := &s.rows[j/rowBytes]
		if !r.quiet(floor) {
			w.checkWrites(me|uint64(i), r, j, rowBytes, nil)
		}
		r.all, r.wrote, r.pending = me|uint64(i), max(r.wrote, now), true
		s.set[j>>6] |= 0xffff << (j & 63)
	}
}

// copiedBytes says how many bytes each thread of m copies. It returns those that copy less than all.
func (w *warp) copiedBytes(o *copying, c *asyncCopy, m uint32) (short uint32) {
	for rest := m; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros32(rest) & 31
		bytes := uint64(o.size)
		if o.some != none {
			if bytes = w.r[o.some][i]; bytes > uint64(o.size) {
				w.fail(Trap, i, "%s copies %d of %d bytes", w.name(), bytes, o.size)
			}
		}
		if o.ignore != none && (w.p[o.ignore]>>i&1 != 0) != o.not {
			bytes = 0
		}
		if c.bytes[i] = uint8(bytes); bytes != uint64(o.size) {
			short |= 1 << i
		}
		if c.from[i]&uint64(o.size-1) != 0 {
			w.fail(Misaligned, i, "%s copies from address %#x, which is no multiple of %d", w.name(), c.from[i], o.size)
		}
	}
	return short
}

// source checks and notes what a copy reads, in pieces that are aligned.
func (w *warp) source(lane int, at uint64, n int) {
	mem, offset, ok := w.launch.Device.Find(at)
	off := int(offset)
	switch {
	case !ok:
		w.fail(OutOfBounds, lane, "%s touches address %#x, where no buffer lies", w.name(), at)
	case off+n > len(mem.Data):
		w.outside(lane, mem, at, n)
	}
	if mem.written != nil && !mem.has(off, n) {
		w.fail(Uninitialized, lane, "%s reads %s, which nobody has written", w.name(), w.describe(global, at, n))
	}
	if !w.launch.NoRaces && !mem.readOnly {
		w.noteRead(at, n, lane)
	}
}

// commit closes the open copies of the threads of m to a group.
func (w *warp) commit(m uint32) {
	q := &w.copies
	g := copyGroup{mask: m}
	if len(q.groups) < cap(q.groups) {
		g.copies = q.groups[:len(q.groups)+1][len(q.groups)].copies[:0]
	}
	others := uint32(0)
	for i := range q.open {
		others |= q.open[i].mask &^ m
	}
	if others == 0 {
		g.copies, q.open = q.open, g.copies[:0]
		q.groups = append(q.groups, g)
		return
	}
	rest := q.open[:0]
	for _, c := range q.open {
		left := c.mask &^ m
		if c.mask &= m; c.mask != 0 {
			g.copies = append(g.copies, c)
		}
		if c.mask = left; left != 0 {
			rest = append(rest, c)
		}
	}
	q.open = rest
	q.groups = append(q.groups, g)
}

// waitGroups makes all but the last n groups of every thread of m happen.
func (w *warp) waitGroups(m uint32, n int) {
	q := &w.copies
	var kept [warpSize]int
	for i := len(q.groups) - 1; i >= 0; i-- {
		g := &q.groups[i]
		lands := uint32(0)
		for rest := g.mask & m; rest != 0; rest &= rest - 1 {
			lane := bits.TrailingZeros32(rest)
			if kept[lane]++; kept[lane] > n {
				lands |= 1 << lane
			}
		}
		if lands == 0 {
			continue
		}
		for j := range g.copies {
			w.land(&g.copies[j], lands)
		}
		g.mask &^= lands
	}
	done := 0
	for done < len(q.groups) && q.groups[done].mask == 0 {
		done++
	}
	if done > 0 {
		// The groups that are gone go behind the others, so that their memory is used again.
		slices.Reverse(q.groups[:done])
		slices.Reverse(q.groups[done:])
		slices.Reverse(q.groups)
		q.groups = q.groups[:len(q.groups)-done]
	}
}

// land copies what threads of m wait for.
func (w *warp) land(c *asyncCopy, m uint32) {
	s, number := w.shared, ^uint64(0)
	var from []byte
	note := uint64(w.vc[w.index])<<32 | uint64(c.pc&notePC)<<13 | uint64(w.index)<<8
	for rest := c.mask & m; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros32(rest) & 31
		at, n := int(c.to[i]), int(c.bytes[i])
		to := s.data[at:][:c.size]
		if n > 0 {
			if c.from[i]>>window != number {
				mem, _, _ := w.launch.Device.Find(c.from[i])
				from, number = mem.Data, c.from[i]>>window
			}
			copy(to, from[c.from[i]&(1<<window-1):][:n])
		}
		clear(to[n:])
		s.landed(note|uint64(i), at, c.size)
	}
	c.mask &^= m
	w.events++
}
