package llvm

import (
	"math"
	"math/big"

	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/constant"
	"github.com/llir/llvm/ir/enum"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"

	"pgc/ir/tile"
)

// float returns a float constant; llir prints hexadecimal forms for what decimal cannot hold exactly.
func float(v float64) constant.Constant {
	v = float64(float32(v))
	switch {
	case math.IsNaN(v):
		return &constant.Float{Typ: types.Float, NaN: true, X: big.NewFloat(0)}
	case math.IsInf(v, 0):
		return &constant.Float{Typ: types.Float, X: new(big.Float).SetInf(v < 0)}
	}
	return constant.NewFloat(types.Float, v)
}

var floatUnary = map[tile.Op]string{tile.Abs: "fabs", tile.Sqrt: "sqrt", tile.Floor: "floor", tile.Rint: "nearbyint"}

func (e *emitter) inst(in *tile.Inst) value.Value {
	b, a, t := e.cur, e.args(in), in.Out[0].Type
	ll := llType(t)
	isFloat := len(in.Args) > 0 && in.Args[0].Type.IsFloat()
	switch in.Op {
	case tile.Param:
		slot := b.NewLoad(types.I64, b.NewGetElementPtr(types.I64, e.f.Params[0], constant.NewInt(types.I64, in.Imm)))
		slot.Align = 8
		if t.Ptr {
			return b.NewIntToPtr(slot, ll)
		}
		return slot
	case tile.Task:
		return e.f.Params[1]
	case tile.Scratch:
		return b.NewBitCast(e.f.Params[2], ll)
	case tile.Const:
		return number(t, in)
	case tile.Add, tile.Sub, tile.Mul, tile.Div, tile.Rem, tile.And, tile.Or, tile.Xor, tile.Shl:
		return e.arith(in.Op, isFloat, a[0], a[1])
	case tile.Min, tile.Max:
		less := e.compare(tile.LT, isFloat, a[0], a[1])
		if in.Op == tile.Max {
			less = e.compare(tile.LT, isFloat, a[1], a[0])
		}
		return b.NewSelect(less, a[0], a[1])
	case tile.FMA:
		return e.intrinsic("llvm.fma."+suffix(ll), ll, a...)
	case tile.Neg:
		return b.NewFNeg(a[0])
	case tile.Abs, tile.Sqrt, tile.Floor, tile.Rint:
		return e.intrinsic("llvm."+floatUnary[in.Op]+"."+suffix(ll), ll, a...)
	case tile.LT, tile.LE, tile.EQ:
		return e.compare(in.Op, isFloat, a[0], a[1])
	case tile.Select:
		return b.NewSelect(a[0], a[1], a[2])
	case tile.IToF:
		return b.NewSIToFP(a[0], ll)
	case tile.FToI:
		return b.NewFPToSI(a[0], ll)
	case tile.BitF, tile.BitI, tile.PtrCast:
		return b.NewBitCast(a[0], ll)
	case tile.Widen:
		return b.NewSExt(a[0], ll)
	case tile.Narrow:
		return b.NewTrunc(a[0], ll)
	case tile.Splat:
		one := b.NewInsertElement(constant.NewUndef(ll), a[0], constant.NewInt(types.I32, 0))
		return b.NewShuffleVector(one, constant.NewUndef(ll), constant.NewZeroInitializer(types.NewVector(uint64(t.Lanes), types.I32)))
	case tile.Lane:
		return b.NewExtractElement(a[0], constant.NewInt(types.I32, in.Imm))
	case tile.Iota:
		return iota(t)
	case tile.ReduceAdd, tile.ReduceMax:
		return e.reduce(in, a[0])
	case tile.PtrAdd:
		return b.NewGetElementPtr(elemType(t.Elem), a[0], a[1])
	case tile.Load, tile.LoadTail:
		return e.load(in, a)
	}
	panic("no emission for " + in.Op.String())
}

func iota(t tile.Type) constant.Constant {
	elems := make([]constant.Constant, t.Lanes)
	for i := range elems {
		elems[i] = constant.NewInt(types.I32, int64(i))
	}
	return constant.NewVector(types.NewVector(uint64(t.Lanes), types.I32), elems...)
}

func (e *emitter) arith(op tile.Op, isFloat bool, x, y value.Value) value.Value {
	b := e.cur
	if isFloat {
		switch op {
		case tile.Add:
			return b.NewFAdd(x, y)
		case tile.Sub:
			return b.NewFSub(x, y)
		case tile.Mul:
			return b.NewFMul(x, y)
		case tile.Div:
			return b.NewFDiv(x, y)
		}
	}
	switch op {
	case tile.Add:
		return b.NewAdd(x, y)
	case tile.Sub:
		return b.NewSub(x, y)
	case tile.Mul:
		return b.NewMul(x, y)
	case tile.Div:
		return b.NewSDiv(x, y)
	case tile.Rem:
		return b.NewSRem(x, y)
	case tile.And:
		return b.NewAnd(x, y)
	case tile.Or:
		return b.NewOr(x, y)
	case tile.Xor:
		return b.NewXor(x, y)
	case tile.Shl:
		return b.NewShl(x, y)
	}
	panic("no arithmetic " + op.String())
}

