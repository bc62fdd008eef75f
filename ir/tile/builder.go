package tile

import (
	"fmt"

	"pgc/ir/scalar"
)

// Builder appends instructions to a kernel. Its methods panic on type misuse; Build turns that into an error.
type Builder struct {
	kernel *Kernel
	block  *Block
	consts map[string]*Value
}

// Build makes a kernel. Errors name the kernel.
func Build(name string, f func(b *Builder)) (k *Kernel, err error) {
	b := &Builder{kernel: &Kernel{Name: name, Body: &Block{}}, consts: map[string]*Value{}}
	b.block = b.kernel.Body
	defer func() {
		if r := recover(); r != nil {
			if s, ok := r.(misuse); ok {
				k, err = nil, fmt.Errorf("kernel %s: %s", name, string(s))
				return
			}
			panic(r)
		}
	}()
	f(b)
	return b.kernel, nil
}

type misuse string

func fail(format string, args ...any) { panic(misuse(fmt.Sprintf(format, args...))) }

func (b *Builder) value(t Type, def *Inst) *Value {
	b.kernel.values++
	return &Value{ID: b.kernel.values - 1, Type: t, Def: def}
}

func (b *Builder) emit(op Op, t Type, args ...*Value) *Value {
	in := &Inst{Op: op, Args: args}
	v := b.value(t, in)
	in.Out = []*Value{v}
	b.block.Insts = append(b.block.Insts, in)
	return v
}

func (b *Builder) effect(op Op, args ...*Value) {
	b.block.Insts = append(b.block.Insts, &Inst{Op: op, Args: args})
}

// Ptr adds a pointer parameter.
func (b *Builder) Ptr(name string, e Elem) *Value {
	return b.param(name, Type{Elem: e, Lanes: 1, Ptr: true})
}

// Scalar adds an i64 parameter.
func (b *Builder) Scalar(name string) *Value { return b.param(name, Scalar(I64)) }

func (b *Builder) param(name string, t Type) *Value {
	if b.block != b.kernel.Body {
		fail("parameter %s declared inside a loop", name)
	}
	b.kernel.Params = append(b.kernel.Params, KernelParam{name, t})
	v := b.emit(Param, t)
	v.Def.Imm = int64(len(b.kernel.Params) - 1)
	return v
}

// Task returns the index of the work item.
func (b *Builder) Task() *Value { return b.emit(Task, Scalar(I64)) }

// Scratch returns n fresh float32 elements of the thread's scratch memory, 64-byte aligned.
func (b *Builder) Scratch(n int) *Value {
	base := b.emit(Scratch, Type{Elem: F32, Lanes: 1, Ptr: true})
	off := b.kernel.ScratchBytes
	b.kernel.ScratchBytes += int64(n*4+63) / 64 * 64
	return b.PtrAdd(base, b.Int(off/4))
}

// Int returns an i64 constant.
func (b *Builder) Int(v int64) *Value { return b.constant(Scalar(I64), v, 0) }

// Float returns a float constant in every lane.
func (b *Builder) Float(v float64, lanes int) *Value { return b.constant(Vec(F32, lanes), 0, v) }

// Int32 returns an i32 constant in every lane.
func (b *Builder) Int32(v int64, lanes int) *Value { return b.constant(Vec(I32, lanes), v, 0) }

// Constants live at the head of the kernel, once each.
func (b *Builder) constant(t Type, i int64, f float64) *Value {
	key := fmt.Sprint(t, i, f)
	if v, ok := b.consts[key]; ok {
		return v
	}
	in := &Inst{Op: Const, Imm: i, Num: f}
	v := b.value(t, in)
	in.Out = []*Value{v}
	b.kernel.Body.Insts = append([]*Inst{in}, b.kernel.Body.Insts...)
	b.consts[key] = v
	return v
}

func same(op Op, x, y *Value) {
	if x.Type != y.Type {
		fail("%s of %s and %s", op, x.Type, y.Type)
	}
}

