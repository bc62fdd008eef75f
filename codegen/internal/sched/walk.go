package sched

import (
	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/constant"
	"github.com/llir/llvm/ir/enum"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"

	"pgc/runtime/program"
)

// A worker without tasks first waits for the others' last ones, if all have come: as long as 1/patience of the time it
// may spin. Then it looks whether they have left any.
const patience = 128

// leastSpin is the divisor of the shortest time that a worker spins: it halves where waiting did not help, as beside
// other programs, and doubles where it did.
const leastSpin = 32

// fewWorkers wait for a launch by its count of tasks rather than by the number of complete launches: so the end of a launch
// reaches the other one a line of the cache earlier, 0.1 µs. The line of the count is written by everyone who has
// done tasks; many that read it would hold that up.
const fewWorkers = 2

// walk builds a worker's walk over the launch records of a job.
type walk struct {
	*builder
	ctl, index, scratch value.Value
	limit               value.Value // ticks to spin at most
	spinNow             value.Value // i64*: ticks to spin now
	did                 value.Value // i64*: tasks of the launch that are done and not counted yet
	dry                 value.Value // i1*: no runs are left besides shares

	workers, first, stamp, traces value.Value // what the job's walk reads once
	spare                         value.Value // whether this worker is a spare one

	// Of a launch.
	i, number, rec, tasks, kernel, args value.Value
	begins                              value.Value // what the kernel calls the first task
	share                               value.Value // tasks of a share
	direct                              value.Value // whether workers wait for the count of its tasks
	watched, target                     value.Value // i64*: what they wait for, and the number that it must reach
}

// launches builds the walk; it ends in the block leave, or for a spare worker whom others do without in the block
// retired. For a launch, its blocks are:
//
//	retire as a spare worker that may not be in jobs any more
//	own    take a task of the own share and run it, or else
//	runs   take a run of what is in no share and run it, or else
//	count  add what was done to the launch's count; the one that completes it tells all
//	await  until it is complete, a moment spinning
//	rescue take half of what another worker has not begun of its share and run it
//	sleep  spinning first, then in the kernel
func (b *walk) launches(leave, retired *ir.Block) {
	table, count, reached := b.job()
	from := b.Block
	launch, body, next := b.block("launch"), b.block("launch.body"), b.block("launch.next")
	own, runs, run := b.block("own"), b.block("runs"), b.block("run")
	counted, wait, rescue, sleep := b.block("count"), b.block("await"), b.block("rescue"), b.block("sleep")
	b.NewBr(launch)

	b.at(launch)
	i := b.NewPhi(ir.NewIncoming(reached, from))
	more := b.block("launch.more")
	b.NewCondBr(b.NewICmp(enum.IPredULT, i, count), more, leave)
	b.at(more)
	b.retire(retired, body)

	b.at(body)
	shared := b.record(table, i)
	b.NewCondBr(b.NewICmp(enum.IPredEQ, b.tasks, i64(0)), next, own)

	b.at(own)
	shares := b.block("own.share")
	b.NewCondBr(b.spare, runs, shares)
	b.at(shares)
	b.unlessCanceled("own", counted)
	task, n := b.take("own", b.index, oneTask, runs)
	ranges := []taken{{task, n, b.Block}}
	b.NewBr(run)

	b.at(runs)
	ranges = append(ranges, b.takeRun(shared, counted))
	b.NewBr(run)
	rescued := b.rescue(rescue, run, sleep)
	b.tasksOf(run, append(ranges, rescued), own)

	b.at(counted)
	b.count(wait, next)

	b.at(wait)
	b.unlessCanceled("await", leave)
	present := b.NewAnd(b.acquire(b.ctl, program.CtlState, types.I64), i64(inJob))
	moment := b.block("await.moment")
	b.NewCondBr(b.NewICmp(enum.IPredULT, present, b.workers), rescue, moment)
	b.at(moment)
	b.spinFor("await", b.NewUDiv(b.limit, i64(patience)), next, rescue)

	b.at(sleep)
	b.spinOrSleep(next)

	b.at(next)
	i.Incs = append(i.Incs, ir.NewIncoming(b.NewAdd(i, i64(1)), next))
	b.NewBr(launch)
}

