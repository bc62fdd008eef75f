package tile

import "pgc/ir/scalar"

// fromScalar maps the primitives of scalar expressions to operations; Arg, Const and Not are emitted otherwise.
var fromScalar = map[scalar.Op]Op{scalar.Add: Add, scalar.Sub: Sub, scalar.Mul: Mul, scalar.Div: Div, scalar.Min: Min,
	scalar.Max: Max, scalar.FMA: FMA, scalar.Neg: Neg, scalar.Abs: Abs, scalar.Sqrt: Sqrt, scalar.Floor: Floor,
	scalar.Rint: Rint, scalar.And: And, scalar.Or: Or, scalar.Shl: Shl, scalar.LT: LT, scalar.LE: LE, scalar.EQ: EQ,
	scalar.Select: Select, scalar.ToF32: IToF, scalar.ToI32: FToI, scalar.BitsF32: BitF, scalar.BitsI32: BitI}

// exprKey says when two instructions of one expression are the same.
type exprKey struct {
	op   Op
	args [3]*Value
}

// Expr emits a lowered scalar expression over fragments of equal lanes; equal subexpressions are emitted once.
func (b *Builder) Expr(e *scalar.Expr, args []*Value, lanes int) *Value {
	x := &exprEmitter{b, args, lanes, map[*scalar.Expr]*Value{}, map[exprKey]*Value{}}
	return x.node(e)
}

type exprEmitter struct {
	b     *Builder
	args  []*Value
	lanes int
	nodes map[*scalar.Expr]*Value
	equal map[exprKey]*Value
}

func (x *exprEmitter) node(e *scalar.Expr) *Value {
	if v, ok := x.nodes[e]; ok {
		return v
	}
	var in [3]*Value
	for i, a := range e.Args {
		in[i] = x.node(a)
	}
	v := x.emit(e, in)
	x.nodes[e] = v
	return v
}

func (x *exprEmitter) emit(e *scalar.Expr, in [3]*Value) *Value {
	b := x.b
	switch {
	case e.Op == scalar.Arg && e.Index >= len(x.args):
		fail("a scalar expression uses operand %d of %d", e.Index, len(x.args))
	case e.Op == scalar.Arg:
		return x.args[e.Index]
	case e.Op == scalar.Const && e.Type == scalar.F32:
		return b.Float(float64(float32(e.Val)), x.lanes)
	case e.Op == scalar.Const && e.Type == scalar.I32:
		return b.Int32(int64(e.Val), x.lanes)
	case e.Op == scalar.Const:
		return b.Bool(e.Val != 0, x.lanes)
	}
	op, ok := fromScalar[e.Op]
	n := len(e.Args)
	switch {
	case e.Op == scalar.Not:
		op, n = Xor, 2
		in[1] = b.Bool(true, x.lanes)
	case !ok:
		fail("scalar %s was not lowered", e.Op)
	}
	key := exprKey{op, in}
	if v, ok := x.equal[key]; ok {
		return v
	}
	elem := map[scalar.Type]Elem{scalar.F32: F32, scalar.I32: I32, scalar.Bool: I1}[e.Type]
	v := b.emit(op, Vec(elem, x.lanes), in[:n]...)
	x.equal[key] = v
	return v
}