func (b *Builder) binary(op Op, x, y *Value) *Value {
	same(op, x, y)
	return b.emit(op, x.Type, x, y)
}

// intFold computes integer arithmetic on constants at build time, so that static sizes leave no code behind.
func (b *Builder) intFold(op Op, x, y *Value) *Value {
	if x.Type == Scalar(I64) && y.Type == x.Type {
		cx, okx := ConstInt(x)
		cy, oky := ConstInt(y)
		if okx && oky && !(cy == 0 && (op == Div || op == Rem)) {
			return b.Int(intOp(op, cx, cy))
		}
		switch {
		case oky && cy == 0 && (op == Add || op == Sub), oky && cy == 1 && (op == Mul || op == Div):
			return x
		case okx && cx == 0 && op == Add, okx && cx == 1 && op == Mul:
			return y
		case op == Mul && (okx && cx == 0 || oky && cy == 0), op == Rem && oky && cy == 1:
			return b.Int(0)
		}
	}
	return b.binary(op, x, y)
}

// ConstInt returns the value of an integer constant.
func ConstInt(v *Value) (int64, bool) {
	if v.Def != nil && v.Def.Op == Const && v.Type.Elem != F32 {
		return v.Def.Imm, true
	}
	return 0, false
}

// Add, Sub, Mul, Div, Rem, Min and Max are arithmetic on equal types.
func (b *Builder) Add(x, y *Value) *Value { return b.intFold(Add, x, y) }

// Sub returns x - y.
func (b *Builder) Sub(x, y *Value) *Value { return b.intFold(Sub, x, y) }

// Mul returns x * y.
func (b *Builder) Mul(x, y *Value) *Value { return b.intFold(Mul, x, y) }

// Div returns x / y; integer division truncates.
func (b *Builder) Div(x, y *Value) *Value { return b.intFold(Div, x, y) }

// Rem returns the remainder of integer division.
func (b *Builder) Rem(x, y *Value) *Value { return b.intFold(Rem, x, y) }

// Min returns the lesser.
func (b *Builder) Min(x, y *Value) *Value { return b.intFold(Min, x, y) }

// Max returns the greater.
func (b *Builder) Max(x, y *Value) *Value { return b.intFold(Max, x, y) }

// FMA returns x*y + z, rounded once.
func (b *Builder) FMA(x, y, z *Value) *Value {
	same(FMA, x, y)
	same(FMA, x, z)
	return b.emit(FMA, x.Type, x, y, z)
}

// Unary applies Neg, Abs, Sqrt, Floor or Rint.
func (b *Builder) Unary(op Op, x *Value) *Value { return b.emit(op, x.Type, x) }

// Logic applies And, Or, Xor or Shl.
func (b *Builder) Logic(op Op, x, y *Value) *Value { return b.binary(op, x, y) }

// Compare applies LT, LE or EQ lane by lane.
func (b *Builder) Compare(op Op, x, y *Value) *Value {
	same(op, x, y)
	return b.emit(op, Vec(I1, x.Type.Lanes), x, y)
}

// Select returns x where c holds, else y.
func (b *Builder) Select(c, x, y *Value) *Value {
	same(Select, x, y)
	if c.Type.Elem != I1 || c.Type.Lanes != x.Type.Lanes {
		fail("select by %s of %s", c.Type, x.Type)
	}
	return b.emit(Select, x.Type, c, x, y)
}

// Cast applies IToF, FToI, BitF, BitI, Widen or Narrow.
func (b *Builder) Cast(op Op, x *Value) *Value {
	to := map[Op]Elem{IToF: F32, FToI: I32, BitF: F32, BitI: I32, Widen: I64, Narrow: I32}[op]
	if c, ok := ConstInt(x); ok && op == Narrow {
		return b.Int32(c, x.Type.Lanes)
	}
	return b.emit(op, Vec(to, x.Type.Lanes), x)
}