// job reads what the launches of a job have in common. It returns their table, how many there are, and how many of them are
// complete.
func (b *walk) job() (table, count, reached value.Value) {
	ctl := b.ctl
	table = b.NewIntToPtr(b.load(ctl, program.CtlTable, types.I64), types.I8Ptr)
	count = b.load(ctl, program.CtlCount, types.I64)
	b.workers = b.load(ctl, program.CtlThreads, types.I64)
	b.first = b.load(ctl, program.CtlFirst, types.I64)
	b.stamp = b.NewICmp(enum.IPredNE, b.load(ctl, program.CtlStamp, types.I32), i32(0))
	b.traces = b.NewAdd(b.load(ctl, program.CtlTrace, types.I64), b.NewMul(b.index, b.load(ctl, program.CtlTraces, types.I64)))
	reached = b.NewSub(b.acquire(ctl, program.CtlComplete, types.I64), b.first)
	b.spare = b.NewICmp(enum.IPredUGE, b.index, b.workers)
	return table, count, reached
}

// record reads launch i of a table. It returns how many of its tasks the workers' shares hold.
func (b *walk) record(table, i value.Value) (shared value.Value) {
	b.i, b.number = i, b.NewAdd(b.first, i)
	b.rec = b.NewGetElementPtr(types.I8, table, b.NewShl(i, i64(recShift)))
	b.tasks = b.load(b.rec, program.RecTasks, types.I64)
	b.begins = b.load(b.rec, program.RecFirst, types.I64)
	abi := types.NewPointer(types.NewFunc(types.Void, types.I64Ptr, types.I64, types.I8Ptr))
	b.kernel = b.NewIntToPtr(b.load(b.rec, program.RecKernel, types.I64), abi)
	b.args = b.NewIntToPtr(b.load(b.rec, program.RecArgs, types.I64), types.I64Ptr)
	b.share = b.atMost(b.atLeast(b.NewUDiv(b.tasks, b.NewShl(b.workers, i64(1))), 1), program.MaxShare)
	b.direct = b.NewAnd(b.NewICmp(enum.IPredULE, b.workers, i64(fewWorkers)), b.NewICmp(enum.IPredUGT, b.tasks, i64(1)))
	b.watched = b.NewSelect(b.direct, b.field(b.rec, program.RecDone, types.I64), b.field(b.ctl, program.CtlComplete, types.I64))
	b.target = b.NewSelect(b.direct, b.tasks, b.NewAdd(b.number, i64(1)))
	b.NewStore(i64(0), b.did)
	shared = b.NewMul(b.share, b.workers)
	b.NewStore(b.NewICmp(enum.IPredULE, b.tasks, shared), b.dry)
	return shared
}

// takeRun takes the next run of the tasks behind the shares. Where there is none it goes to counted.
func (b *walk) takeRun(shared value.Value, counted *ir.Block) taken {
	dried := b.block("runs.dry")
	try := b.block("runs.try")
	b.NewCondBr(b.NewLoad(types.I1, b.dry), counted, try)
	b.at(try)
	b.unlessCanceled("runs", counted)
	number := b.add(b.rec, program.RecRuns, types.I64, i64(1))
	packed := b.NewCall(b.runOf, number, b.NewSub(b.tasks, shared), b.workers)
	found := b.block("runs.found")
	b.NewCondBr(b.NewICmp(enum.IPredEQ, packed, i64(0)), dried, found)
	b.at(dried)
	b.NewStore(constant.True, b.dry)
	b.NewBr(counted)
	b.at(found)
	return taken{b.NewAdd(shared, b.NewLShr(packed, i64(32))), b.low(packed), b.Block}
}

