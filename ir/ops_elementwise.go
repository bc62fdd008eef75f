package ir

import (
	"math"

	"pgc/ir/scalar"
)

// Shorthand for the scalar bodies of this file.
var fn = scalar.Fn

type scalars = []*scalar.Expr

func one(types DTypes) []Operands { return []Operands{{"x", types}} }
func two(types DTypes) []Operands { return []Operands{{"x", types}, {"y", types}} }

// prim is the body of an operation that is one scalar primitive.
func prim(op scalar.Op) func(scalars) *scalar.Expr {
	return func(x scalars) *scalar.Expr { return fn(op, x...) }
}

var exact = Tol{}

// ulp is a tolerance in units in the last place.
func ulp(n float64) Tol { return Tol{ULP: n} }

// Unary operations.
var (
	OpNeg = Define(OpDef{Name: "neg", Doc: "-x", In: one(Numbers), Tol: exact, Scalar: prim(scalar.Neg)})
	OpAbs = Define(OpDef{Name: "abs", Doc: "|x|", In: one(Numbers), Tol: exact, Scalar: prim(scalar.Abs)})
	OpExp = Define(OpDef{Name: "exp", Doc: "e to the x", In: one(Floats), Tol: ulp(2),
		Range: Range{-90, 88}, Scalar: prim(scalar.Exp)})
	OpLog = Define(OpDef{Name: "log", Doc: "natural logarithm", In: one(Floats), Tol: ulp(2),
		Range: Range{1e-6, 1e4}, Scalar: prim(scalar.Log)})
	OpTanh = Define(OpDef{Name: "tanh", Doc: "hyperbolic tangent", In: one(Floats), Tol: ulp(3),
		Range: Range{-12, 12}, Scalar: prim(scalar.Tanh)})
	OpSin = Define(OpDef{Name: "sin", Doc: "sine of x in radians", In: one(Floats), Tol: Tol{Norm: 2e-7},
		Range: Range{-1e4, 1e4}, Scalar: prim(scalar.Sin)})
	OpCos = Define(OpDef{Name: "cos", Doc: "cosine of x in radians", In: one(Floats), Tol: Tol{Norm: 2e-7},
		Range: Range{-1e4, 1e4}, Scalar: prim(scalar.Cos)})
	OpSqrt = Define(OpDef{Name: "sqrt", Doc: "square root", In: one(Floats), Tol: ulp(1),
		Range: Range{0, 1e4}, Scalar: prim(scalar.Sqrt)})
	OpRsqrt = Define(OpDef{Name: "rsqrt", Doc: "1/sqrt(x)", In: one(Floats), Tol: ulp(2),
		Range: Range{1e-6, 1e4}, Scalar: func(x scalars) *scalar.Expr {
			return fn(scalar.Div, scalar.C(1), fn(scalar.Sqrt, x[0]))
		}})
	OpFloor = Define(OpDef{Name: "floor", Doc: "greatest integer not above x", In: one(Floats), Tol: exact,
		Scalar: prim(scalar.Floor)})
	OpRelu = Define(OpDef{Name: "relu", Doc: "max(x, 0)", In: one(Floats), Tol: exact,
		Scalar: func(x scalars) *scalar.Expr { return fn(scalar.Max, scalar.C(0), x[0]) }})
	OpSigmoid = Define(OpDef{Name: "sigmoid", Doc: "1/(1+exp(-x))", In: one(Floats), Tol: ulp(4),
		Range: Range{-30, 30}, Scalar: func(x scalars) *scalar.Expr { return sigmoid(x[0]) }})
	OpSilu = Define(OpDef{Name: "silu", Doc: "x*sigmoid(x)", In: one(Floats), Tol: ulp(5),
		Range: Range{-30, 30}, Scalar: func(x scalars) *scalar.Expr { return fn(scalar.Mul, x[0], sigmoid(x[0])) }})
	OpGeluTanh = Define(OpDef{Name: "gelu_tanh", Doc: "x*(1+tanh(u))/2 with u = sqrt(2/pi)*(x+0.044715*x^3), computed as x*sigmoid(2u)",
		In: one(Floats), Tol: Tol{ULP: 8, Norm: 2e-7}, Scalar: func(x scalars) *scalar.Expr {
			cubic := fn(scalar.Mul, fn(scalar.Mul, x[0], x[0]), x[0])
			u := fn(scalar.FMA, scalar.C(0.044715), cubic, x[0])
			return fn(scalar.Mul, x[0], sigmoid(fn(scalar.Mul, u, scalar.C(2*math.Sqrt(2/math.Pi)))))
		}})
	OpQuickGelu = Define(OpDef{Name: "quick_gelu", Doc: "x*sigmoid(1.702*x), the approximation of GELU in CLIP", In: one(Floats), Tol: ulp(8),
		Scalar: func(x scalars) *scalar.Expr {
			return fn(scalar.Mul, x[0], sigmoid(fn(scalar.Mul, x[0], scalar.C(1.702))))
		}})
	OpNot = Define(OpDef{Name: "not", Doc: "logical negation", In: one(Bools), Scalar: prim(scalar.Not)})
)

