package ptx

import (
	"math"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/tile"
)

// sortRuns emits what reads a row: a block takes a chunk, four elements a thread, sorts it and leaves the greater half, or
// of the only chunk the results, besides the chunk's maximum and the sum of its exponentials.
func (t *top) sortRuns(name string, maxima, sums, to kernels.Arg) *backend.Kernel {
	t.pointer("x", tile.F32, kernels.Arg{Kind: kernels.ArgIn, Aligned: t.Row.In[0].Aligned})
	t.pointer("maxima", tile.F32, maxima)
	t.pointer("sums", tile.F32, sums)
	t.destination(t.chunks == 1, to)
	params := t.begin()
	exponential := newExpression(t.Row.Reduce[1].Expr, 2)
	t.eachTask(func(task string) {
		row, chunk := t.split(task, t.chunks)
		index := t.to(word, "mad.lo.s32", t.thread, "4", t.to(word, "mul.lo.s32", chunk, num(2*t.run)))
		values, inside := t.elements(row, index)
		t.note("The entries.")
		var entries []string
		for j, v := range values {
			entries = append(entries, t.entryFor(v, index, int64(j), inside[j]))
		}
		t.sortFour(entries)
		t.partial(values, exponential, row, chunk)
		t.sort()
		t.halve(func(place string) string {
			return t.to(long, "ld.shared.b64", at(t.address(t.to(word, "add.s32", place, num(t.run))), 0))
		})
		t.store(t.chunks == 1, task, row)
		t.do("bar.sync", "0") // all have read what the next task overwrites
	})
	return t.kernel(name, params, t.sharedBytes(), t.chunks, t.Row.C.N)
}

// sharedBytes are two runs, and a pair of floats for each warp.
func (t *top) sharedBytes() int64 { return entriesBytes(2*t.run) + 8*t.threads/warp }

// elements loads the four elements of a thread, index and on; those behind the end are -Inf. inside says which are
// elements, "" for all.
func (t *top) elements(row, index string) (values, inside []string) {
	x := t.Row.In[0]
	last := len(x.Strides) - 1
	n := t.Row.C.N
	values, inside = t.regs(float, 4), make([]string, 4)
	ragged := n%(2*t.run) != 0
	for j := range values {
		t.do("mov.f32", values[j], floatNum(math.Inf(-1)))
		if ragged {
			inside[j] = t.to(pred, "setp.lt.s32", index, num(n-int64(j)))
		}
	}
	from := t.to(long, "mad.lo.s64", t.offsetOf(row, x.Strides), "4", t.byName["x"])
	from = t.to(long, "mad.wide.u32", index, num(4*x.Strides[last]), from)
	whole := x.Aligned && x.Strides[last] == 1
	for d, s := range x.Strides[:last] {
		whole = whole && (s%4 == 0 || t.Row.Outer[d] == kernels.Const(1))
	}
	if whole {
		t.guarded(inside[3], "ld.global.v4.f32", vector(values...), at(from, 0))
		if n%4 == 0 || !ragged {
			return values, inside
		}
	}
	for j, v := range values {
		guard := inside[j]
		if whole { // those of the thread that has the end
			guard = t.to(pred, "and.pred", inside[j], t.to(pred, "not.pred", inside[3]))
		}
		t.guarded(guard, "ld.global.f32", v, at(from, 4*int64(j)*x.Strides[last]))
	}
	return values, inside
}

// entryFor makes an entry of element j behind index: bits whose unsigned order is that of the floats, all of them for NaN,
// and below them those of the index, inverted; 0 where there is no element, which counts as -Inf.
func (t *top) entryFor(v, index string, j int64, inside string) string {
	bits := t.to(word, "mov.b32", t.to(float, "add.rn.f32", v, floatNum(0))) // a zero is positive
	mask := t.to(word, "or.b32", t.to(word, "shr.s32", bits, "31"), "0x80000000")
	key := t.to(word, "xor.b32", bits, mask)
	key = t.to(word, "selp.b32", key, "0xffffffff", t.to(pred, "setp.eq.f32", v, v))
	place := t.to(word, "sub.s32", num(-1-j), index)
	if inside != "" {
		place = t.to(word, "selp.b32", place, "0", inside)
	}
	return t.to(long, "mov.b64", vector(place, key))
}

// partial stores the maximum of a chunk and the sum of its exponentials less it: those of warps first, then, behind a
// barrier, those of all.
func (t *top) partial(values []string, exponential *expression, row, chunk string) {
	t.note("The chunk's share of the log-sum-exp.")
	most := t.everyLane("max.f32", t.to(float, "max.f32", t.to(float, "max.f32", values[0], values[1]), t.to(float, "max.f32", values[2], values[3])))
	var e []string
	for _, v := range values {
		e = append(e, t.apply(exponential, v, most))
	}
	add := func(x, y string) string { return t.to(float, "add.rn.f32", x, y) }
	sum := t.everyLane("add.rn.f32", add(add(e[0], e[1]), add(e[2], e[3])))
	warps := t.threads / warp
	if warps == 1 {
		t.storePartial(t.first, row, chunk, most, sum)
		t.do("bar.sync", "0")
		return
	}
	pairs := entriesBytes(2 * t.run)
	own := t.to(word, "mad.lo.s32", t.to(word, "shr.u32", t.thread, "5"), "8", t.base)
	t.onlyIf(t.first, "st.shared.v2.f32", at(own, pairs), vector(most, sum))
	t.do("bar.sync", "0")
	skip := t.label("partial")
	t.onlyIf(t.to(pred, "setp.ge.s32", t.thread, num(warp)), "bra", skip)
	pair := []string{t.to(float, "mov.f32", floatNum(math.Inf(-1))), t.to(float, "mov.f32", floatNum(0))}
	there := t.to(pred, "setp.lt.s32", t.thread, num(warps))
	t.onlyIf(there, "ld.shared.v2.f32", vector(pair...), at(t.to(word, "mad.lo.s32", t.thread, "8", t.base), pairs))
	all := t.everyLane("max.f32", pair[0])
	share := t.to(float, "mul.rn.f32", pair[1], t.apply(exponential, pair[0], all))
	t.storePartial(t.first, row, chunk, all, t.everyLane("add.rn.f32", share))
	t.place(skip)
}

// storePartial stores a chunk's maximum and sum.
func (t *top) storePartial(guard, row, chunk, most, sum string) {
	off := t.to(long, "add.s64", t.offsetOf(row, partialStrides(t.Top, t.chunks)), t.to(long, "cvt.u64.u32", chunk))
	t.onlyIf(guard, "st.global.f32", at(t.to(long, "mad.lo.s64", off, "4", t.byName["maxima"]), 0), most)
	t.onlyIf(guard, "st.global.f32", at(t.to(long, "mad.lo.s64", off, "4", t.byName["sums"]), 0), sum)
}

// everyLane folds the values of a warp, and every lane has the result.
func (t *top) everyLane(op, v string) string {
	for n := warp / 2; n > 0; n /= 2 {
		v = t.to(float, op, v, t.to(float, "shfl.sync.bfly.b32", v, num(int64(n)), "31", everyone))
	}
	return v
}