// count counts the tasks that this worker did. Whoever sees that all are done tells the end of the launch and goes to next,
// others go to wait.
func (b *walk) count(wait, next *ir.Block) {
	did := b.NewLoad(types.I64, b.did)
	b.NewStore(i64(0), b.did)
	addTo, ended, wake := b.block("count.add"), b.block("count.ended"), b.block("count.wake")
	b.NewCondBr(b.NewICmp(enum.IPredEQ, did, i64(0)), wait, addTo)
	b.at(addTo) // who did all tasks need not count them, unless somebody waits for the count, whose line the pool has cleared
	some := b.block("count.some")
	b.NewCondBr(b.NewAnd(b.NewICmp(enum.IPredEQ, did, b.tasks), b.NewXor(b.direct, constant.True)), ended, some)
	b.at(some)
	all := b.NewAdd(b.add(b.rec, program.RecDone, types.I64, did), did)
	b.NewCondBr(b.NewICmp(enum.IPredEQ, all, b.tasks), ended, wait)
	b.at(ended) // the end of the next launch may be told before, by those who saw the count
	b.NewAtomicRMW(enum.AtomicOpUMax, b.field(b.ctl, program.CtlComplete, types.I64), b.NewAdd(b.number, i64(1)), enum.AtomicOrderingSequentiallyConsistent)
	b.NewCondBr(b.NewICmp(enum.IPredNE, b.acquire(b.ctl, program.CtlWaiters, types.I32), i32(0)), wake, next)
	b.at(wake)
	b.futexWake(b.ctl, program.CtlComplete)
	b.NewBr(next)
}

// spinOrSleep waits for the end of the launch: it spins for as long as has helped lately, then sleeps.
func (b *walk) spinOrSleep(next *ir.Block) {
	spin := b.NewLoad(types.I64, b.spinNow)
	helped, enough := b.block("sleep.helped"), b.block("sleep.enough")
	b.spinFor("sleep", spin, helped, enough)
	b.at(helped)
	b.NewStore(b.atMostOf(b.NewShl(spin, i64(1)), b.limit), b.spinNow)
	b.NewBr(next)
	b.at(enough)
	b.NewStore(b.atLeastOf(b.NewLShr(spin, i64(1)), b.NewUDiv(b.limit, i64(leastSpin))), b.spinNow)
	b.sleep(next)
}

// taken is a run of tasks, and the block that has taken it.
type taken struct {
	first, n value.Value
	from     *ir.Block
}

// take takes tasks of a worker's share, one of them or half of what is left; it enters the block none where there are
// none.
func (b *walk) take(name string, worker value.Value, how int64, none *ir.Block) (first, n value.Value) {
	got := b.block(name + ".got")
	begin := b.NewMul(worker, b.share)
	share := b.NewGetElementPtr(types.I8, b.ctl, b.NewAdd(b.NewShl(worker, i64(shareShift)), i64(program.CtlBytes)))
	packed := b.NewCall(b.takeOf, share, b.number, b.atMostOf(b.NewSub(b.tasks, begin), b.share), i64(how))
	b.NewCondBr(b.NewICmp(enum.IPredEQ, packed, i64(0)), none, got)
	b.at(got)
	return b.NewAdd(begin, b.NewLShr(packed, i64(32))), b.low(packed)
}

// mayWork compares the number of a worker with the number of spare ones that may be in jobs.
func (b *walk) mayWork(spares value.Value) value.Value {
	workers := b.load(b.ctl, program.CtlThreads, types.I64)
	return b.NewICmp(enum.IPredULT, b.index, b.NewAdd(workers, b.NewZExt(spares, types.I64)))
}

// retire lets a spare worker that may not be in jobs any more leave this one, unless nobody else is in it, and enters
// retired; otherwise it enters the block on.
func (b *walk) retire(retired, on *ir.Block) {
	check, look, try := b.block("retire"), b.block("retire.look"), b.block("retire.try")
	b.NewCondBr(b.spare, check, on)
	b.at(check)
	b.NewCondBr(b.mayWork(b.acquire(b.ctl, program.CtlSpares, types.I32)), on, look)
	b.at(look)
	state := b.acquire(b.ctl, program.CtlState, types.I64)
	b.NewCondBr(b.NewICmp(enum.IPredUGT, b.NewAnd(state, i64(inJob)), i64(1)), try, on)
	b.at(try)
	swap := b.NewCmpXchg(b.field(b.ctl, program.CtlState, types.I64), state, b.NewSub(state, i64(1)),
		enum.AtomicOrderingSequentiallyConsistent, enum.AtomicOrderingAcquire)
	b.NewCondBr(b.NewExtractValue(swap, 1), retired, look)
}

