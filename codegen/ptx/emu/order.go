package emu

// What orders warps of a block besides barriers is PTX's release and acquire patterns. A release operation, or a fence and
// a strong write behind it, publishes what the warp knows, at the address that it writes. An acquire operation, or a strong
// read and a fence behind it, learns what was published at the address that it reads. Relaxed and volatile operations
// alone order nothing: they race with plain accesses, though not with each other.
//
// Where this is more generous than the memory model, it never accuses what the model allows: a fence counts for all
// threads of its warp, what was published at an address stays there whoever writes it, and barriers pass on what fences
// are about, as fences of sequential consistency do.

// clocks is a time of every warp of a block.
type clocks = [32]uint32

// join makes a know what b does.
func join(a, b *clocks) {
	for i, c := range b {
		a[i] = max(a[i], c)
	}
}

// fences is what a warp has at hand for the strong operations and fences that follow.
type fences struct {
	released clocks // what it knew at its last fence, or had been told of others' fences by a barrier
	seen     clocks // what its strong reads found published
}

// join is what a barrier does.
func (f *fences) join(g *fences) {
	join(&f.released, &g.released)
	join(&f.seen, &g.seen)
}

// fence is membar and fence.
func (w *warp) fence() {
	w.fenced = true
	w.learn(&w.fences.seen)
	w.endSpan()
	w.fences.released = w.vc
	w.vc[w.index]++
}

// strongAt is the part of a strong operation on an address that orders warps of the block.
func (w *warp) strongAt(at uint64, s strength, write bool) {
	f := w.published[at]
	if f != nil && (s.atomic || !write) {
		join(&w.fences.seen, f)
		if s.acquire {
			w.learn(f)
		}
	}
	if !write || !s.release && !w.fenced {
		return
	}
	if f == nil {
		f = &clocks{}
		w.published[at] = f
	}
	if s.release {
		w.endSpan()
		join(f, &w.vc)
	} else {
		join(f, &w.fences.released)
	}
}

// learn orders what others published before what the warp does from now on.
func (w *warp) learn(c *clocks) {
	for i := range w.warps {
		if c[i] > w.vc[i] {
			w.endSpan()
			join(&w.vc, c)
			return
		}
	}
}
