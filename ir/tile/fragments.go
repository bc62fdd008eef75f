package tile

import (
	"math"
	"slices"

	"pgc/ir/scalar"
)

// Int returns an i64 constant.
func (b *Builder) Int(v int64) *Value { return b.constant(Scalar(I64), v, 0) }

// Float returns a float constant in every lane.
func (b *Builder) Float(v float64, lanes int) *Value { return b.constant(Vec(F32, lanes), 0, v) }

// Int32 returns an i32 constant in every lane.
func (b *Builder) Int32(v int64, lanes int) *Value {
	return b.constant(Vec(I32, lanes), int64(cut(I32, v)), 0)
}

// Bool returns an i1 constant in every lane.
func (b *Builder) Bool(v bool, lanes int) *Value {
	return b.constant(Vec(I1, lanes), pick[int64](v, 1, 0), 0)
}

// constant returns a constant. They live at the head of the kernel, once each.
func (b *Builder) constant(t Type, i int64, f float64) *Value {
	key := constKey{t, i, math.Float64bits(f)}
	if v, ok := b.consts[key]; ok {
		return v
	}
	in := &Inst{Op: Const, Imm: i, Num: f}
	v := b.value(t, in)
	in.Out = []*Value{v}
	if err := check(in); err != nil {
		fail("%v", err)
	}
	b.kernel.Body.Insts = append([]*Inst{in}, b.kernel.Body.Insts...)
	b.consts[key] = v
	return v
}

// ConstInt returns the value of an integer constant.
func ConstInt(v *Value) (int64, bool) {
	if v.isConst() && v.Type.Elem != F32 {
		return v.Def.Imm, true
	}
	return 0, false
}

// Displaced returns v as a value and a constant that is added to it.
func Displaced(v *Value) (*Value, int64) {
	if v.Def != nil && v.Def.Op == Add {
		if c, ok := ConstInt(v.Def.Args[1]); ok && v.Type == Scalar(I64) {
			return v.Def.Args[0], c
		}
	}
	return v, 0
}

func (b *Builder) binary(op Op, x, y *Value) *Value { return b.emit(op, x.Type, x, y) }

// folded is arithmetic. That of i64 constants is done at build time, so that static sizes leave no code behind; what
// blocks around this place have computed is not computed again. Constants move outward, (x + c)·d to x·d + c·d, so that
// addresses in an unrolled body differ in a constant alone, which memory operands hold.
func (b *Builder) folded(op Op, x, y *Value) *Value {
	if x.Type != Scalar(I64) || y.Type != x.Type {
		return b.binary(op, x, y)
	}
	cx, okx := ConstInt(x)
	cy, oky := ConstInt(y)
	switch {
	case okx && oky && !(cy == 0 && (op == Div || op == Rem)):
		in := &Inst{Op: op, Out: []*Value{x}}
		return b.Int(int64(ops[op].eval(in, []word{word(cx), word(cy)})))
	case oky && cy == 0 && (op == Add || op == Sub), oky && cy == 1 && (op == Mul || op == Div):
		return x
	case op == Mul && oky && cy == 0, op == Rem && oky && cy == 1:
		return b.Int(0)
	case okx && (op == Add || op == Mul):
		return b.folded(op, y, x)
	case op == Sub && oky:
		return b.Add(x, b.Int(-cy))
	}
	sx, dx := Displaced(x)
	switch {
	case op == Add && oky && dx != 0:
		return b.Add(sx, b.Int(dx+cy))
	case op == Mul && oky && dx != 0:
		return b.Add(b.Mul(sx, y), b.Int(dx*cy))
	case op == Add && dx != 0:
		return b.Add(b.Add(sx, y), b.Int(dx))
	}
	if sy, dy := Displaced(y); op == Add && dy != 0 && !oky {
		return b.Add(b.Add(x, sy), b.Int(dy))
	}
	return b.once(op, x.Type, x, y)
}

// once emits an operation on addresses, unless a block around this place has its result; y may be nil.
func (b *Builder) once(op Op, t Type, x, y *Value) *Value {
	key := addressKey{op, t, x, y}
	for _, known := range b.known {
		if v := known[key]; v != nil {
			return v
		}
	}
	args := []*Value{x, y}
	if y == nil {
		args = args[:1]
	}
	v := b.emit(op, t, args...)
	b.known[len(b.known)-1][key] = v
	return v
}

// Add returns x + y.
func (b *Builder) Add(x, y *Value) *Value { return b.folded(Add, x, y) }

// Sub returns x - y.
func (b *Builder) Sub(x, y *Value) *Value { return b.folded(Sub, x, y) }

