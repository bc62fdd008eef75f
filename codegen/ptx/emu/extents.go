package emu

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// extent is where a variable lies in shared memory, or dynamic shared memory, or a hole in local memory. Those in shared
// memory lie holes apart, so that who leaves one does not get into the next unnoticed.
type extent struct {
	name       string // empty for dynamic shared memory
	first, end int
}

// sharedHole divides the holes in shared memory, so that every byte keeps its bank and its alignment; localHole is the
// least bytes between a variable in local memory and the next.
const sharedHole, localHole = 1024, 16

// placeShared gives a variable its place in shared memory.
func (p *program) placeShared(v *variable) int {
	for i := range p.extents {
		if e := &p.extents[i]; p.placed[i] == v {
			return e.first
		}
	}
	at := roundUp(p.shared, v.align)
	p.shared = at + v.size
	if len(p.extents) > 0 {
		p.holes = roundUp(p.holes+sharedHole, max(v.align, sharedHole))
	}
	p.extents = append(p.extents, extent{v.name, at + p.holes, at + p.holes + v.size})
	p.placed = append(p.placed, v)
	return at + p.holes
}

// placeLocal gives a variable, or a parameter of a device function, its place in local memory.
func (p *program) placeLocal(v *variable) int {
	at := p.local
	if at > 0 && (v.space == local || p.afterLocal) {
		at += localHole
		p.localHoles = append(p.localHoles, extent{first: p.local, end: roundUp(at, v.align)})
	}
	at = roundUp(at, v.align)
	p.local, p.afterLocal = at+max(v.size, 1), v.space == local
	return at
}

// placeDynamic places dynamic shared memory behind the variables.
func (l *launch) placeDynamic() {
	p := l.program
	at := roundUp(p.shared, max(p.dynamicAlign, 128))
	l.extents = p.extents
	if len(p.extents) > 0 {
		at += roundUp(p.holes+sharedHole, max(p.dynamicAlign, sharedHole))
	}
	l.dynamic = sharedBase + at
	if l.Shared > 0 {
		l.extents = append(l.extents[:len(l.extents):len(l.extents)], extent{"", at, at + l.Shared})
	}
}

// sharedBytes is how much shared memory there is, with holes.
func (l *launch) sharedBytes() int {
	if len(l.extents) == 0 {
		return 0
	}
	return l.extents[len(l.extents)-1].end
}

// watch makes accesses to a row be looked at closely.
func (r *row) watch() { r.watched, r.wrote = true, math.MaxUint32 }

// watchHoles lets no access to a hole pass.
func (s *sharedMemory) watchHoles(extents []extent) {
	for i := 1; i < len(extents); i++ {
		for r := extents[i-1].end / rowBytes; r*rowBytes < extents[i].first; r++ {
			s.rows[r].watch()
		}
	}
}

// inside stops where a thread touches bytes of shared memory that are no variable's, or an mbarrier's.
func (w *warp) inside(lane, i, n int) {
	e := w.launch.nearest(i)
	if i < e.first || i+n > e.end {
		w.outsideShared(lane, i, n)
	}
	if len(w.mbars) == 0 || strings.Contains(w.name(), "mbarrier") {
		return
	}
	for at := i &^ 7; at < i+n; at += 8 {
		if w.mbars[uint32(sharedBase+at)] != nil {
			w.fail(OutOfBounds, lane, "%s touches bytes %d to %d of %s, where an mbarrier lies", w.name(), i-e.first, i-e.first+n-1, e.name)
		}
	}
}

// outsideShared stops at an access to shared memory that no variable contains.
func (w *warp) outsideShared(lane, i, n int) {
	e := w.launch.nearest(i)
	w.fail(OutOfBounds, lane, "%s touches bytes %d to %d of %s, which has %d", w.name(), i-e.first, i-e.first+n-1, e.name, e.end-e.first)
}

// nearest is the extent that an index into shared memory lies in, or is nearest to, with its name in a sentence.
func (l *launch) nearest(i int) extent {
	best := extent{}
	distance := math.MaxInt
	for _, e := range l.extents {
		if d := max(e.first-i, i-e.end+1, 0); d < distance {
			best, distance = e, d
		}
	}
	switch {
	case len(l.extents) < 2:
		best.name = "shared memory"
	case best.name == "":
		best.name = "dynamic shared memory"
	default:
		best.name += " in shared memory"
	}
	return best
}

// sharedByte names the byte at an index in a sentence.
func (w *warp) sharedByte(i int) string {
	e := w.launch.nearest(i)
	return fmt.Sprintf("byte %d of %s", i-e.first, e.name)
}

// outsideParameter stops at a read of the parameters that no parameter contains.
func (w *warp) outsideParameter(lane int, off int64, n int) {
	p := w.program
	for _, q := range p.params {
		if at := off - int64(q.Offset); at >= 0 && at < int64(q.Size) {
			w.fail(OutOfBounds, lane, "%s reads bytes %d to %d of %s, which has %d", w.name(), at, at+int64(n)-1, q.Name, q.Size)
		}
	}
	w.fail(OutOfBounds, lane, "%s reads bytes %d to %d of the parameters, which are %d", w.name(), off, off+int64(n)-1, p.paramBytes)
}

// confine makes an instruction stop that names a variable and touches n bytes that are not all the variable's.
func (l *lowering) confine(o *rop, n int) {
	if o.sym == nil || o.sym.kind != variableSymbol || o.sym.v.open || o.offset >= 0 && o.offset+int64(n) <= int64(o.sym.v.size) {
		return
	}
	v, first := o.sym.v, o.offset
	l.out.run = func(w *warp, m uint32) {
		w.fail(OutOfBounds, bits.TrailingZeros32(m), "%s touches bytes %d to %d of %s, which has %d", w.name(), first, first+int64(n)-1, v.name, v.size)
	}
}
