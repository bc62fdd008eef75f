package ptx

// Runs lie in shared memory such that threads which take entries 1, 4, 16 or more apart seldom meet in a bank: behind
// every 16 entries so many are left free.
const freeEntries = 5

// entriesBytes is the size of so many entries in shared memory.
func entriesBytes(n int64) int64 { return 8 * (n + n/16*freeEntries) }

// spread is a place among entries, or a distance of a power of two, as what lies in shared memory there, in bytes from 0.
func (t *top) spread(place string) string {
	entries := t.to(word, "mad.lo.s32", t.to(word, "shr.u32", place, "4"), num(freeEntries), place)
	return t.to(word, "shl.b32", entries, "3")
}

// address is where the entry of a place lies.
func (t *top) address(place string) string { return t.to(word, "add.s32", t.spread(place), t.base) }

// places are those of a thread that takes two entries: its number, and so many behind it.
func (t *top) places() []string {
	return []string{t.thread, t.to(word, "add.s32", t.thread, num(t.threads))}
}

// falling says whether entries of a place are sorted from the greatest on in runs of a size that alternate.
func (t *top) falling(place, size string) string {
	return t.to(pred, "setp.eq.s32", t.to(word, "and.b32", place, size), "0")
}

// ordered returns the greater of two entries first where `falls` says so, else last; "" is always.
func (t *top) ordered(x, y, falls string) (first, second string) {
	high, low := t.to(long, "max.u64", x, y), t.to(long, "min.u64", x, y)
	if falls == "" {
		return high, low
	}
	return t.to(long, "selp.b64", high, low, falls), t.to(long, "selp.b64", low, high, falls)
}

// ordered4 does the two stages of a bitonic network that four entries at equal distances take.
func (t *top) ordered4(e []string, falls string) {
	for _, pair := range [][2]int{{0, 2}, {1, 3}, {0, 1}, {2, 3}} {
		i, j := pair[0], pair[1]
		e[i], e[j] = t.ordered(e[i], e[j], falls)
	}
}

// sortFour sorts the four entries at place 4·thread, those of even threads from the greatest on, and puts them there.
func (t *top) sortFour(e []string) {
	e[0], e[1] = t.ordered(e[0], e[1], "")
	e[3], e[2] = t.ordered(e[2], e[3], "")
	t.ordered4(e, t.falling(t.thread, "1"))
	to := t.address(t.to(word, "shl.b32", t.thread, "2"))
	for i, v := range e {
		t.do("st.shared.b64", at(to, 8*int64(i)), v)
	}
}

// exchange does a stage for a pair of entries so far apart, of those that are.
func (t *top) exchange(pair, apart, size string) {
	in := t.to(word, "and.b32", pair, t.to(word, "sub.s32", apart, "1"))
	place := t.to(word, "sub.s32", t.to(word, "shl.b32", pair, "1"), in)
	first := t.address(place)
	second := t.to(word, "add.s32", first, t.spread(apart))
	falls := ""
	if size != "" {
		falls = t.falling(place, size)
	}
	x, y := t.ordered(t.to(long, "ld.shared.b64", at(first, 0)), t.to(long, "ld.shared.b64", at(second, 0)), falls)
	t.do("st.shared.b64", at(first, 0), x)
	t.do("st.shared.b64", at(second, 0), y)
}

// exchange4 does the stages of entries apart and half as far, the thread's four.
func (t *top) exchange4(apart, size string) {
	half := t.to(word, "shr.u32", apart, "1")
	in := t.to(word, "and.b32", t.thread, t.to(word, "sub.s32", half, "1"))
	place := t.to(word, "mad.lo.s32", in, "-3", t.to(word, "shl.b32", t.thread, "2"))
	falls := ""
	if size != "" {
		falls = t.falling(place, size)
	}
	to, step := []string{t.address(place)}, t.spread(half)
	var e []string
	for i := range 4 {
		if i > 0 {
			to = append(to, t.to(word, "add.s32", to[i-1], step))
		}
		e = append(e, t.to(long, "ld.shared.b64", at(to[i], 0)))
	}
	t.ordered4(e, falls)
	for i, v := range e {
		t.do("st.shared.b64", at(to[i], 0), v)
	}
}

// sort sorts both runs, whose fours are sorted in turns, by a bitonic network: the first from the greatest entry on, the
// second from the least. Lengths that are sorted have an odd number of stages and an even one in turns.
func (t *top) sort() {
	t.note("Sorts both runs.")
	size, odd, apart := t.to(word, "mov.b32", "8"), t.to(word, "mov.b32", "1"), t.reg(word)
	sizes, stages := t.label("size"), t.label("stage")
	t.place(sizes)
	t.do("shr.u32", apart, size, "1")
	t.onlyIf(t.to(pred, "setp.eq.s32", odd, "0"), "bra", stages)
	for _, pair := range t.places() {
		t.exchange(pair, apart, size)
	}
	t.do("bar.sync", "0")
	t.do("shr.u32", apart, apart, "1")
	t.place(stages)
	t.exchange4(apart, size)
	t.do("bar.sync", "0")
	t.do("shr.u32", apart, apart, "2")
	t.onlyIf(t.to(pred, "setp.ne.s32", apart, "0"), "bra", stages)
	t.do("xor.b32", odd, odd, "1")
	t.do("shl.b32", size, size, "1")
	t.onlyIf(t.to(pred, "setp.le.s32", size, num(t.run)), "bra", sizes)
}

// halve joins the run in shared memory, which falls, with one that rises: of each two entries the greater stays, and
// those are sorted. other loads the entry of the rising run at a place.
func (t *top) halve(other func(place string) string) {
	t.note("Keeps the greater half.")
	for _, place := range t.places() {
		to := t.address(place)
		t.do("st.shared.b64", at(to, 0), t.to(long, "max.u64", t.to(long, "ld.shared.b64", at(to, 0)), other(place)))
	}
	t.do("bar.sync", "0")
	apart := t.to(word, "mov.b32", num(t.run/2))
	if log2(t.run)%2 == 1 {
		t.exchange(t.thread, apart, "")
		t.do("bar.sync", "0")
		t.do("shr.u32", apart, apart, "1")
	}
	quarter := t.to(pred, "setp.lt.s32", t.thread, num(t.run/4))
	stages, skip := t.label("stage"), t.label("idle")
	t.place(stages)
	t.onlyIf("!"+quarter, "bra", skip)
	t.exchange4(apart, "")
	t.place(skip)
	t.do("bar.sync", "0")
	t.do("shr.u32", apart, apart, "2")
	t.onlyIf(t.to(pred, "setp.ne.s32", apart, "0"), "bra", stages)
}