// Splat copies a scalar into every lane.
func (b *Builder) Splat(x *Value, lanes int) *Value {
	if lanes == 1 {
		return x
	}
	return b.emit(Splat, Vec(x.Type.Elem, lanes), x)
}

// Lane returns lane i of a vector.
func (b *Builder) Lane(x *Value, i int) *Value {
	if x.Type.Lanes == 1 {
		return x
	}
	v := b.emit(Lane, Scalar(x.Type.Elem), x)
	v.Def.Imm = int64(i)
	return v
}

// Iota returns 0, 1, 2, … as i32.
func (b *Builder) Iota(lanes int) *Value {
	if lanes == 1 {
		return b.Int32(0, 1)
	}
	return b.emit(Iota, Vec(I32, lanes))
}

// Reduce folds the lanes with ReduceAdd or ReduceMax, always by halves.
func (b *Builder) Reduce(op Op, x *Value) *Value {
	if x.Type.Lanes == 1 {
		return x
	}
	return b.emit(op, Scalar(x.Type.Elem), x)
}

// PtrAdd moves a pointer by elements.
func (b *Builder) PtrAdd(p, elements *Value) *Value {
	if c, ok := ConstInt(elements); ok && c == 0 {
		return p
	}
	return b.emit(PtrAdd, p.Type, p, elements)
}

// PtrCast changes the element type of a pointer.
func (b *Builder) PtrCast(p *Value, e Elem) *Value {
	return b.emit(PtrCast, Type{Elem: e, Lanes: 1, Ptr: true}, p)
}

// Load reads lanes elements at p[off]; 16-bit floats become F32.
func (b *Builder) Load(p, off *Value, lanes int) *Value {
	pointer(p)
	return b.emit(Load, Vec(p.Type.Elem.Register(), lanes), p, off)
}

// LoadTail reads the first count lanes at p[off]; the others are zero and not touched.
func (b *Builder) LoadTail(p, off *Value, lanes int, count *Value) *Value {
	pointer(p)
	return b.emit(LoadTail, Vec(p.Type.Elem.Register(), lanes), p, off, count)
}

// Store writes v at p[off]. Only I8, I32 and F32 memory is written.
func (b *Builder) Store(p, off, v *Value) {
	pointer(p)
	if v.Type.Elem != p.Type.Elem {
		fail("store of %s to %s", v.Type, p.Type)
	}
	b.effect(Store, p, off, v)
}

// StoreTail writes the first count lanes of v at p[off].
func (b *Builder) StoreTail(p, off, v, count *Value) {
	pointer(p)
	if v.Type.Elem != p.Type.Elem {
		fail("store of %s to %s", v.Type, p.Type)
	}
	b.effect(StoreTail, p, off, v, count)
}

// Prefetch asks for the cache line of p[off].
func (b *Builder) Prefetch(p, off *Value) { b.effect(Prefetch, p, off) }

func pointer(p *Value) {
	if !p.Type.Ptr {
		fail("memory access through a %s", p.Type)
	}
}

// For runs body for lo, lo+step, … below hi with carried values, and returns the last ones.
func (b *Builder) For(lo, hi, step *Value, carried []*Value, body func(i *Value, c []*Value) []*Value) []*Value {
	in := &Inst{Op: For, Args: append([]*Value{lo, hi, step}, carried...)}
	blk := &Block{Args: []*Value{b.value(Scalar(I64), nil)}}
	for _, c := range carried {
		blk.Args = append(blk.Args, b.value(c.Type, nil))
		in.Out = append(in.Out, b.value(c.Type, in))
	}
	outer := b.block
	b.block = blk
	blk.Yield = body(blk.Args[0], blk.Args[1:])
	b.block = outer
	if len(blk.Yield) != len(carried) {
		fail("a loop carries %d values and yields %d", len(carried), len(blk.Yield))
	}
	for i, y := range blk.Yield {
		same(For, y, carried[i])
	}
	in.Blocks = []*Block{blk}
	b.block.Insts = append(b.block.Insts, in)
	return in.Out
}

