package llvm

import (
	"math"

	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/constant"
	"github.com/llir/llvm/ir/enum"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"

	"pgc/ir/target"
	"pgc/ir/tile"
)

// emission makes the value of an instruction from those of its operands.
type emission func(e *emitter, in *tile.Inst, a []value.Value) value.Value

// emissions has a row for every operation of the tile IR that gives one value. No row sets fast-math or overflow flags:
// the arithmetic is the interpreter's.
var emissions = map[tile.Op]emission{
	tile.Param:   param,
	tile.Task:    func(e *emitter, _ *tile.Inst, _ []value.Value) value.Value { return e.f.Params[1] },
	tile.Scratch: scratch,
	tile.Const:   func(_ *emitter, in *tile.Inst, _ []value.Value) value.Value { return number(in) },

	tile.Add: arith((*ir.Block).NewFAdd, (*ir.Block).NewAdd),
	tile.Sub: arith((*ir.Block).NewFSub, (*ir.Block).NewSub),
	tile.Mul: arith((*ir.Block).NewFMul, (*ir.Block).NewMul),
	tile.Div: arith((*ir.Block).NewFDiv, (*ir.Block).NewSDiv),
	tile.Rem: integer((*ir.Block).NewSRem),
	tile.And: integer((*ir.Block).NewAnd),
	tile.Or:  integer((*ir.Block).NewOr),
	tile.Xor: integer((*ir.Block).NewXor),
	tile.Shl: integer((*ir.Block).NewShl),
	tile.Shr: integer((*ir.Block).NewLShr),
	tile.Sar: integer((*ir.Block).NewAShr),

	tile.Min: func(e *emitter, in *tile.Inst, a []value.Value) value.Value {
		return e.cur.NewSelect(e.less(in.Args[0], a[0], a[1]), a[0], a[1])
	},
	tile.Max: func(e *emitter, in *tile.Inst, a []value.Value) value.Value {
		return e.cur.NewSelect(e.less(in.Args[0], a[1], a[0]), a[0], a[1])
	},
	tile.Neg: neg,
	tile.Abs: func(e *emitter, in *tile.Inst, a []value.Value) value.Value {
		if in.Out[0].Type.IsFloat() {
			return call("fabs")(e, in, a)
		}
		minus := neg(e, in, a)
		return e.cur.NewSelect(e.less(in.Args[0], a[0], minus), minus, a[0])
	},
	tile.FMA:   call("fma"),
	tile.Sqrt:  call("sqrt"),
	tile.Floor: call("floor"),
	tile.Rint:  call("nearbyint"),

	tile.LT: compare(enum.FPredOLT, enum.IPredSLT),
	tile.LE: compare(enum.FPredOLE, enum.IPredSLE),
	tile.EQ: compare(enum.FPredOEQ, enum.IPredEQ),
	tile.Select: func(e *emitter, _ *tile.Inst, a []value.Value) value.Value {
		return e.cur.NewSelect(a[0], a[1], a[2])
	},

	tile.IToF:    cast((*ir.Block).NewSIToFP),
	tile.FToI:    toInt,
	tile.BitF:    cast((*ir.Block).NewBitCast),
	tile.BitI:    cast((*ir.Block).NewBitCast),
	tile.PtrCast: cast((*ir.Block).NewBitCast),
	tile.Bits:    cast((*ir.Block).NewBitCast),
	tile.Widen:   cast((*ir.Block).NewSExt),
	tile.Narrow:  cast((*ir.Block).NewTrunc),

	tile.Splat: func(e *emitter, in *tile.Inst, a []value.Value) value.Value {
		return e.splat(a[0], in.Out[0].Type.Lanes)
	},
	tile.Lane: func(e *emitter, in *tile.Inst, a []value.Value) value.Value {
		return e.cur.NewExtractElement(a[0], constant.NewInt(types.I32, in.Imm))
	},
	tile.Iota: func(_ *emitter, in *tile.Inst, _ []value.Value) value.Value {
		return lanes(0, in.Out[0].Type.Lanes)
	},
	tile.Shuffle: func(e *emitter, in *tile.Inst, a []value.Value) value.Value {
		return e.cur.NewShuffleVector(a[0], a[1], mask(in.Mask))
	},
	tile.Lookup:  lookup,
	tile.DotI16:  dot,
	tile.DotU8:   dot,
	tile.Dot4:    dot4,
	tile.DotS4:   dot4,
	tile.MMLA:    mmla,
	tile.DotBF16: dotBF16,
	tile.DotOdd:  odd("llvm.aarch64.neon.bfdot.v4f32.v8bf16"),
	tile.MMLAOdd: odd("llvm.aarch64.neon.bfmmla"),

	tile.PtrAdd: func(e *emitter, in *tile.Inst, a []value.Value) value.Value {
		return e.element(in.Out[0].Type.Elem, a[0], a[1])
	},
	tile.Load:     load,
	tile.LoadTail: load,
}

