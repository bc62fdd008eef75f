// Package llvm emits tile kernels as LLVM IR through github.com/llir/llvm and compiles it with llc.
//
// Every instruction of the tile IR becomes the same arithmetic in LLVM: no fast-math, no calls into libm or libc, one
// vector type per fragment. llir knows no bfloat, so bfloat16 is carried as i16 and widened with a shift.
//
// The package sees tile kernels only, never an operation of a graph.
package llvm

import (
	"fmt"

	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/enum"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"

	"pgc/ir/target"
	"pgc/ir/tile"
)

// Emit returns the text of a module for a target with one function per kernel, of the kernel's name.
func Emit(t target.Target, kernels []*tile.Kernel) ([]byte, error) {
	m, err := module(t, kernels)
	if err != nil {
		return nil, err
	}
	return text(m)
}

func module(t target.Target, kernels []*tile.Kernel) (*ir.Module, error) {
	m := ir.NewModule()
	declared := map[string]*ir.Func{}
	for _, k := range kernels {
		if err := emitKernel(m, t, declared, k); err != nil {
			return nil, err
		}
	}
	return m, nil
}

type emitter struct {
	m        *ir.Module
	target   target.Target
	declared map[string]*ir.Func
	f        *ir.Func
	cur      *ir.Block
	blocks   int
	vals     []value.Value                  // by the number of the tile IR's value
	loop     *loop                          // that e.cur is in
	begun    map[[2]*tile.Value]value.Value // pointers that addresses of a block begin from, by pointer and offset
}

// emitKernel adds a kernel to m. llir panics on type errors; they become errors that name the kernel.
func emitKernel(m *ir.Module, t target.Target, declared map[string]*ir.Func, k *tile.Kernel) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("kernel %s: LLVM IR: %v", k.Name, r)
		}
	}()
	args := ir.NewParam("args", types.I64Ptr)
	task := ir.NewParam("task", types.I64)
	scratch := ir.NewParam("scratch", types.I8Ptr)
	e := &emitter{m: m, target: t, declared: declared, f: m.NewFunc(k.Name, types.Void, args, task, scratch),
		vals: make([]value.Value, k.NumValues())}
	// No unwind tables; nothing below the stack pointer, whoever else may use the thread's stack.
	e.f.FuncAttrs = append(e.f.FuncAttrs, enum.FuncAttrNoUnwind, enum.FuncAttrNoRedZone)
	if t.Tune != "" {
		e.f.FuncAttrs = append(e.f.FuncAttrs, ir.AttrPair{Key: "tune-cpu", Value: t.Tune})
	}
	e.newBlock()
	e.block(k.Body)
	e.cur.NewRet(nil)
	sweep(e.f)
	return nil
}

func (e *emitter) newBlock() *ir.Block {
	e.begun = nil
	e.cur = e.f.NewBlock(fmt.Sprintf("b%d", e.blocks))
	e.blocks++
	return e.cur
}

func (e *emitter) block(b *tile.Block) {
	for _, in := range b.Insts {
		switch in.Op {
		case tile.For:
			e.counted(in)
		case tile.If:
			e.branch(in)
		case tile.Store, tile.StoreTail:
			store(e, in, e.args(in))
		case tile.Prefetch:
			prefetch(e, in, e.args(in))
		case tile.TileConfig, tile.TileRelease, tile.TileZero, tile.TileLoad, tile.TileStore, tile.TileDotSS, tile.TileDotSU, tile.TileDotBF16:
			e.onTiles(in, e.args(in))
		case tile.Flush:
			e.flush(in, e.args(in))
		default:
			if e.vals[in.Out[0].ID] != nil {
				continue // a phi of the loop
			}
			e.vals[in.Out[0].ID] = emissions[in.Op](e, in, e.args(in))
		}
	}
}

func (e *emitter) args(in *tile.Inst) []value.Value {
	out := make([]value.Value, len(in.Args))
	for i, a := range in.Args {
		out[i] = e.vals[a.ID]
	}
	if len(out) > 1 && in.Args[0].Type.Ptr {
		out[0], out[1] = e.walked(in.Args[0], in.Args[1], out[0], out[1])
	}
	return out
}

func (e *emitter) branch(in *tile.Inst) {
	before := e.cur
	cond := e.vals[in.Args[0].ID]
	var starts, ends [2]*ir.Block
	for i, b := range in.Blocks {
		starts[i] = e.newBlock()
		e.block(b)
		ends[i] = e.cur
	}
	before.NewCondBr(cond, starts[0], starts[1])
	after := e.newBlock()
	ends[0].NewBr(after)
	ends[1].NewBr(after)
	for i, out := range in.Out {
		e.vals[out.ID] = after.NewPhi(ir.NewIncoming(e.vals[in.Blocks[0].Yield[i].ID], ends[0]),
			ir.NewIncoming(e.vals[in.Blocks[1].Yield[i].ID], ends[1]))
	}
}

// intrinsic declares an LLVM intrinsic once and calls it.
func (e *emitter) intrinsic(name string, ret types.Type, args ...value.Value) value.Value {
	f, ok := e.declared[name]
	if !ok {
		params := make([]*ir.Param, len(args))
		for i, a := range args {
			params[i] = ir.NewParam("", a.Type())
		}
		f = e.m.NewFunc(name, ret, params...)
		e.declared[name] = f
	}
	return e.cur.NewCall(f, args...)
}