// Range runs body for lo, lo+step, … below hi, without carried values.
func (b *Builder) Range(lo, hi, step *Value, body func(i *Value)) {
	b.For(lo, hi, step, nil, func(i *Value, _ []*Value) []*Value { body(i); return nil })
}

// If runs one of two bodies; both give values of the same types.
func (b *Builder) If(c *Value, then, otherwise func() []*Value) []*Value {
	in := &Inst{Op: If, Args: []*Value{c}}
	outer := b.block
	for _, f := range []func() []*Value{then, otherwise} {
		blk := &Block{}
		b.block = blk
		if f != nil {
			blk.Yield = f()
		}
		in.Blocks = append(in.Blocks, blk)
	}
	b.block = outer
	x, y := in.Blocks[0].Yield, in.Blocks[1].Yield
	if len(x) != len(y) {
		fail("if gives %d values or %d", len(x), len(y))
	}
	for i := range x {
		same(If, x[i], y[i])
		in.Out = append(in.Out, b.value(x[i].Type, in))
	}
	b.block.Insts = append(b.block.Insts, in)
	return in.Out
}

// When runs body if c holds.
func (b *Builder) When(c *Value, body func()) {
	b.If(c, func() []*Value { body(); return nil }, nil)
}

var fromScalar = map[scalar.Op]Op{scalar.Add: Add, scalar.Sub: Sub, scalar.Mul: Mul, scalar.Div: Div, scalar.Min: Min,
	scalar.Max: Max, scalar.FMA: FMA, scalar.Neg: Neg, scalar.Abs: Abs, scalar.Sqrt: Sqrt, scalar.Floor: Floor,
	scalar.Rint: Rint, scalar.And: And, scalar.Or: Or, scalar.Shl: Shl, scalar.LT: LT, scalar.LE: LE, scalar.EQ: EQ,
	scalar.ToF32: IToF, scalar.ToI32: FToI, scalar.BitsF32: BitF, scalar.BitsI32: BitI}

// Expr emits a lowered scalar expression over fragments of equal lanes; shared nodes are emitted once.
func (b *Builder) Expr(e *scalar.Expr, args []*Value, lanes int) *Value {
	done := map[*scalar.Expr]*Value{}
	var walk func(*scalar.Expr) *Value
	walk = func(e *scalar.Expr) *Value {
		if v, ok := done[e]; ok {
			return v
		}
		var v *Value
		in := make([]*Value, len(e.Args))
		for i, a := range e.Args {
			in[i] = walk(a)
		}
		switch e.Op {
		case scalar.Arg:
			v = args[e.Index]
		case scalar.Const:
			switch e.Type {
			case scalar.F32:
				v = b.Float(float64(float32(e.Val)), lanes)
			case scalar.I32:
				v = b.Int32(int64(e.Val), lanes)
			default:
				v = b.constant(Vec(I1, lanes), int64(e.Val), 0)
			}
		case scalar.Select:
			v = b.Select(in[0], in[1], in[2])
		case scalar.Not:
			v = b.Logic(Xor, in[0], b.constant(Vec(I1, lanes), 1, 0))
		case scalar.LT, scalar.LE, scalar.EQ:
			v = b.Compare(fromScalar[e.Op], in[0], in[1])
		case scalar.ToF32, scalar.ToI32, scalar.BitsF32, scalar.BitsI32:
			v = b.Cast(fromScalar[e.Op], in[0])
		case scalar.FMA:
			v = b.FMA(in[0], in[1], in[2])
		default:
			op, ok := fromScalar[e.Op]
			if !ok {
				fail("scalar %s was not lowered", e.Op)
			}
			if len(in) == 1 {
				v = b.Unary(op, in[0])
			} else {
				v = b.binary(op, in[0], in[1])
			}
		}
		done[e] = v
		return v
	}
	return walk(e)
}