// Mul returns x * y.
func (b *Builder) Mul(x, y *Value) *Value { return b.folded(Mul, x, y) }

// Div returns x / y; integer division truncates.
func (b *Builder) Div(x, y *Value) *Value { return b.folded(Div, x, y) }

// Rem returns the remainder of integer division.
func (b *Builder) Rem(x, y *Value) *Value { return b.folded(Rem, x, y) }

// Min returns the lesser: y unless x < y.
func (b *Builder) Min(x, y *Value) *Value { return b.folded(Min, x, y) }

// Max returns the greater: y unless x > y.
func (b *Builder) Max(x, y *Value) *Value { return b.folded(Max, x, y) }

// FMA returns x*y + z, rounded once.
func (b *Builder) FMA(x, y, z *Value) *Value { return b.emit(FMA, x.Type, x, y, z) }

// Unary applies Neg, Abs, Sqrt, Floor or Rint.
func (b *Builder) Unary(op Op, x *Value) *Value { return b.emit(op, x.Type, x) }

// Logic applies And, Or, Xor, Shl, Shr or Sar. Shifts are by constants.
func (b *Builder) Logic(op Op, x, y *Value) *Value { return b.binary(op, x, y) }

// Compare applies LT, LE or EQ lane by lane. Of two constants of i64 the result is one, too.
func (b *Builder) Compare(op Op, x, y *Value) *Value {
	cx, okx := ConstInt(x)
	cy, oky := ConstInt(y)
	if okx && oky && x.Type == Scalar(I64) && y.Type == x.Type {
		in := &Inst{Op: op, Args: []*Value{x, y}}
		return b.Bool(ops[op].eval(in, []word{word(cx), word(cy)}) != 0, 1)
	}
	return b.emit(op, Vec(I1, x.Type.Lanes), x, y)
}

// Select returns x where c holds, else y.
func (b *Builder) Select(c, x, y *Value) *Value { return b.emit(Select, x.Type, c, x, y) }

// Cast applies IToF, FToI, BitF, BitI, Widen or Narrow.
func (b *Builder) Cast(op Op, x *Value) *Value {
	to := map[Op]Elem{IToF: F32, FToI: I32, BitF: F32, BitI: I32, Widen: I64, Narrow: I32}[op]
	switch {
	case op == Widen && x.Type.Elem == I8:
		to = I32
	case op == Narrow && x.Type.Elem == I32:
		to = I8
	}
	if c, ok := ConstInt(x); ok && op == Narrow && to == I32 {
		return b.Int32(c, x.Type.Lanes)
	}
	return b.emit(op, Vec(to, x.Type.Lanes), x)
}

// WidenTo extends integers to a wider element, by the sign.
func (b *Builder) WidenTo(x *Value, e Elem) *Value { return b.emit(Widen, Vec(e, x.Type.Lanes), x) }

// Bits reinterprets an integer fragment as lanes of e.
func (b *Builder) Bits(x *Value, e Elem) *Value {
	return b.emit(Bits, Vec(e, x.Type.Lanes*x.Type.Elem.Bytes()/e.Bytes()), x)
}

// Dot applies DotI16 or DotU8.
func (b *Builder) Dot(op Op, x, y *Value) *Value {
	to := map[Op]Elem{DotI16: I32, DotU8: I16}[op]
	return b.emit(op, Vec(to, x.Type.Lanes/2), x, y)
}

// Dot4 adds to every lane of acc four products of unsigned bytes of x with signed ones of y.
func (b *Builder) Dot4(acc, x, y *Value) *Value { return b.emit(Dot4, acc.Type, acc, x, y) }

// DotS4 is Dot4 of signed bytes with signed ones.
func (b *Builder) DotS4(acc, x, y *Value) *Value { return b.emit(DotS4, acc.Type, acc, x, y) }

// MMLA adds to every four lanes of acc, which are a matrix of 2×2, the product of 2×8 bytes of x by the transpose of
// 2×8 of y.
func (b *Builder) MMLA(acc, x, y *Value) *Value { return b.emit(MMLA, acc.Type, acc, x, y) }

// DotBF16 adds to every lane of acc two products of bfloat16, which i16 lanes hold: the second one first.
func (b *Builder) DotBF16(acc, x, y *Value) *Value { return b.emit(DotBF16, acc.Type, acc, x, y) }

// DotOdd adds to every lane of acc the sum of two products of bfloat16, which i16 lanes hold; both sums are rounded to odd.
func (b *Builder) DotOdd(acc, x, y *Value) *Value { return b.emit(DotOdd, acc.Type, acc, x, y) }

