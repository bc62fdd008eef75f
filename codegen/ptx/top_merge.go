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
		for _, place := range t.places() {
			t.do("st.shared.b64", at(t.address(place), 0), t.to(long, "ld.global.b64", at(t.offset(at0, place, 8), 0)))
		}
		i := t.to(word, "add.s32", first, "1")
		loop, done := t.label("run"), t.label("merged")
		t.place(loop)
		t.onlyIf(t.to(pred, "setp.ge.s32", i, end), "bra", done)
		t.do("add.s64", at0, at0, num(8*t.run))
		t.halve(func(place string) string { // from its end
			back := t.to(word, "sub.s32", num(t.run-1), place)
			return t.to(long, "ld.global.b64", at(t.offset(at0, back, 8), 0))
		})
		t.do("add.s32", i, i, "1")
		t.do("bra", loop)
		t.place(done)
		t.store(left == 1, task, row) // of each thread the places that it writes for the next task
	})
	return t.kernel(name, params, entriesBytes(t.run), left, runs*t.run)
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
	for _, place := range t.places() {
		e := t.to(long, "ld.shared.b64", at(t.address(place), 0))
		if !last {
			to := t.to(long, "mad.lo.s64", task, num(8*t.run), t.byName["to"])
			t.do("st.global.b64", at(t.offset(to, place, 8), 0), e)
			continue
		}
		inverted, key, there := t.reg(word), t.reg(word), ""
		t.do("mov.b64", vector(inverted, key), e)
		if t.K < t.run {
			there = t.to(pred, "setp.lt.s32", place, num(t.K))
		}
		mask := t.to(word, "or.b32", t.to(word, "not.b32", t.to(word, "shr.s32", key, "31")), "0x80000000")
		value, index := t.to(float, "mov.b32", t.to(word, "xor.b32", key, mask)), t.to(word, "not.b32", inverted)
		t.guarded(there, "st.global.f32", at(t.result("values", t.Values, row, place), 0), value)
		t.guarded(there, "st.global.b32", at(t.result("indices", t.Indices, row, place), 0), index)
	}
}

// result is the address of element i of a row's result.
func (t *top) result(name string, o kernels.Out, row, i string) string {
	to := t.to(long, "mad.lo.s64", t.offsetOf(row, o.Strides), "4", t.byName[name])
	return t.offset(to, i, 4*o.Strides[len(o.Strides)-1])
}