// A reduction is emitted by the row of what it folds with.
func init() { emissions[tile.Reduce] = reduce }

// param reads a parameter from the table of arguments.
func param(e *emitter, in *tile.Inst, _ []value.Value) value.Value {
	slot := e.cur.NewLoad(types.I64, e.cur.NewGetElementPtr(types.I64, e.f.Params[0], constant.NewInt(types.I64, in.Imm)))
	slot.Align = 8
	if t := in.Out[0].Type; t.Ptr {
		return e.cur.NewIntToPtr(slot, llType(t))
	}
	return slot
}

func scratch(e *emitter, in *tile.Inst, _ []value.Value) value.Value {
	return e.cur.NewBitCast(e.f.Params[2], llType(in.Out[0].Type))
}

// arith is float or integer arithmetic, by the type of the result.
func arith[F, I value.Value](float func(b *ir.Block, x, y value.Value) F, integer func(b *ir.Block, x, y value.Value) I) emission {
	return func(e *emitter, in *tile.Inst, a []value.Value) value.Value {
		if in.Out[0].Type.IsFloat() {
			return float(e.cur, a[0], a[1])
		}
		return integer(e.cur, a[0], a[1])
	}
}

func integer[I value.Value](op func(b *ir.Block, x, y value.Value) I) emission {
	return func(e *emitter, _ *tile.Inst, a []value.Value) value.Value { return op(e.cur, a[0], a[1]) }
}

func cast[C value.Value](op func(b *ir.Block, from value.Value, to types.Type) C) emission {
	return func(e *emitter, in *tile.Inst, a []value.Value) value.Value {
		return op(e.cur, a[0], llType(in.Out[0].Type))
	}
}

// toInt truncates. What no i32 holds becomes the least one, as x86 has it; other processors are told so.
func toInt(e *emitter, in *tile.Inst, a []value.Value) value.Value {
	t := in.Out[0].Type
	if e.target.Arch == "amd64" {
		return e.cur.NewFPToSI(a[0], llType(t))
	}
	to := llType(t)
	v := e.intrinsic("llvm.fptosi.sat."+suffix(to)+"."+suffix(a[0].Type()), to, a[0])
	fits := e.cur.NewFCmp(enum.FPredOLT, a[0], splatConst(tile.Vec(tile.F32, t.Lanes), float(1<<31)))
	return e.cur.NewSelect(fits, v, i32s(math.MinInt32, t.Lanes))
}

// call is an intrinsic of the result's type.
func call(name string) emission {
	return func(e *emitter, in *tile.Inst, a []value.Value) value.Value {
		t := llType(in.Out[0].Type)
		return e.intrinsic("llvm."+name+"."+suffix(t), t, a...)
	}
}

func neg(e *emitter, in *tile.Inst, a []value.Value) value.Value {
	if in.Out[0].Type.IsFloat() {
		return e.cur.NewFNeg(a[0])
	}
	return e.cur.NewSub(constant.NewZeroInitializer(a[0].Type()), a[0])
}

func compare(float enum.FPred, integer enum.IPred) emission {
	return func(e *emitter, in *tile.Inst, a []value.Value) value.Value {
		if in.Args[0].Type.IsFloat() {
			return e.cur.NewFCmp(float, a[0], a[1])
		}
		return e.cur.NewICmp(integer, a[0], a[1])
	}
}