// MMLAOdd adds to every four lanes of acc, which are a matrix of 2×2, the product of 2×4 bfloat16 of x by the transpose of
// 2×4 of y, as DotOdd does.
func (b *Builder) MMLAOdd(acc, x, y *Value) *Value { return b.emit(MMLAOdd, acc.Type, acc, x, y) }

// Integer returns a constant of any integer type in every lane.
func (b *Builder) Integer(t Type, v int64) *Value { return b.constant(t, int64(cut(t.Elem, v)), 0) }

// Splat copies a scalar into every lane.
func (b *Builder) Splat(x *Value, lanes int) *Value {
	switch {
	case lanes == 1 && x.Type.Lanes == 1:
		return x
	case x.Type.Lanes == 1 && x.isConst():
		return b.constant(Vec(x.Type.Elem, lanes), x.Def.Imm, x.Def.Num)
	}
	return b.emit(Splat, Vec(x.Type.Elem, lanes), x)
}

// Lane returns lane i of a vector.
func (b *Builder) Lane(x *Value, i int) *Value {
	if x.Type.Lanes == 1 && i == 0 {
		return x
	}
	return b.inst(&Inst{Op: Lane, Args: []*Value{x}, Imm: int64(i)}, Scalar(x.Type.Elem))
}

// Iota returns 0, 1, 2, … as i32.
func (b *Builder) Iota(lanes int) *Value {
	if lanes == 1 {
		return b.Int32(0, 1)
	}
	return b.emit(Iota, Vec(I32, lanes))
}

// Lookup returns the elements of a table at places x, modulo its length, a power of two.
func (b *Builder) Lookup(x *Value, table []float32) *Value {
	return b.inst(&Inst{Op: Lookup, Args: []*Value{x}, Table: table}, Vec(F32, x.Type.Lanes))
}

// Shuffle returns lanes mask[0], mask[1], … of x and y one behind the other.
func (b *Builder) Shuffle(x, y *Value, mask ...int) *Value {
	return b.inst(&Inst{Op: Shuffle, Args: []*Value{x, y}, Mask: mask}, Vec(x.Type.Elem, len(mask)))
}

// folds lists the operations that Fold and Reduce take.
var folds = []Op{Add, Mul, Min, Max}

// Reduce folds the lanes by an operation of two, always by halves.
func (b *Builder) Reduce(fold Op, x *Value) *Value {
	if x.Type == Scalar(F32) {
		return x
	}
	return b.inst(&Inst{Op: Reduce, Args: []*Value{x}, Fold: fold}, Scalar(x.Type.Elem))
}

// Fold folds the lanes by a monoid.
func (b *Builder) Fold(m scalar.Monoid, x *Value) *Value { return b.Reduce(joinOf(m), x) }

// Join joins two fragments lane by lane by a monoid.
func (b *Builder) Join(m scalar.Monoid, x, y *Value) *Value { return b.emit(joinOf(m), x.Type, x, y) }

func joinOf(m scalar.Monoid) Op {
	op := fromScalar[m.Join]
	if !slices.Contains(folds, op) {
		fail("lanes cannot be folded by scalar %s", m.Join)
	}
	return op
}

// PtrAdd moves a pointer by elements.
func (b *Builder) PtrAdd(p, elements *Value) *Value {
	if c, ok := ConstInt(elements); ok && c == 0 {
		return p
	}
	return b.once(PtrAdd, p.Type, p, elements)
}

// PtrCast changes the element type of a pointer.
func (b *Builder) PtrCast(p *Value, e Elem) *Value { return b.once(PtrCast, pointerTo(e), p, nil) }

// Load reads lanes elements at p[off]; 16-bit floats become F32.
func (b *Builder) Load(p, off *Value, lanes int) *Value {
	return b.emit(Load, Vec(p.Type.Elem.Register(), lanes), p, off)
}

// LoadTail reads the first count lanes at p[off]; the others are zero and not touched.
func (b *Builder) LoadTail(p, off *Value, lanes int, count *Value) *Value {
	return b.emit(LoadTail, Vec(p.Type.Elem.Register(), lanes), p, off, count)
}

// Store writes v at p[off]; to 16-bit floats F32 is rounded to nearest, ties to even.
func (b *Builder) Store(p, off, v *Value) { b.effect(Store, p, off, v) }

// StoreTail writes the first count lanes of v at p[off].
func (b *Builder) StoreTail(p, off, v, count *Value) { b.effect(StoreTail, p, off, v, count) }

// Prefetch asks for the cache line of p[off], to be kept in the cache of a level, 1 or 2, and above.
func (b *Builder) Prefetch(p, off *Value, level int) {
	b.append(&Inst{Op: Prefetch, Args: []*Value{p, off}, Imm: int64(level)})
}
