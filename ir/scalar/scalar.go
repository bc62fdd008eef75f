// Package scalar is the shared meaning of every elementwise operation.
//
// A scalar expression is an immutable DAG over the elements of an operation's operands. The reference evaluator
// computes it in float64 (Eval); the backends emit it after Lower has rewritten the transcendental functions into
// float32 polynomials, so a fused chain, a matmul epilogue and a plain elementwise op all run the same arithmetic.
package scalar

import "fmt"

// Type is the type of a scalar value.
type Type uint8

// The scalar types. Storage formats (bfloat16, float16) are converted to F32 when they are loaded.
const (
	F32 Type = iota
	I32
	Bool
)

// String returns the name of t in the text of the IR.
func (t Type) String() string { return [...]string{"f32", "i32", "bool"}[t] }

// ExactInts is the number up to which F32 represents every integer exactly.
const ExactInts = 1 << 24

// Op is the operation of a node.
type Op uint8

// The operations. Those from Exp on are transcendental: Lower removes them.
const (
	Arg   Op = iota // the element of operand Index
	Const           // the number Val
	Add             // float or integer arithmetic by type
	Sub
	Mul
	Div // floats only
	Min // x < y ? x : y, so y if either is NaN
	Max // x > y ? x : y
	FMA // x*y + z rounded once
	Neg
	Abs
	Sqrt
	Floor
	Rint // to the nearest integer, ties to even
	LT
	LE
	EQ
	And
	Or
	Not
	Shl    // integer shift left by a constant
	Select // x ? y : z
	ToF32
	ToI32   // truncates; what does not fit is unspecified
	BitsF32 // reinterprets an I32
	BitsI32 // reinterprets an F32
	Exp
	Log
	Tanh
	Sin
	Cos
	Pow // x to the y
	numOps
)

var opNames = [numOps]string{"arg", "const", "add", "sub", "mul", "div", "min", "max", "fma", "neg", "abs", "sqrt",
	"floor", "rint", "lt", "le", "eq", "and", "or", "not", "shl", "select", "to_f32", "to_i32", "bits_f32", "bits_i32",
	"exp", "log", "tanh", "sin", "cos", "pow"}

// String returns the name of the operation.
func (op Op) String() string { return opNames[op] }

// Expr is a node of a scalar expression. Build it with the functions of this package; never change it.
type Expr struct {
	Op    Op
	Type  Type
	Args  []*Expr
	Index int     // of Arg
	Val   float64 // of Const; for I32 an integer
}

// X returns operand i, of type t.
func X(i int, t Type) *Expr { return &Expr{Op: Arg, Type: t, Index: i} }

// C returns a float constant.
func C(v float64) *Expr { return &Expr{Op: Const, Type: F32, Val: v} }

// CI returns an integer constant.
func CI(v int32) *Expr { return &Expr{Op: Const, Type: I32, Val: float64(v)} }

// Fn applies op to args; the result type follows from them. It panics on a type misuse, a bug of the caller.
func Fn(op Op, args ...*Expr) *Expr {
	t := args[0].Type
	switch op {
	case LT, LE, EQ:
		t = Bool
	case Select:
		t = args[1].Type
		if args[0].Type != Bool || args[2].Type != t {
			panic(fmt.Sprintf("scalar: select of %s, %s, %s", args[0].Type, t, args[2].Type))
		}
	case ToF32, BitsF32:
		t = F32
	case ToI32, BitsI32:
		t = I32
	default:
		for _, a := range args[1:] {
			if a.Type != t {
				panic(fmt.Sprintf("scalar: %s of %s and %s", op, t, a.Type))
			}
		}
	}
	return &Expr{Op: op, Type: t, Args: args}
}

// Convert returns e as type t: a Bool becomes 0 or 1, and a number becomes a Bool by comparison with zero.
func Convert(e *Expr, t Type) *Expr {
	switch {
	case e.Type == t:
		return e
	case t == Bool:
		zero := &Expr{Op: Const, Type: e.Type}
		return Fn(Not, Fn(EQ, e, zero))
	case e.Type == Bool && t == F32:
		return Fn(Select, e, C(1), C(0))
	case e.Type == Bool:
		return Fn(Select, e, CI(1), CI(0))
	case t == F32:
		return Fn(ToF32, e)
	default:
		return Fn(ToI32, e)
	}
}
