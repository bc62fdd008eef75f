package ptx

import (
	"math"

	"pgc/codegen/kernels"
	"pgc/codegen/packing"
)

// argmaxOf is what a product keeps that finds the greatest of some columns: a task is strips that follow each other,
// and its result is the pair of the greatest value and its index. NaN counts as +Inf at index -1.
type argmaxOf struct {
	block, done  string // number of the task, and of that of the strip whose sums meet
	value, index string // the greatest so far of the thread's columns
	whole        string // the strip is the last of its task
}

const (
	keptBytes = warp * 4      // where the epilogue leaves values
	noIndex   = math.MaxInt32 // behind all others
)

// beginArgmax turns the number of a task into that of its first strip.
func (f *few) beginArgmax() {
	f.block, f.done, f.whole, f.value, f.index = f.reg(word), f.reg(word), f.reg(pred), f.reg(float), f.reg(word)
	f.do("mov.b32", f.block, f.task)
	f.do("mul.lo.s32", f.task, f.block, num(f.argmax))
	f.forget()
}

// forget begins with no column.
func (f *few) forget() {
	f.do("mov.f32", f.value, floatNum(math.Inf(-1)))
	f.do("mov.b32", f.index, num(noIndex))
}

// nextOfTask finds the next strip, of the same task or of the next one.
func (f *few) nextOfTask(tasks string) {
	all := f.tasksOfAll(1)
	f.do("add.s32", f.task, f.task, "1")
	in := f.to(word, "rem.s32", f.task, num(f.argmax))
	in = f.to(word, "selp.b32", "0", in, f.to(pred, "setp.ge.s32", f.task, num(all)))
	f.do("setp.eq.s32", f.whole, in, "0")
	next := f.to(word, "add.s32", f.to(word, "mov.u32", "%nctaid.x"), f.block)
	first := f.to(word, "mul.lo.s32", next, num(f.argmax))
	f.do("selp.b32", f.task, first, f.task, f.whole)
	f.do("mov.b32", f.done, f.block)
	f.do("selp.b32", f.block, next, f.block, f.whole)
	f.do("setp.lt.s32", f.more, f.block, tasks)
}

// keep joins the values of a strip, column c and on, to what the thread has; the last strip of a task stores the pair.
func (f *few) keep(end *kernels.Kernel, locals []binding, c string) {
	p := &f.Parts[f.parts[0]]
	slot := f.to(word, "add.s32", f.base, num(f.shared()-keptBytes))
	// The epilogue stores column c at element c.
	from := f.to(long, "mad.lo.s64", c, "-4", f.to(long, "cvt.u64.u32", slot))
	f.bound["out0"] = binding{reg: from, shared: true}
	f.inline(end, locals...)
	col := f.to(word, "add.s32", f.to(word, "cvt.u32.u64", c), f.lane)
	inside := f.to(pred, "setp.lt.s32", col, num(p.N))
	inside = f.to(pred, "and.pred", inside, f.to(pred, "setp.lt.s32", f.lane, num(packing.PanelWidth)))
	v := f.to(float, "mov.f32", floatNum(math.Inf(-1)))
	f.onlyIf(inside, "ld.shared.f32", v, at(f.to(word, "mad.lo.s32", f.lane, "4", slot), 0))
	number := f.to(pred, "setp.eq.f32", v, v)
	v = f.to(float, "selp.f32", v, floatNum(math.Inf(1)), number)
	i := f.to(word, "selp.b32", col, "-1", number)
	i = f.to(word, "selp.b32", i, num(noIndex), inside)
	f.join(v, i)

	skip := f.label("kept")
	f.onlyIf("!"+f.whole, "bra", skip)
	for n := packing.PanelWidth / 2; n > 0; n /= 2 {
		v := f.to(float, "shfl.sync.down.b32", f.value, num(int64(n)), "31", everyone)
		i := f.to(word, "shfl.sync.down.b32", f.index, num(int64(n)), "31", everyone)
		f.join(v, i)
	}
	to := f.offset(f.byName["out0"], f.done, 4)
	f.onlyIf(f.first, "st.global.f32", at(to, 0), f.value)
	f.onlyIf(f.first, "st.global.b32", at(to, 4*p.Partials()), f.index)
	f.forget()
	f.place(skip)
}

// join takes a pair where its value is greater, or as great and earlier.
func (f *few) join(v, i string) {
	take := f.to(pred, "and.pred", f.to(pred, "setp.eq.f32", v, f.value), f.to(pred, "setp.lt.s32", i, f.index))
	take = f.to(pred, "or.pred", take, f.to(pred, "setp.gt.f32", v, f.value))
	f.do("selp.f32", f.value, v, f.value, take)
	f.do("selp.b32", f.index, i, f.index, take)
}
