package sched

import (
	"fmt"

	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/constant"
	"github.com/llir/llvm/ir/enum"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"

	"pgc/runtime/program"
)

// Symbol is the name of the worker loop: void(i8* control, i64 index), where control is a control block (program.Ctl…)
// and index the worker's number from 0. It returns when the control block says stop.
const Symbol = "pgc_worker"

const (
	epochAt  = program.CtlState + 4      // the upper half of the state word
	doneAt   = program.RecProgress + 4   // the upper half of the progress word
	inJob    = program.StateCanceled - 1 // the bits of the state word that count workers
	recShift = 6                         // RecordBytes == 1 << recShift
	traShift = 5                         // TraceBytes == 1 << traShift
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
	b.worker(m)
	return m.String(), nil
}

// worker builds the loop. Its blocks, in order:
//
//	wait    until the epoch differs from the one last seen, asleep
//	open    stop, or join the job unless it is closed already
//	launch  for each launch record: take runs of tasks and do them, unless the job is canceled; then wait until it is complete
//	leave   the job, close it, and finish it if this was the last worker in it
func (b *builder) worker(m *ir.Module) {
	ctl, index := ir.NewParam("control", types.I8Ptr), ir.NewParam("index", types.I64)
	b.f = m.NewFunc(Symbol, types.Void, ctl, index)
	b.f.FuncAttrs = append(b.f.FuncAttrs, enum.FuncAttrNoUnwind)

	b.at(b.block("entry"))
	entry := b.Block
	base := b.load(ctl, program.CtlScratch, types.I64)
	scratch := b.NewIntToPtr(b.NewAdd(base, b.NewMul(index, b.load(ctl, program.CtlStride, types.I64))), types.I8Ptr)
	limit := b.load(ctl, program.CtlSpin, types.I64)
	wait, open, join, leave, stop := b.block("wait"), b.block("open"), b.block("join"), b.block("leave"), b.block("stop")
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
	candidate, try := b.block("open.candidate"), b.block("open.try")
	b.NewCondBr(b.NewICmp(enum.IPredNE, b.acquire(ctl, program.CtlStop, types.I32), i32(0)), stop, candidate)
	b.at(candidate)
	closed := b.NewICmp(enum.IPredNE, b.NewAnd(state, i64(program.StateClosed)), i64(0))
	b.NewCondBr(closed, wait, try)
	seen.Incs = append(seen.Incs, ir.NewIncoming(epoch, candidate))
	b.at(try)
	swap := b.NewCmpXchg(b.field(ctl, program.CtlState, types.I64), state, b.NewAdd(state, i64(1)),
		enum.AtomicOrderingSequentiallyConsistent, enum.AtomicOrderingAcquire)
	b.NewCondBr(b.NewExtractValue(swap, 1), join, open)

	b.at(join)
	b.launches(ctl, index, scratch, limit, leave)

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

// launches builds the walk over the launch records; it ends in the block done.
func (b *builder) launches(ctl, index, scratch, limit value.Value, done *ir.Block) {
	table := b.NewIntToPtr(b.load(ctl, program.CtlTable, types.I64), types.I8Ptr)
	count := b.load(ctl, program.CtlCount, types.I64)
	stamp := b.NewICmp(enum.IPredNE, b.load(ctl, program.CtlStamp, types.I32), i32(0))
	traces := b.NewAdd(b.load(ctl, program.CtlTrace, types.I64), b.NewMul(index, b.load(ctl, program.CtlTraces, types.I64)))
	shares := b.NewShl(b.load(ctl, program.CtlThreads, types.I64), i64(1)) // a run is one of so many of the tasks left
	first := b.acquire(ctl, program.CtlReached, types.I64)
	from := b.Block
	launch, body, next := b.block("launch"), b.block("launch.body"), b.block("launch.next")
	take, complete := b.block("launch.take"), b.block("launch.complete")
	b.NewBr(launch)

	b.at(launch)
	i := b.NewPhi(ir.NewIncoming(first, from))
	b.NewCondBr(b.NewICmp(enum.IPredULT, i, count), body, done)

	b.at(body)
	rec := b.NewGetElementPtr(types.I8, table, b.NewShl(i, i64(recShift)))
	tasks := b.load(rec, program.RecTasks, types.I64)
	seen := b.acquire(rec, program.RecProgress, types.I64)
	abi := types.NewPointer(types.NewFunc(types.Void, types.I64Ptr, types.I64, types.I8Ptr))
	kernel := b.NewIntToPtr(b.load(rec, program.RecKernel, types.I64), abi)
	args := b.NewIntToPtr(b.load(rec, program.RecArgs, types.I64), types.I64Ptr)
	b.NewBr(take)

	b.at(take)
	progress := b.NewPhi(ir.NewIncoming(seen, body))
	taken := b.low(progress)
	some, try, retry, taskLoop := b.block("launch.some"), b.block("launch.try"), b.block("launch.retry"), b.block("launch.task")
	b.NewCondBr(b.NewICmp(enum.IPredULT, taken, tasks), some, complete)
	b.at(some)
	b.NewCondBr(b.canceled(ctl), done, try)
	b.at(try)
	share := b.NewUDiv(b.NewSub(tasks, taken), shares)
	length := b.NewAdd(share, b.NewZExt(b.NewICmp(enum.IPredEQ, share, i64(0)), types.I64)) // at least one
	swap := b.NewCmpXchg(b.field(rec, program.RecProgress, types.I64), progress, b.NewAdd(progress, length),
		enum.AtomicOrderingSequentiallyConsistent, enum.AtomicOrderingAcquire)
	b.NewCondBr(b.NewExtractValue(swap, 1), taskLoop, retry)
	b.at(retry)
	progress.Incs = append(progress.Incs, ir.NewIncoming(b.NewExtractValue(swap, 0), retry))
	b.NewBr(take)

	b.at(taskLoop)
	task := b.NewPhi(ir.NewIncoming(taken, try))
	timed, startTime, timedCall := b.block("launch.timed"), b.block("launch.start"), b.block("launch.timedcall")
	call, called, did := b.block("launch.call"), b.block("launch.called"), b.block("launch.did")
	b.NewCondBr(stamp, timed, call)
	b.at(timed)
	begin := b.NewCall(b.ticks)
	b.NewCondBr(b.NewICmp(enum.IPredEQ, task, i64(0)), startTime, timedCall)
	b.at(startTime)
	b.store(rec, program.RecStart, types.I64, begin)
	b.NewBr(timedCall)
	b.at(timedCall)
	b.NewCall(kernel, args, task, scratch)
	b.trace(b.NewIntToPtr(b.NewAdd(traces, b.NewShl(i, i64(traShift))), types.I8Ptr), begin, called)
	b.at(call)
	b.NewCall(kernel, args, task, scratch)
	b.NewBr(called)
	b.at(called)
	following := b.NewAdd(task, i64(1))
	task.Incs = append(task.Incs, ir.NewIncoming(following, called))
	more := b.NewICmp(enum.IPredULT, following, b.NewAdd(taken, length))
	b.NewCondBr(b.NewAnd(more, b.NewXor(b.canceled(ctl), constant.True)), taskLoop, did)
	b.at(did)
	after := b.NewAdd(b.add(rec, program.RecProgress, types.I64, b.NewShl(length, i64(32))), b.NewShl(length, i64(32)))
	ended := b.block("launch.ended")
	progress.Incs = append(progress.Incs, ir.NewIncoming(after, did))
	b.NewCondBr(b.NewICmp(enum.IPredEQ, b.NewLShr(after, i64(32)), tasks), ended, take)

	b.at(ended)
	endTime, tell, wake := b.block("launch.end"), b.block("launch.tell"), b.block("launch.wake")
	b.NewCondBr(stamp, endTime, tell)
	b.at(endTime)
	b.store(rec, program.RecEnd, types.I64, b.NewCall(b.ticks))
	b.NewBr(tell)
	b.at(tell)
	b.store(ctl, program.CtlReached, types.I64, b.NewAdd(i, i64(1)))
	asleep := b.acquire(rec, program.RecSleepers, types.I32)
	b.NewCondBr(b.NewICmp(enum.IPredNE, asleep, i32(0)), wake, next)
	b.at(wake)
	b.futexWake(rec, doneAt)
	b.NewBr(next)

	b.at(complete)
	all := b.NewTrunc(tasks, types.I32)
	sleep, recheck, doze := b.block("complete.sleep"), b.block("complete.recheck"), b.block("complete.doze")
	b.spin("complete", limit, sleep, func(again *ir.Block) {
		b.NewCondBr(b.NewICmp(enum.IPredEQ, b.acquire(rec, doneAt, types.I32), all), next, again)
	})
	b.at(sleep)
	b.store(rec, program.RecSleepers, types.I32, i32(1))
	b.NewBr(recheck)
	b.at(recheck)
	now := b.acquire(rec, doneAt, types.I32)
	b.NewCondBr(b.NewICmp(enum.IPredEQ, now, all), next, doze)
	b.at(doze)
	b.futexWait(rec, doneAt, now)
	b.NewBr(recheck)

	b.at(next)
	i.Incs = append(i.Incs, ir.NewIncoming(b.NewAdd(i, i64(1)), next))
	b.NewBr(launch)
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
