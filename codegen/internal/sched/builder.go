package sched

import (
	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/constant"
	"github.com/llir/llvm/ir/enum"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"
)

// builder appends instructions to the block it is at. A field is a byte offset from an i8 pointer.
type builder struct {
	*ir.Block
	f *ir.Func
	// What runtimeFuncs made: pause, read the clock, futex system calls.
	pause, ticks, wait, wake value.Value
	takeOf, runOf            value.Value // what takeFuncs made
}

func i32(v int64) value.Value { return constant.NewInt(types.I32, v) }
func i64(v int64) value.Value { return constant.NewInt(types.I64, v) }

// block makes a new block, without entering it.
func (b *builder) block(name string) *ir.Block { return b.f.NewBlock(name) }

// at enters a block.
func (b *builder) at(block *ir.Block) { b.Block = block }

// field returns the address of the field at a fixed offset of p.
func (b *builder) field(p value.Value, offset int64, t types.Type) value.Value {
	return b.NewBitCast(b.NewGetElementPtr(types.I8, p, i64(offset)), types.NewPointer(t))
}

// load reads a field that nobody writes at the same time.
func (b *builder) load(p value.Value, offset int64, t types.Type) value.Value {
	return b.NewLoad(t, b.field(p, offset, t))
}

// acquire reads a field atomically: what its writer did before is seen after.
func (b *builder) acquire(p value.Value, offset int64, t *types.IntType) value.Value {
	l := b.NewLoad(t, b.field(p, offset, t))
	l.Atomic, l.Ordering, l.Align = true, enum.AtomicOrderingAcquire, ir.Align(t.BitSize/8)
	return l
}

// store writes a field atomically; later loads of this thread do not pass it.
func (b *builder) store(p value.Value, offset int64, t *types.IntType, v value.Value) {
	b.NewAtomicRMW(enum.AtomicOpXChg, b.field(p, offset, t), v, enum.AtomicOrderingSequentiallyConsistent)
}

// add adds to a field atomically and returns what it was before.
func (b *builder) add(p value.Value, offset int64, t *types.IntType, v value.Value) value.Value {
	return b.NewAtomicRMW(enum.AtomicOpAdd, b.field(p, offset, t), v, enum.AtomicOrderingSequentiallyConsistent)
}

// high returns the upper half of an i64 as i32.
func (b *builder) high(v value.Value) value.Value {
	return b.NewTrunc(b.NewLShr(v, i64(32)), types.I32)
}

// low returns the lower half of an i64 as i64.
func (b *builder) low(v value.Value) value.Value {
	return b.NewAnd(v, i64(0xffffffff))
}

// futexWait sleeps while the i32 field is v; futexWake wakes all who sleep on it.
func (b *builder) futexWait(p value.Value, offset int64, v value.Value) {
	b.NewCall(b.wait, b.field(p, offset, types.I32), v)
}

func (b *builder) futexWake(p value.Value, offset int64) {
	b.NewCall(b.wake, b.field(p, offset, types.I32))
}

// spin enters a loop that runs check, which leaves it by the branch it builds to a block of its own or else enters the
// block it is given, until limit ticks have gone by; then it enters the block timeout.
func (b *builder) spin(name string, limit value.Value, timeout *ir.Block, check func(again *ir.Block)) {
	loop, again := b.block(name+".spin"), b.block(name+".again")
	start := b.NewCall(b.ticks)
	b.NewBr(loop)
	b.at(loop)
	check(again)
	b.at(again)
	b.NewCall(b.pause)
	gone := b.NewSub(b.NewCall(b.ticks), start)
	b.NewCondBr(b.NewICmp(enum.IPredULT, gone, limit), loop, timeout)
}

// machine is how an architecture names itself and makes system calls, waits a moment and reads its clock.
type machine struct {
	triple               string
	futex                int64     // the number of the system call
	system, pause, ticks [2]string // assembly and its constraints
}

var machines = map[string]machine{
	"amd64": {triple: "x86_64-unknown-linux-gnu", futex: 202,
		system: [2]string{"syscall", "={rax},{rax},{rdi},{rsi},{rdx},{r10},~{rcx},~{r11},~{memory},~{dirflag},~{fpsr},~{flags}"},
		pause:  [2]string{"pause", ""},
		ticks:  [2]string{"rdtsc; shlq $$32, %rdx; orq %rdx, %rax", "={rax},~{rdx},~{dirflag},~{fpsr},~{flags}"}},
	"arm64": {triple: "aarch64-unknown-linux-gnu", futex: 98,
		system: [2]string{"svc #0", "={x0},{x8},{x0},{x1},{x2},{x3},~{memory},~{cc}"},
		pause:  [2]string{"isb", "~{memory}"},
		ticks:  [2]string{"mrs $0, cntvct_el0", "=r"}},
}

// assembly returns a function of inline assembly.
func assembly(text [2]string, sig *types.FuncType) *ir.InlineAsm {
	a := ir.NewInlineAsm(types.NewPointer(sig), text[0], text[1])
	a.SideEffect = true
	return a
}

// runtimeFuncs defines what is not plain LLVM IR: a pause, the clock, the futex system calls.
func (b *builder) runtimeFuncs(m *ir.Module, to machine) {
	b.pause = assembly(to.pause, types.NewFunc(types.Void))
	b.ticks = assembly(to.ticks, types.NewFunc(types.I64))
	word := types.NewPointer(types.I32)
	const wait, wake = 0 | 128, 1 | 128 // FUTEX_WAIT, FUTEX_WAKE, each private to the process

	p, v := ir.NewParam("word", word), ir.NewParam("value", types.I32)
	f := m.NewFunc("pgc_futex_wait", types.Void, p, v)
	body := f.NewBlock("entry")
	to.futexCall(body, p, wait, body.NewZExt(v, types.I64))
	body.NewRet(nil)

	p = ir.NewParam("word", word)
	g := m.NewFunc("pgc_futex_wake", types.Void, p)
	body = g.NewBlock("entry")
	to.futexCall(body, p, wake, i64(1<<31-1))
	body.NewRet(nil)

	b.wait, b.wake = f, g
	for _, f := range []*ir.Func{f, g} {
		f.Linkage = enum.LinkageInternal
		f.FuncAttrs = append(f.FuncAttrs, enum.FuncAttrNoInline, enum.FuncAttrNoUnwind)
	}
}

// futexCall makes the system call futex(word, op, v, NULL): without a time limit.
func (m *machine) futexCall(b *ir.Block, word value.Value, op int64, v value.Value) {
	sig := types.NewFunc(types.I64, types.I64, types.NewPointer(types.I32), types.I64, types.I64, types.I64)
	b.NewCall(assembly(m.system, sig), i64(m.futex), word, i64(op), v, i64(0))
}