func (e *emitter) compare(op tile.Op, isFloat bool, x, y value.Value) value.Value {
	if isFloat {
		pred := map[tile.Op]enum.FPred{tile.LT: enum.FPredOLT, tile.LE: enum.FPredOLE, tile.EQ: enum.FPredOEQ}[op]
		return e.cur.NewFCmp(pred, x, y)
	}
	pred := map[tile.Op]enum.IPred{tile.LT: enum.IPredSLT, tile.LE: enum.IPredSLE, tile.EQ: enum.IPredEQ}[op]
	return e.cur.NewICmp(pred, x, y)
}

// reduce folds a vector by halves: the upper half onto the lower one until one lane is left.
func (e *emitter) reduce(in *tile.Inst, v value.Value) value.Value {
	for n := in.Args[0].Type.Lanes / 2; n > 0; n /= 2 {
		half := func(from int) value.Value {
			elems := make([]constant.Constant, n)
			for i := range elems {
				elems[i] = constant.NewInt(types.I32, int64(from+i))
			}
			mask := constant.NewVector(types.NewVector(uint64(n), types.I32), elems...)
			return e.cur.NewShuffleVector(v, constant.NewUndef(v.Type()), mask)
		}
		lo, hi := half(0), half(n)
		if in.Op == tile.ReduceAdd {
			v = e.cur.NewFAdd(lo, hi)
		} else {
			v = e.cur.NewSelect(e.cur.NewFCmp(enum.FPredOLT, hi, lo), lo, hi)
		}
	}
	return e.cur.NewExtractElement(v, constant.NewInt(types.I32, 0))
}

// address returns the pointer to n elements at p[off].
func (e *emitter) address(p, off value.Value, elem tile.Elem, lanes int) value.Value {
	at := value.Value(e.cur.NewGetElementPtr(elemType(elem), p, off))
	if lanes > 1 {
		at = e.cur.NewBitCast(at, types.NewPointer(types.NewVector(uint64(lanes), elemType(elem))))
	}
	return at
}

// tailMask returns the lanes below count as i1 lanes.
func (e *emitter) tailMask(lanes int, count value.Value) value.Value {
	vec := types.NewVector(uint64(lanes), types.I32)
	n := e.cur.NewTrunc(count, types.I32)
	one := e.cur.NewInsertElement(constant.NewUndef(vec), n, constant.NewInt(types.I32, 0))
	all := e.cur.NewShuffleVector(one, constant.NewUndef(vec), constant.NewZeroInitializer(vec))
	return e.cur.NewICmp(enum.IPredSLT, iota(tile.Vec(tile.I32, lanes)), all)
}

func (e *emitter) load(in *tile.Inst, a []value.Value) value.Value {
	elem, lanes := in.Args[0].Type.Elem, in.Out[0].Type.Lanes
	raw := elemType(elem)
	if lanes > 1 {
		raw = types.NewVector(uint64(lanes), elemType(elem))
	}
	var v value.Value
	if in.Op == tile.Load || lanes == 1 {
		ld := e.cur.NewLoad(raw, e.address(a[0], a[1], elem, lanes))
		ld.Align = ir.Align(elem.Bytes())
		v = ld
	} else {
		zero := constant.NewZeroInitializer(raw)
		at := e.address(a[0], a[1], elem, lanes)
		v = e.intrinsic("llvm.masked.load."+suffix(raw)+".p0"+suffix(raw), raw, at,
			constant.NewInt(types.I32, int64(elem.Bytes())), e.tailMask(lanes, a[2]), zero)
	}
	switch elem {
	case tile.BF16:
		wide := llType(tile.Vec(tile.I32, lanes))
		bits := e.cur.NewShl(e.cur.NewZExt(v, wide), splatConst(tile.Vec(tile.I32, lanes), constant.NewInt(types.I32, 16)))
		return e.cur.NewBitCast(bits, llType(tile.Vec(tile.F32, lanes)))
	case tile.F16:
		return e.cur.NewFPExt(v, llType(tile.Vec(tile.F32, lanes)))
	}
	return v
}

func (e *emitter) effect(in *tile.Inst) {
	a := e.args(in)
	if in.Op == tile.Prefetch {
		at := e.cur.NewBitCast(e.address(a[0], a[1], in.Args[0].Type.Elem, 1), types.I8Ptr)
		i32 := func(v int64) value.Value { return constant.NewInt(types.I32, v) }
		e.intrinsic("llvm.prefetch.p0i8", types.Void, at, i32(0), i32(3), i32(1))
		return
	}
	t := in.Args[2].Type
	at := e.address(a[0], a[1], t.Elem, t.Lanes)
	if in.Op == tile.Store || t.Lanes == 1 {
		st := e.cur.NewStore(a[2], at)
		st.Align = ir.Align(t.Elem.Bytes())
		return
	}
	ll := llType(t)
	e.intrinsic("llvm.masked.store."+suffix(ll)+".p0"+suffix(ll), types.Void, a[2], at,
		constant.NewInt(types.I32, int64(t.Elem.Bytes())), e.tailMask(t.Lanes, a[3]))
}
