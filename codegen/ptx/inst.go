package ptx

import "pgc/ir/tile"

// emission emits an instruction and returns the register, or the immediate, that holds its value.
type emission func(e *emitter, in *tile.Inst, a []string) string

// emissions has a row for every operation of the tile IR that gives one value and that warps have. Floats round to
// nearest even, and .rn keeps products and sums apart; subnormal numbers are kept.
var emissions = map[tile.Op]emission{
	tile.Param: func(e *emitter, in *tile.Inst, _ []string) string {
		b := e.params[in.Imm]
		e.shared[in.Out[0]], e.held[in.Out[0]] = b.shared, b.held
		if e.known[in.Out[0]] = 1; b.aligned || b.shared {
			e.known[in.Out[0]] = 16
		}
		return b.reg
	},
	tile.Task: func(e *emitter, _ *tile.Inst, _ []string) string { return e.task },
	tile.Const: func(e *emitter, in *tile.Inst, _ []string) string {
		switch t := in.Out[0].Type; t.Elem {
		case tile.F32:
			return floatNum(in.Num)
		case tile.I1:
			return e.to(pred, "setp.ne.s32", num(in.Imm), "0")
		}
		return num(in.Imm)
	},

	tile.Add: arith("add"),
	tile.Sub: arith("sub"),
	tile.Mul: arith("mul"),
	tile.Div: arith("div"),
	tile.Rem: arith("rem"),
	tile.FMA: func(e *emitter, _ *tile.Inst, a []string) string { return e.to(float, "fma.rn.f32", a...) },
	tile.Min: extremum("min", "lt"),
	tile.Max: extremum("max", "gt"),
	tile.Neg: unary("neg"),
	tile.Abs: unary("abs"),

	tile.Sqrt:  rounded("sqrt.rn.f32"),
	tile.Floor: rounded("cvt.rmi.f32.f32"),
	tile.Rint:  rounded("cvt.rni.f32.f32"),

	tile.And: logic("and"),
	tile.Or:  logic("or"),
	tile.Xor: logic("xor"),
	tile.Shl: func(e *emitter, in *tile.Inst, a []string) string {
		return e.wrap(in, e.to(classOf(in.Out[0].Type), "shl."+bitType(in.Out[0].Type), a...))
	},
	tile.Shr: func(e *emitter, in *tile.Inst, a []string) string {
		t := in.Out[0].Type
		if _, ok := short[t.Elem]; ok {
			mask := num(1<<(8*t.Elem.Bytes()) - 1)
			return e.wrap(in, e.to(word, "shr.u32", e.to(word, "and.b32", a[0], mask), a[1]))
		}
		return e.to(classOf(t), "shr.u"+bitType(t)[1:], a...)
	},

	tile.Sar: func(e *emitter, in *tile.Inst, a []string) string { // short integers are held with their sign
		t := in.Out[0].Type
		if _, ok := short[t.Elem]; ok {
			return e.wrap(in, e.to(word, "shr.s32", a...))
		}
		return e.to(classOf(t), "shr.s"+bitType(t)[1:], a...)
	},

	tile.LT: compare("lt"),
	tile.LE: compare("le"),
	tile.EQ: compare("eq"),
	tile.Select: func(e *emitter, in *tile.Inst, a []string) string {
		t := in.Out[0].Type
		if t.Elem == tile.I1 {
			yes := e.to(pred, "and.pred", a[0], a[1])
			no := e.to(pred, "and.pred", e.to(pred, "not.pred", a[0]), a[2])
			return e.to(pred, "or.pred", yes, no)
		}
		return e.to(classOf(t), "selp."+classes[classOf(t)].typ, a[1], a[2], a[0])
	},

	tile.IToF: cast(float, "cvt.rn.f32.s32"),
	tile.FToI: func(e *emitter, in *tile.Inst, a []string) string {
		x := e.register(a[0], in.Args[0].Type)
		fits := e.to(pred, "setp.lt.f32", e.to(float, "abs.f32", x), floatNum(1<<31)) // not NaN
		return e.to(word, "selp.b32", e.to(word, "cvt.rzi.s32.f32", x), num(-1<<31), fits)
	},
	tile.BitF: cast(float, "mov.b32"),
	tile.BitI: cast(word, "mov.b32"),
	tile.Widen: func(e *emitter, in *tile.Inst, a []string) string {
		if in.Out[0].Type.Elem != tile.I64 {
			return a[0] // they are kept in 32 bits
		}
		return cast(long, "cvt.s64.s32")(e, in, a)
	},
	tile.Narrow: func(e *emitter, in *tile.Inst, a []string) string {
		if in.Out[0].Type.Elem == tile.I32 {
			return cast(word, "cvt.u32.u64")(e, in, a)
		}
		return e.wrap(in, e.register(a[0], in.Args[0].Type))
	},

	tile.Splat: func(_ *emitter, _ *tile.Inst, a []string) string { return a[0] },

	tile.PtrAdd: func(e *emitter, in *tile.Inst, a []string) string {
		e.shared[in.Out[0]] = e.shared[in.Args[0]]
		return e.moved(a[0], a[1], in.Out[0].Type.Elem)
	},
	tile.PtrCast: func(e *emitter, in *tile.Inst, a []string) string {
		e.shared[in.Out[0]] = e.shared[in.Args[0]]
		return a[0]
	},
}