func sigmoid(x *scalar.Expr) *scalar.Expr {
	return fn(scalar.Div, scalar.C(1), fn(scalar.Add, scalar.C(1), fn(scalar.Exp, fn(scalar.Neg, x))))
}

// Binary operations. Operands broadcast; both have one type.
var (
	OpAdd = Define(OpDef{Name: "add", Doc: "x+y", In: two(Numbers), Tol: ulp(1), Scalar: prim(scalar.Add)})
	OpSub = Define(OpDef{Name: "sub", Doc: "x-y", In: two(Numbers), Tol: ulp(1), Scalar: prim(scalar.Sub)})
	OpMul = Define(OpDef{Name: "mul", Doc: "x*y", In: two(Numbers), Tol: ulp(1), Scalar: prim(scalar.Mul)})
	OpDiv = Define(OpDef{Name: "div", Doc: "x/y", In: two(Floats), Tol: ulp(1), Range: Range{0.25, 4},
		Scalar: prim(scalar.Div)})
	OpPow = Define(OpDef{Name: "pow", Doc: "x to the y", In: two(Floats), Tol: ulp(4), Range: Range{0.25, 4},
		Scalar: prim(scalar.Pow)})
	OpMax = Define(OpDef{Name: "max", Doc: "the greater of x and y", In: two(Numbers), Scalar: prim(scalar.Max)})
	OpMin = Define(OpDef{Name: "min", Doc: "the lesser of x and y", In: two(Numbers), Scalar: prim(scalar.Min)})
	OpLt  = Define(OpDef{Name: "lt", Doc: "x < y", In: two(Numbers), Scalar: prim(scalar.LT)})
	OpLe  = Define(OpDef{Name: "le", Doc: "x <= y", In: two(Numbers), Scalar: prim(scalar.LE)})
	OpGt  = Define(OpDef{Name: "gt", Doc: "x > y", In: two(Numbers),
		Scalar: func(x scalars) *scalar.Expr { return fn(scalar.LT, x[1], x[0]) }})
	OpGe = Define(OpDef{Name: "ge", Doc: "x >= y", In: two(Numbers),
		Scalar: func(x scalars) *scalar.Expr { return fn(scalar.LE, x[1], x[0]) }})
	OpEq = Define(OpDef{Name: "eq", Doc: "x = y", In: two(Numbers), Scalar: prim(scalar.EQ)})
	OpNe = Define(OpDef{Name: "ne", Doc: "x differs from y", In: two(Numbers),
		Scalar: func(x scalars) *scalar.Expr { return fn(scalar.Not, fn(scalar.EQ, x[0], x[1])) }})
	OpAnd = Define(OpDef{Name: "and", Doc: "logical and", In: two(Bools), Scalar: prim(scalar.And)})
	OpOr  = Define(OpDef{Name: "or", Doc: "logical or", In: two(Bools), Scalar: prim(scalar.Or)})
)

// OpSelect chooses between two values.
var OpSelect = Define(OpDef{Name: "select", Doc: "x where cond holds, else y",
	In:     []Operands{{"cond", Bools}, {"x", Values}, {"y", Values}},
	Scalar: prim(scalar.Select)})
