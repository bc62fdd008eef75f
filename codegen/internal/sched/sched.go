package sched

import (
	"fmt"

	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/enum"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"

	"pgc/runtime/program"
)

// Symbol is the name of the worker loop: void(i8* control, i64 index), where control is a control block (program.Ctl…)
// and index the worker's number from 0. It returns when the control block says stop.
const Symbol = "pgc_worker"

const (
	epochAt    = program.CtlState + 4      // the upper half of the state word
	inJob      = program.StateCanceled - 1 // the bits of the state word that count workers
	recShift   = 7                         // RecordBytes == 1 << recShift
	traShift   = 5                         // TraceBytes == 1 << traShift
	shareShift = 7                         // ShareBytes == 1 << shareShift
	oneTask    = 0                         // what a worker takes of its own share
	half       = -1                        // what another one takes of what is left of it
)

// Source returns the LLVM IR text of the worker loop, to be compiled for any processor of an architecture, one of Go's
// GOARCH.
func Source(arch string) (ll string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("sched: building the worker loop: %v", r)
		}
	}()
	to, ok := machines[arch]
	if !ok {
		return "", fmt.Errorf("sched: no worker loop for %s", arch)
	}
	m := ir.NewModule()
	m.TargetTriple = to.triple
	b := &builder{}
	b.runtimeFuncs(m, to)
	b.takeFuncs(m)
	b.worker(m)
	return m.String(), nil
}

// worker builds the loop. Its blocks, in order:
//
//	wait    until the epoch differs from the one last seen, asleep
//	open    stop, or join the job unless it is closed already
//	idle    asleep, for a spare worker that may not be in jobs now
//	launch  for each launch record: take tasks and do them, unless the job is canceled; then wait until it is complete
//	leave   the job, close it, and finish it if this was the last worker in it
func (b *builder) worker(m *ir.Module) {
	ctl, index := ir.NewParam("control", types.I8Ptr), ir.NewParam("index", types.I64)
	b.f = m.NewFunc(Symbol, types.Void, ctl, index)
	b.f.FuncAttrs = append(b.f.FuncAttrs, enum.FuncAttrNoUnwind)

	b.at(b.block("entry"))
	entry := b.Block
	base := b.load(ctl, program.CtlScratch, types.I64)
	scratch := b.NewIntToPtr(b.NewAdd(base, b.NewMul(index, b.load(ctl, program.CtlStride, types.I64))), types.I8Ptr)
	w := &walk{builder: b, ctl: ctl, index: index, scratch: scratch, spinNow: b.NewAlloca(types.I64), did: b.NewAlloca(types.I64), dry: b.NewAlloca(types.I1)}
	w.limit = b.load(ctl, program.CtlSpin, types.I64)
	b.NewStore(w.limit, w.spinNow)
	wait, open, join, leave, stop := b.block("wait"), b.block("open"), b.block("join"), b.block("leave"), b.block("stop")
	idle := b.block("idle")
	b.NewBr(wait)

	b.at(wait)
	seen := b.NewPhi(ir.NewIncoming(i32(0), entry))
	sleep := b.block("wait.sleep")
	changed := func() value.Value {
		return b.NewICmp(enum.IPredNE, b.acquire(ctl, epochAt, types.I32), seen)
	}
	b.NewCondBr(changed(), open, sleep)
	b.at(sleep)
	b.add(ctl, program.CtlSleepers, types.I32, i32(1))
	b.futexWait(ctl, epochAt, seen)
	b.add(ctl, program.CtlSleepers, types.I32, i32(-1))
	b.NewCondBr(changed(), open, sleep)

	b.at(open)
	state := b.acquire(ctl, program.CtlState, types.I64)
	epoch := b.high(state)
	allowed, candidate, try := b.block("open.allowed"), b.block("open.candidate"), b.block("open.try")
	b.NewCondBr(b.NewICmp(enum.IPredNE, b.acquire(ctl, program.CtlStop, types.I32), i32(0)), stop, allowed)
	b.at(allowed)
	spares := b.acquire(ctl, program.CtlSpares, types.I32)
	b.NewCondBr(w.mayWork(spares), candidate, idle)
	b.at(idle)
	b.futexWait(ctl, program.CtlSpares, spares)
	b.NewBr(open)
	b.at(candidate)
	closed := b.NewICmp(enum.IPredNE, b.NewAnd(state, i64(program.StateClosed)), i64(0))
	b.NewCondBr(closed, wait, try)
	seen.Incs = append(seen.Incs, ir.NewIncoming(epoch, candidate))
	b.at(try)
	swap := b.NewCmpXchg(b.field(ctl, program.CtlState, types.I64), state, b.NewAdd(state, i64(1)),
		enum.AtomicOrderingSequentiallyConsistent, enum.AtomicOrderingAcquire)
	b.NewCondBr(b.NewExtractValue(swap, 1), join, open)

	b.at(join)
	w.launches(leave, open)

	b.at(leave)
	b.NewAtomicRMW(enum.AtomicOpOr, b.field(ctl, program.CtlState, types.I64), i64(program.StateClosed),
		enum.AtomicOrderingSequentiallyConsistent)
	others := b.NewAnd(b.add(ctl, program.CtlState, types.I64, i64(-1)), i64(inJob))
	finish := b.block("finish")
	seen.Incs = append(seen.Incs, ir.NewIncoming(epoch, leave), ir.NewIncoming(epoch, finish))
	b.NewCondBr(b.NewICmp(enum.IPredEQ, others, i64(1)), finish, wait)
	b.at(finish)
	b.store(ctl, program.CtlTicks, types.I64, b.NewCall(b.ticks))
	b.store(ctl, program.CtlDone, types.I32, epoch)
	b.futexWake(ctl, program.CtlDone)
	b.NewBr(wait)

	b.at(stop)
	b.NewRet(nil)
}

// canceled reads whether the job is canceled.
func (b *builder) canceled(ctl value.Value) value.Value {
	state := b.acquire(ctl, program.CtlState, types.I64)
	return b.NewICmp(enum.IPredNE, b.NewAnd(state, i64(program.StateCanceled)), i64(0))
}

// trace notes in a trace record that a task began at the tick begin and is done now, and goes on in the block next.
func (b *builder) trace(rec, begin value.Value, next *ir.Block) {
	end := b.NewCall(b.ticks)
	put := func(offset int64, v value.Value) { b.NewStore(v, b.field(rec, offset, types.I64)) }
	plus := func(offset int64, v value.Value) { put(offset, b.NewAdd(b.load(rec, offset, types.I64), v)) }
	start := b.load(rec, program.TraceStart, types.I64)
	put(program.TraceStart, b.NewSelect(b.NewICmp(enum.IPredEQ, start, i64(0)), begin, start))
	put(program.TraceEnd, end)
	plus(program.TraceTicks, b.NewSub(end, begin))
	plus(program.TraceTasks, i64(1))
	b.NewBr(next)
}