// everyone is the mask of all threads of a warp.
const everyone = "0xffffffff"

// wrap makes the 32 bits of an i8 or i16 the sign extension of the low ones; other fragments it leaves alone.
func (e *emitter) wrap(in *tile.Inst, v string) string {
	if typ, ok := short[in.Out[0].Type.Elem]; ok {
		return e.to(word, "cvt.s32."+typ, v)
	}
	return v
}

// short are the integers that are kept with their sign in 32 bits.
var short = map[tile.Elem]string{tile.I8: "s8", tile.I16: "s16"}

// typed is an operation with the arithmetic type of a fragment: add.rn.f32, mul.lo.s32.
func typed(op string, t tile.Type) string {
	switch {
	case classOf(t) == float:
		op += ".rn"
	case op == "mul":
		op += ".lo"
	}
	return op + "." + suffix(t)
}

func arith(op string) emission {
	return func(e *emitter, in *tile.Inst, a []string) string {
		t := in.Out[0].Type
		return e.wrap(in, e.to(classOf(t), typed(op, t), a...))
	}
}

// extremum is min or max of integers; that of floats is a comparison, which says which operand is taken when one is
// NaN.
func extremum(op, cmp string) emission {
	return func(e *emitter, in *tile.Inst, a []string) string {
		t := in.Out[0].Type
		if classOf(t) != float {
			return e.to(classOf(t), op+"."+suffix(t), a...)
		}
		return e.to(float, "selp.f32", a[0], a[1], e.to(pred, "setp."+cmp+".f32", a...))
	}
}

func unary(op string) emission {
	return func(e *emitter, in *tile.Inst, a []string) string {
		t := in.Out[0].Type
		return e.wrap(in, e.to(classOf(t), op+"."+suffix(t), e.register(a[0], t)))
	}
}

func rounded(op string) emission { return cast(float, op) }

func cast(to class, op string) emission {
	return func(e *emitter, in *tile.Inst, a []string) string {
		return e.to(to, op, e.register(a[0], in.Args[0].Type))
	}
}

// bitType is the type of operations on bits.
func bitType(t tile.Type) string { return classes[classOf(t)].typ }

func logic(op string) emission {
	return func(e *emitter, in *tile.Inst, a []string) string {
		t := in.Out[0].Type
		return e.to(classOf(t), op+"."+bitType(t), a...)
	}
}

func compare(op string) emission {
	return func(e *emitter, in *tile.Inst, a []string) string {
		return e.to(pred, "setp."+op+"."+suffix(in.Args[0].Type), a...)
	}
}

// reduce folds the lanes by halves into the first, and gives it to all: so they hold the same bits even where the order
// of the operands counts.
func (e *emitter) reduce(in *tile.Inst) string {
	v := make([]string, e.each)
	for i := range v {
		v[i] = e.register(e.element(in.Args[0], i), in.Args[0].Type)
	}
	fold := func(x, y string) string { return emissions[in.Fold](e, in.Half(1), []string{x, y}) }
	for n := warp / 2; n > 0; n /= 2 {
		for i, x := range v {
			v[i] = fold(x, e.to(float, "shfl.sync.down.b32", x, num(int64(n)), "31", everyone))
		}
	}
	for n := len(v) / 2; n > 0; n /= 2 {
		for i := range n {
			v[i] = fold(v[i], v[i+n])
		}
	}
	return e.to(float, "shfl.sync.idx.b32", v[0], "0", "31", everyone)
}

// laneOf is one lane of a fragment.
func (e *emitter) laneOf(in *tile.Inst) string {
	c, each := classOf(in.Out[0].Type), int64(e.count(in.Args[0].Type))
	if c != word && c != float {
		fail("lane of %s; shuffles take 32 bits", in.Args[0].Type)
	}
	v := e.register(e.element(in.Args[0], int(in.Imm%each)), in.Out[0].Type)
	return e.to(c, "shfl.sync.idx.b32", v, num(in.Imm/each), "31", everyone)
}

// iota numbers the lanes.
func (e *emitter) iota() []string {
	if e.each == 1 {
		return []string{e.lane}
	}
	out := make([]string, e.each)
	for i := range out {
		out[i] = e.to(word, "mad.lo.s32", e.lane, num(int64(e.each)), num(int64(i)))
	}
	return out
}
