package ptx

import (
	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/tile"
)

// merge emits what merges `each` of a row's runs at a time.
func (t *top) merge(name string, from, to kernels.Arg, runs, each int64) *backend.Kernel {
	left := (runs + each - 1) / each
	t.pointer("runs", tile.I64, from)
	t.destination(left == 1, to)
	params := t.begin()
	t.eachTask(func(task string) {
		row, group := t.split(task, left)
		first := t.to(word, "mul.lo.s32", group, num(each))
		end := t.to(word, "min.s32", t.to(word, "add.s32", first, num(each)), num(runs))
		run := t.to(long, "mad.lo.s64", row, num(runs), t.to(long, "cvt.u64.u32", first))
		at0 := t.to(long, "mad.lo.s64", run, num(8*t.run), t.byName["runs"])
		pair := t.regs(long, 2)
		t.do("ld.global.v2.b64", vector(pair...), at(t.offset(at0, t.thread, 16), 0))
		t.do("st.shared.v2.b64", at(t.to(word, "mad.lo.s32", t.thread, "16", t.base), 0), vector(pair...))
		t.do("bar.sync", "0")
		i := t.to(word, "add.s32", first, "1")
		loop, done := t.label("run"), t.label("merged")
		t.place(loop)
		t.onlyIf(t.to(pred, "setp.ge.s32", i, end), "bra", done)
		t.do("add.s64", at0, at0, num(8*t.run))
		t.halve(func(_, place string) string { // from its end
			back := t.to(word, "sub.s32", num(t.run-1), place)
			return t.to(long, "ld.global.b64", at(t.offset(at0, back, 8), 0))
		})
		t.do("add.s32", i, i, "1")
		t.do("bra", loop)
		t.place(done)
		t.store(left == 1, task, row)
	})
	return t.kernel(name, params, 8*t.run, left, runs*t.run)
}

// sort sorts both runs in shared memory, by a bitonic network: the first from the greatest entry on, the second from the
// least. Every thread has two pairs.
func (t *top) sort() {
	t.note("Sorts both runs.")
	size, apart := t.to(word, "mov.b32", "2"), t.reg(word)
	sizes, stages := t.label("size"), t.label("stage")
	t.place(sizes)
	t.do("shr.u32", apart, size, "1")
	t.place(stages)
	for i := range int64(2) {
		pair := t.thread
		if i > 0 {
			pair = t.to(word, "add.s32", t.thread, num(t.threads))
		}
		place := t.lower(pair, apart)
		falls := t.to(pred, "setp.eq.s32", t.to(word, "and.b32", place, size), "0")
		t.exchange(place, apart, falls)
	}
	t.do("bar.sync", "0")
	t.do("shr.u32", apart, apart, "1")
	t.onlyIf(t.to(pred, "setp.ne.s32", apart, "0"), "bra", stages)
	t.do("shl.b32", size, size, "1")
	t.onlyIf(t.to(pred, "setp.le.s32", size, num(t.run)), "bra", sizes)
}

// lower is the place of the lower entry of a pair whose entries are so far apart, a power of two.
func (t *top) lower(pair, apart string) string {
	in := t.to(word, "and.b32", pair, t.to(word, "sub.s32", apart, "1"))
	return t.to(word, "sub.s32", t.to(word, "shl.b32", pair, "1"), in)
}

// exchange puts the greater of two entries first where `falls` says so, else last; "" is always.
func (t *top) exchange(place, apart, falls string) {
	first := t.to(word, "mad.lo.s32", place, "8", t.base)
	second := t.to(word, "mad.lo.s32", apart, "8", first)
	x, y := t.to(long, "ld.shared.b64", at(first, 0)), t.to(long, "ld.shared.b64", at(second, 0))
	high, low := t.to(long, "max.u64", x, y), t.to(long, "min.u64", x, y)
	if falls != "" {
		high, low = t.to(long, "selp.b64", high, low, falls), t.to(long, "selp.b64", low, high, falls)
	}
	t.do("st.shared.b64", at(first, 0), high)
	t.do("st.shared.b64", at(second, 0), low)
}

// halve joins the run in shared memory, which falls, with one that rises: of each two entries the greater stays, and a
// bitonic network sorts those. other loads the entry of the rising run at a place, whose address in shared memory is p.
func (t *top) halve(other func(p, place string) string) {
	t.note("Keeps the greater half.")
	for i := range int64(2) {
		place := t.thread
		if i > 0 {
			place = t.to(word, "add.s32", t.thread, num(t.threads))
		}
		p := t.to(word, "mad.lo.s32", place, "8", t.base)
		t.do("st.shared.b64", at(p, 0), t.to(long, "max.u64", t.to(long, "ld.shared.b64", at(p, 0)), other(p, place)))
	}
	t.do("bar.sync", "0")
	apart := t.to(word, "mov.b32", num(t.run/2))
	stages := t.label("stage")
	t.place(stages)
	t.exchange(t.lower(t.thread, apart), apart, "")
	t.do("bar.sync", "0")
	t.do("shr.u32", apart, apart, "1")
	t.onlyIf(t.to(pred, "setp.ne.s32", apart, "0"), "bra", stages)
}

// destination adds the parameters of where a run goes: the results, or memory for a kernel behind.
func (t *top) destination(last bool, to kernels.Arg) {
	if last {
		t.pointer("values", tile.F32, kernels.Arg{Kind: kernels.ArgOut, Index: valuesOut})
		t.pointer("indices", tile.I32, kernels.Arg{Kind: kernels.ArgOut, Index: indicesOut})
		return
	}
	t.pointer("to", tile.I64, to)
}

// store stores the run in shared memory.
func (t *top) store(last bool, task, row string) {
	pair := t.regs(long, 2)
	t.do("ld.shared.v2.b64", vector(pair...), at(t.to(word, "mad.lo.s32", t.thread, "16", t.base), 0))
	if !last {
		to := t.to(long, "mad.lo.s64", task, num(8*t.run), t.byName["to"])
		t.do("st.global.v2.b64", at(t.offset(to, t.thread, 16), 0), vector(pair...))
		return
	}
	for i, e := range pair {
		place, key := t.reg(word), t.reg(word)
		t.do("mov.b64", vector(place, key), e)
		at64 := t.to(word, "mad.lo.s32", t.thread, "2", num(int64(i)))
		there := ""
		if t.K < t.run {
			there = t.to(pred, "setp.lt.s32", at64, num(t.K))
		}
		mask := t.to(word, "or.b32", t.to(word, "not.b32", t.to(word, "shr.s32", key, "31")), "0x80000000")
		value, index := t.to(float, "mov.b32", t.to(word, "xor.b32", key, mask)), t.to(word, "not.b32", place)
		t.guarded(there, "st.global.f32", at(t.result("values", t.Values, row, at64), 0), value)
		t.guarded(there, "st.global.b32", at(t.result("indices", t.Indices, row, at64), 0), index)
	}
}

// result is the address of element i of a row's result.
func (t *top) result(name string, o kernels.Out, row, i string) string {
	to := t.to(long, "mad.lo.s64", t.offsetOf(row, o.Strides), "4", t.byName[name])
	return t.offset(to, i, 4*o.Strides[len(o.Strides)-1])
}
