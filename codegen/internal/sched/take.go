package sched

import (
	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/enum"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"

	"pgc/runtime/program"
)

// takeFuncs defines the functions that hand out tasks.
func (b *builder) takeFuncs(m *ir.Module) {
	b.takeOf, b.runOf = b.takeFunc(m), b.runFunc(m)
}

// takeFunc defines i64 pgc_take(i8* share, i64 launch, i64 tasks, i64 how): it takes tasks of a share that has so many in a
// launch, and returns the first of them << 32 | how many, or 0 for none. how is oneTask or half.
func (b *builder) takeFunc(m *ir.Module) *ir.Func {
	share, launch := ir.NewParam("share", types.I8Ptr), ir.NewParam("launch", types.I64)
	tasks, how := ir.NewParam("tasks", types.I64), ir.NewParam("how", types.I64)
	f := b.internal(m, "pgc_take", types.I64, share, launch, tasks, how)
	look, current, try, got, none := b.block("look"), b.block("current"), b.block("try"), b.block("got"), b.block("none")
	b.NewBr(look)

	b.at(look)
	word := b.acquire(share, 0, types.I64)
	of := b.NewLShr(word, i64(program.ShareBits))
	b.NewCondBr(b.NewICmp(enum.IPredUGT, of, launch), none, current) // the launch is over
	b.at(current)
	taken := b.NewSelect(b.NewICmp(enum.IPredEQ, of, launch), b.NewAnd(word, i64(program.MaxShare)), i64(0))
	left := b.NewSub(tasks, taken)
	b.NewCondBr(b.NewICmp(enum.IPredSGT, left, i64(0)), try, none)
	b.at(try)
	n := b.atLeast(b.NewAnd(b.NewLShr(left, i64(1)), how), 1)
	after := b.NewOr(b.NewShl(launch, i64(program.ShareBits)), b.NewAdd(taken, n))
	swap := b.NewCmpXchg(b.field(share, 0, types.I64), word, after,
		enum.AtomicOrderingSequentiallyConsistent, enum.AtomicOrderingAcquire)
	b.NewCondBr(b.NewExtractValue(swap, 1), got, look)

	b.at(got)
	b.NewRet(b.NewOr(b.NewShl(taken, i64(32)), n))
	b.at(none)
	b.NewRet(i64(0))
	return f
}

// runFunc defines i64 pgc_run(i64 number, i64 tasks, i64 workers): the run of tasks with a number, as the first of them << 32
// | how many, or 0 if there is none. Every batch of a run for each worker is a quarter of the tasks that are left.
func (b *builder) runFunc(m *ir.Module) *ir.Func {
	number, tasks, workers := ir.NewParam("number", types.I64), ir.NewParam("tasks", types.I64), ir.NewParam("workers", types.I64)
	f := b.internal(m, "pgc_run", types.I64, number, tasks, workers)
	entry := b.Block
	batch, some, here, behind, got, none := b.block("batch"), b.block("some"), b.block("here"), b.block("behind"), b.block("got"), b.block("none")
	b.NewBr(batch)

	b.at(batch)
	i, first, left := b.NewPhi(ir.NewIncoming(number, entry)), b.NewPhi(ir.NewIncoming(i64(0), entry)), b.NewPhi(ir.NewIncoming(tasks, entry))
	b.NewCondBr(b.NewICmp(enum.IPredSGT, left, i64(0)), some, none)
	b.at(some)
	length := b.atLeast(b.NewUDiv(left, b.NewShl(workers, i64(2))), 1)
	b.NewCondBr(b.NewICmp(enum.IPredULT, i, workers), here, behind)
	b.at(behind)
	all := b.NewMul(length, workers)
	i.Incs = append(i.Incs, ir.NewIncoming(b.NewSub(i, workers), behind))
	first.Incs = append(first.Incs, ir.NewIncoming(b.NewAdd(first, all), behind))
	left.Incs = append(left.Incs, ir.NewIncoming(b.NewSub(left, all), behind))
	b.NewBr(batch)

	b.at(here)
	at := b.NewMul(i, length)
	rest := b.NewSub(left, at)
	b.NewCondBr(b.NewICmp(enum.IPredSGT, rest, i64(0)), got, none)
	b.at(got)
	b.NewRet(b.NewOr(b.NewShl(b.NewAdd(first, at), i64(32)), b.atMostOf(length, rest)))
	b.at(none)
	b.NewRet(i64(0))
	return f
}

// internal begins a function that only this module calls.
func (b *builder) internal(m *ir.Module, name string, result types.Type, params ...*ir.Param) *ir.Func {
	b.f = m.NewFunc(name, result, params...)
	b.f.Linkage = enum.LinkageInternal
	b.f.FuncAttrs = append(b.f.FuncAttrs, enum.FuncAttrNoUnwind)
	b.at(b.block("entry"))
	return b.f
}

// atMostOf returns the lesser of two signed numbers, atLeastOf the greater.
func (b *builder) atMostOf(x, most value.Value) value.Value {
	return b.NewSelect(b.NewICmp(enum.IPredSLT, x, most), x, most)
}

func (b *builder) atLeastOf(x, least value.Value) value.Value {
	return b.NewSelect(b.NewICmp(enum.IPredSGT, x, least), x, least)
}

func (b *builder) atMost(x value.Value, most int64) value.Value   { return b.atMostOf(x, i64(most)) }
func (b *builder) atLeast(x value.Value, least int64) value.Value { return b.atLeastOf(x, i64(least)) }
