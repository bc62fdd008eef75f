package llvm

import (
	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/constant"
	"github.com/llir/llvm/ir/enum"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"

	"pgc/ir/tile"
)

// address returns the pointer to n elements at p[off].
func (e *emitter) address(p, off value.Value, elem tile.Elem, n int) value.Value {
	at := e.element(elem, p, off)
	if n > 1 {
		at = e.cur.NewBitCast(at, types.NewPointer(vector(elemType(elem), n)))
	}
	return at
}

// element returns the pointer to p[off].
func (e *emitter) element(elem tile.Elem, p, off value.Value) value.Value {
	if c, ok := off.(*constant.Int); ok && c.X.Sign() == 0 {
		return p
	}
	return e.cur.NewGetElementPtr(elemType(elem), p, off)
}

// vector is n lanes of t, or t itself for one.
func vector(t types.Type, n int) types.Type {
	if n == 1 {
		return t
	}
	return types.NewVector(uint64(n), t)
}

// tail returns the lanes below count as i1 lanes.
func (e *emitter) tail(n int, count value.Value) value.Value {
	if c, ok := count.(*constant.Int); ok && c.X.IsInt64() {
		below := make([]constant.Constant, n)
		for i := range below {
			below[i] = constant.NewBool(int64(i) < c.X.Int64())
		}
		return constant.NewVector(types.NewVector(uint64(n), types.I1), below...)
	}
	all := constant.NewInt(types.I64, int64(n))
	few := e.cur.NewSelect(e.cur.NewICmp(enum.IPredSLT, count, all), count, all)
	none := constant.NewInt(types.I64, 0)
	some := e.cur.NewSelect(e.cur.NewICmp(enum.IPredSGT, few, none), few, none)
	return e.cur.NewICmp(enum.IPredSLT, lanes(0, n), e.splat(e.cur.NewTrunc(some, types.I32), n))
}

// when runs body in a block of its own if count is positive, and continues behind it with the value body gives, or with
// zero if it gives one and did not run.
func (e *emitter) when(count value.Value, body func() value.Value) value.Value {
	before := e.cur
	start := e.newBlock()
	v := body()
	end := e.cur
	after := e.newBlock()
	before.NewCondBr(before.NewICmp(enum.IPredSGT, count, constant.NewInt(types.I64, 0)), start, after)
	end.NewBr(after)
	if v == nil {
		return nil
	}
	return after.NewPhi(ir.NewIncoming(v, end), ir.NewIncoming(constant.NewZeroInitializer(v.Type()), before))
}

// load reads elements and converts them to their register type.
func load(e *emitter, in *tile.Inst, a []value.Value) value.Value {
	elem, n := in.Args[0].Type.Elem, in.Out[0].Type.Lanes
	raw := vector(elemType(elem), n)
	var v value.Value
	plain := func() value.Value {
		ld := e.cur.NewLoad(raw, e.address(a[0], a[1], elem, n))
		ld.Align = ir.Align(elem.Bytes())
		return ld
	}
	switch {
	case in.Op == tile.Load:
		v = plain()
	case n == 1:
		v = e.when(a[2], plain)
	default:
		v = e.intrinsic("llvm.masked.load."+suffix(raw)+".p0"+suffix(raw), raw, e.address(a[0], a[1], elem, n),
			constant.NewInt(types.I32, int64(elem.Bytes())), e.tail(n, a[2]), constant.NewZeroInitializer(raw))
	}
	switch elem {
	case tile.BF16:
		return e.cur.NewBitCast(e.cur.NewShl(e.cur.NewZExt(v, vector(types.I32, n)), i32s(16, n)), vector(types.Float, n))
	case tile.F16:
		return e.cur.NewFPExt(v, vector(types.Float, n))
	}
	return v
}

// store writes a fragment, converted to the element type of the memory.
func store(e *emitter, in *tile.Inst, a []value.Value) {
	elem, n, v := in.Args[0].Type.Elem, in.Args[2].Type.Lanes, a[2]
	switch elem {
	case tile.BF16:
		v = e.bfloat16(v, n)
	case tile.F16:
		v = e.cur.NewFPTrunc(v, vector(types.Half, n))
	}
	plain := func() value.Value {
		st := e.cur.NewStore(v, e.address(a[0], a[1], elem, n))
		st.Align = ir.Align(elem.Bytes())
		return nil
	}
	switch {
	case in.Op == tile.Store:
		plain()
	case n == 1:
		e.when(a[3], plain)
	default:
		s := suffix(v.Type())
		e.intrinsic("llvm.masked.store."+s+".p0"+s, types.Void, v, e.address(a[0], a[1], elem, n),
			constant.NewInt(types.I32, int64(elem.Bytes())), e.tail(n, a[3]))
	}
}

func i32s(v int64, n int) constant.Constant {
	return splatConst(tile.Vec(tile.I32, n), constant.NewInt(types.I32, v))
}

// bfloat16 rounds floats to nearest, ties to even, as i16 lanes; NaN stays one.
func (e *emitter) bfloat16(v value.Value, n int) value.Value {
	b := e.cur
	u := b.NewBitCast(v, vector(types.I32, n))
	high := b.NewLShr(u, i32s(16, n))
	odd := b.NewAnd(high, i32s(1, n))
	rounded := b.NewLShr(b.NewAdd(b.NewAdd(u, i32s(0x7fff, n)), odd), i32s(16, n))
	nan := b.NewFCmp(enum.FPredUNO, v, v)
	return b.NewTrunc(b.NewSelect(nan, b.NewOr(high, i32s(0x40, n)), rounded), vector(types.I16, n))
}

// begin returns the pointer to p[off], at being p, which is made once in a block: for what lies a constant behind it. llc
// takes every sum with a constant apart, and an unrolled body has many.
func (e *emitter) begin(p, off *tile.Value, at value.Value) value.Value {
	from := [2]*tile.Value{p, off}
	if e.begun[from] == nil {
		if e.begun == nil {
			e.begun = map[[2]*tile.Value]value.Value{}
		}
		e.begun[from] = e.element(p.Type.Elem, at, e.vals[off.ID])
	}
	return e.begun[from]
}

// prefetch asks for a cache line to read.
func prefetch(e *emitter, in *tile.Inst, a []value.Value) {
	elem, p, off := in.Args[0].Type.Elem, a[0], a[1]
	if base, rest := tile.Displaced(in.Args[1]); rest != 0 && p == e.vals[in.Args[0].ID] {
		p, off = e.begin(in.Args[0], base, p), i64(rest)
	}
	at := e.cur.NewBitCast(e.element(elem, p, off), types.I8Ptr)
	i32 := func(v int64) value.Value { return constant.NewInt(types.I32, v) }
	e.intrinsic("llvm.prefetch.p0i8", types.Void, at, i32(0), i32(4-in.Imm), i32(1))
}