// pmadd has the x86 instructions for DotI16 and DotU8, by operation and lanes of the result.
var pmadd = map[tile.Op]map[int]string{
	tile.DotI16: {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"},
	tile.DotU8:  {8: "llvm.x86.ssse3.pmadd.ub.sw.128", 16: "llvm.x86.avx2.pmadd.ub.sw", 32: "llvm.x86.avx512.pmaddubs.w.512"},
}

// dot adds products of neighbors, by one instruction where there is one.
func dot(e *emitter, in *tile.Inst, a []value.Value) value.Value {
	return e.dot(in.Op, in.Out[0].Type, a[0], a[1])
}

func (e *emitter) dot(op tile.Op, t tile.Type, x, y value.Value) value.Value {
	n := t.Lanes
	if t.Elem.Bytes()*n > 4*e.target.Lanes { // wider than a register
		half := func(v value.Value, i int) value.Value {
			return e.cur.NewShuffleVector(v, constant.NewUndef(v.Type()), lanes(i*n, n))
		}
		t.Lanes /= 2
		lo, hi := e.dot(op, t, half(x, 0), half(y, 0)), e.dot(op, t, half(x, 1), half(y, 1))
		return e.cur.NewShuffleVector(lo, hi, lanes(0, n))
	}
	if name := pmadd[op][n]; name != "" && e.target.Arch == "amd64" {
		return e.intrinsic(name, llType(t), x, y)
	}
	wide := vector(elemType(t.Elem), 2*n)
	right := value.Value(e.cur.NewSExt(y, wide))
	left := value.Value(e.cur.NewSExt(x, wide))
	if op == tile.DotU8 {
		left = e.cur.NewZExt(x, wide)
	}
	x, y = left, right
	p := e.cur.NewMul(x, y)
	even, odd := make([]int, n), make([]int, n)
	for i := range n {
		even[i], odd[i] = 2*i, 2*i+1
	}
	return e.cur.NewAdd(e.cur.NewShuffleVector(p, p, mask(even)), e.cur.NewShuffleVector(p, p, mask(odd)))
}

// vpdpbusd has the instructions for Dot4 on targets that have VNNI, by lanes.
var vpdpbusd = map[int]string{4: "llvm.x86.avx512.vpdpbusd.128", 8: "llvm.x86.avx512.vpdpbusd.256", 16: "llvm.x86.avx512.vpdpbusd.512"}

// dot4 adds fours of products, by one instruction where there is one.
func dot4(e *emitter, in *tile.Inst, a []value.Value) value.Value {
	acc, x, y := a[0], a[1], a[2]
	n := in.Out[0].Type.Lanes
	switch {
	case in.Op == tile.Dot4 && e.target.Has(target.VNNI...) && vpdpbusd[n] != "" && n <= e.target.Lanes:
		words := func(v value.Value) value.Value { return e.cur.NewBitCast(v, acc.Type()) }
		return e.intrinsic(vpdpbusd[n], acc.Type(), acc, words(x), words(y))
	case in.Op == tile.DotS4 && e.target.Has("neon") && n == 4:
		if e.target.Has("dotprod") {
			return e.intrinsic("llvm.aarch64.neon.sdot.v4i32.v16i8", acc.Type(), acc, x, y)
		}
		var half [2]value.Value // of all sums of two
		for i := range half {
			part := func(v value.Value) value.Value {
				return e.cur.NewShuffleVector(v, constant.NewUndef(v.Type()), lanes(8*i, 8))
			}
			p := e.intrinsic("llvm.aarch64.neon.smull.v8i16", vector(types.I16, 8), part(x), part(y))
			half[i] = e.intrinsic("llvm.aarch64.neon.saddlp.v4i32.v8i16", acc.Type(), p)
		}
		return e.cur.NewAdd(acc, e.intrinsic("llvm.aarch64.neon.addp.v4i32", acc.Type(), half[0], half[1]))
	}
	wide := vector(types.I32, 4*n)
	var left value.Value = e.cur.NewSExt(x, wide)
	if in.Op == tile.Dot4 {
		left = e.cur.NewZExt(x, wide)
	}
	p := e.cur.NewMul(left, e.cur.NewSExt(y, wide))
	for j := range 4 {
		each := make([]int, n)
		for i := range each {
			each[i] = 4*i + j
		}
		var part value.Value = e.cur.NewShuffleVector(p, p, mask(each))
		if n == 1 {
			part = e.cur.NewExtractElement(p, constant.NewInt(types.I32, int64(j)))
		}
		acc = e.cur.NewAdd(acc, part)
	}
	return acc
}

// mmla adds products of matrices, by one instruction where there is one.
func mmla(e *emitter, in *tile.Inst, a []value.Value) value.Value {
	acc, n := a[0], in.Out[0].Type.Lanes
	if e.target.Has("i8mm") && n == 4 {
		return e.intrinsic("llvm.aarch64.neon.smmla.v4i32.v16i8", acc.Type(), acc, a[1], a[2])
	}
	wide := vector(types.I32, 4*n)
	x, y := e.cur.NewSExt(a[1], wide), e.cur.NewSExt(a[2], wide)
	for k := range 8 {
		left, right := make([]int, n), make([]int, n)
		for i := range n {
			left[i], right[i] = i/4*16+i%4/2*8+k, i/4*16+i%2*8+k
		}
		acc = e.cur.NewAdd(acc, e.cur.NewMul(e.cur.NewShuffleVector(x, x, mask(left)), e.cur.NewShuffleVector(y, y, mask(right))))
	}
	return acc
}

// dotBF16 adds pairs of products of bfloat16, by one instruction where there is one.
func dotBF16(e *emitter, in *tile.Inst, a []value.Value) value.Value {
	acc, n := a[0], in.Out[0].Type.Lanes
	words := vector(types.I32, n)
	x, y := e.cur.NewBitCast(a[1], words), e.cur.NewBitCast(a[2], words)
	if e.target.Has("avx512bf16") && n == 16 {
		return e.intrinsic("llvm.x86.avx512bf16.dpbf16ps.512", acc.Type(), acc, x, y)
	}
	float := func(v value.Value) value.Value { return e.cur.NewBitCast(v, acc.Type()) }
	flushed := func(v value.Value) value.Value {
		subnormal := e.cur.NewICmp(enum.IPredEQ, e.cur.NewAnd(v, i32s(0x7f800000, n)), i32s(0, n))
		return float(e.cur.NewSelect(subnormal, e.cur.NewAnd(v, i32s(math.MinInt32, n)), v))
	}
	odd := func(v value.Value) value.Value { return flushed(e.cur.NewAnd(v, i32s(-1<<16, n))) }
	even := func(v value.Value) value.Value { return flushed(e.cur.NewShl(v, i32s(16, n))) }
	acc = flushed(e.cur.NewBitCast(acc, words))
	for _, half := range []func(v value.Value) value.Value{odd, even} {
		sum := e.intrinsic("llvm.fma."+suffix(acc.Type()), acc.Type(), half(x), half(y), acc)
		acc = flushed(e.cur.NewBitCast(sum, words))
	}
	return acc
}

// less compares two values of the type of v.
func (e *emitter) less(v *tile.Value, x, y value.Value) value.Value {
	if v.Type.IsFloat() {
		return e.cur.NewFCmp(enum.FPredOLT, x, y)
	}
	return e.cur.NewICmp(enum.IPredSLT, x, y)
}

// splat copies a scalar to n lanes.
func (e *emitter) splat(x value.Value, n int) value.Value {
	if n == 1 {
		return x
	}
	t := types.NewVector(uint64(n), x.Type())
	one := e.cur.NewInsertElement(constant.NewUndef(t), x, constant.NewInt(types.I32, 0))
	return e.cur.NewShuffleVector(one, constant.NewUndef(t), constant.NewZeroInitializer(types.NewVector(uint64(n), types.I32)))
}

// mask is a vector of i32 constants.
func mask(v []int) constant.Constant {
	elems := make([]constant.Constant, len(v))
	for i, x := range v {
		elems[i] = constant.NewInt(types.I32, int64(x))
	}
	return constant.NewVector(types.NewVector(uint64(len(v)), types.I32), elems...)
}

// lanes is the mask first, first+1, … of n.
func lanes(first, n int) constant.Constant {
	v := make([]int, n)
	for i := range v {
		v[i] = first + i
	}
	return mask(v)
}

// reduce folds a vector by halves: the upper half onto the lower one until one lane is left.
func reduce(e *emitter, in *tile.Inst, a []value.Value) value.Value {
	v := a[0]
	for n := in.Args[0].Type.Lanes / 2; n > 0; n /= 2 {
		lo := e.cur.NewShuffleVector(v, constant.NewUndef(v.Type()), lanes(0, n))
		hi := e.cur.NewShuffleVector(v, constant.NewUndef(v.Type()), lanes(n, n))
		v = emissions[in.Fold](e, in.Half(n), []value.Value{lo, hi})
	}
	return e.cur.NewExtractElement(v, constant.NewInt(types.I32, 0))
}