// rescue builds the block that looks at the shares of all others, once around. A spare worker has none of its own.
func (b *walk) rescue(rescue, run, none *ir.Block) taken {
	look, following := b.block("rescue.look"), b.block("rescue.next")
	b.at(rescue)
	own := b.NewSelect(b.spare, b.NewSub(b.index, b.workers), b.index)
	begin := b.NewSelect(b.spare, i64(0), i64(1))
	b.NewBr(look)
	b.at(look)
	j := b.NewPhi(ir.NewIncoming(begin, rescue))
	one := b.block("rescue.one")
	b.NewCondBr(b.NewICmp(enum.IPredULT, j, b.workers), one, none)
	b.at(one)
	at := b.NewAdd(own, j)
	over := b.NewICmp(enum.IPredUGE, at, b.workers)
	first, n := b.take("rescue", b.NewSelect(over, b.NewSub(at, b.workers), at), half, following)
	got := b.Block
	b.NewBr(run)
	b.at(following)
	j.Incs = append(j.Incs, ir.NewIncoming(b.NewAdd(j, i64(1)), following))
	b.NewBr(look)
	return taken{first, n, got}
}

// tasksOf builds the block run, which runs tasks that were taken and notes them as done, then enters next. A canceled job's
// are not run to the end.
func (b *walk) tasksOf(run *ir.Block, of []taken, next *ir.Block) {
	b.at(run)
	var firsts, lengths []*ir.Incoming
	for _, t := range of {
		firsts, lengths = append(firsts, ir.NewIncoming(t.first, t.from)), append(lengths, ir.NewIncoming(t.n, t.from))
	}
	first, n := b.NewPhi(firsts...), b.NewPhi(lengths...)
	end := b.NewAdd(first, n)
	loop, timed, call, called, ran := b.block("run.task"), b.block("run.timed"), b.block("run.call"), b.block("run.called"), b.block("run.did")
	b.NewBr(loop)
	b.at(loop)
	task := b.NewPhi(ir.NewIncoming(first, run))
	named := b.NewAdd(b.begins, task)
	b.NewCondBr(b.stamp, timed, call)
	b.at(timed)
	begin := b.NewCall(b.ticks)
	b.NewCall(b.kernel, b.args, named, b.scratch)
	b.trace(b.NewIntToPtr(b.NewAdd(b.traces, b.NewShl(b.i, i64(traShift))), types.I8Ptr), begin, called)
	b.at(call)
	b.NewCall(b.kernel, b.args, named, b.scratch)
	b.NewBr(called)
	b.at(called)
	following := b.NewAdd(task, i64(1))
	task.Incs = append(task.Incs, ir.NewIncoming(following, called))
	more := b.NewICmp(enum.IPredULT, following, end)
	b.NewCondBr(b.NewAnd(more, b.NewXor(b.canceled(b.ctl), constant.True)), loop, ran)
	b.at(ran)
	b.NewStore(b.NewAdd(b.NewLoad(types.I64, b.did), n), b.did)
	b.NewBr(next)
}

// spinFor waits so many ticks for the end of the launch and enters done, or else late.
func (b *walk) spinFor(name string, ticks value.Value, done, late *ir.Block) {
	b.spin(name, ticks, late, func(again *ir.Block) { b.NewCondBr(b.complete(), done, again) })
}

// sleep waits in the kernel for the end of the launch and enters done.
func (b *walk) sleep(done *ir.Block) {
	again, doze, woken := b.block("doze.again"), b.block("doze"), b.block("doze.woken")
	b.add(b.ctl, program.CtlWaiters, types.I32, i32(1))
	b.NewBr(again)
	b.at(again)
	now := b.acquire(b.ctl, program.CtlComplete, types.I64)
	b.NewCondBr(b.NewICmp(enum.IPredUGT, now, b.number), woken, doze)
	b.at(doze)
	b.futexWait(b.ctl, program.CtlComplete, b.NewTrunc(now, types.I32))
	b.NewBr(again)
	b.at(woken)
	b.add(b.ctl, program.CtlWaiters, types.I32, i32(-1))
	b.NewBr(done)
}

// complete reads whether the launch is complete.
func (b *walk) complete() value.Value {
	l := b.NewLoad(types.I64, b.watched)
	l.Atomic, l.Ordering, l.Align = true, enum.AtomicOrderingAcquire, 8
	return b.NewICmp(enum.IPredUGE, l, b.target)
}

// unlessCanceled goes on unless the job is canceled, else in the block that is given.
func (b *walk) unlessCanceled(name string, otherwise *ir.Block) {
	on := b.block(name + ".on")
	b.NewCondBr(b.canceled(b.ctl), otherwise, on)
	b.at(on)
}
