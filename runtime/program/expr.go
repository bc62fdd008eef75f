package program

import (
	"fmt"
	"strings"
)

// ExprOp is the kind of an Expr.
type ExprOp uint8

// The kinds of expressions.
const (
	OpConst   ExprOp = iota // Value
	OpSym                   // symbol number Value
	OpAdd                   // A + B …
	OpMul                   // A × B …
	OpCeilDiv               // A / B, rounded up; 0 if B is not positive
	OpMin
	exprOps
)

// Expr is an integer expression over the program's symbols. The zero Expr is the constant 0.
type Expr struct {
	Op    ExprOp
	Value int64
	Args  []Expr
}

// C returns a constant.
func C(v int64) Expr { return Expr{Op: OpConst, Value: v} }

// Sym returns the value of symbol number i.
func Sym(i int) Expr { return Expr{Op: OpSym, Value: int64(i)} }

// Add returns a sum.
func Add(a ...Expr) Expr { return fold(OpAdd, a) }

// Mul returns a product; of nothing, 1.
func Mul(a ...Expr) Expr {
	if len(a) == 0 {
		return C(1)
	}
	return fold(OpMul, a)
}

// CeilDiv divides a by b and rounds up.
func CeilDiv(a, b Expr) Expr { return fold(OpCeilDiv, []Expr{a, b}) }

// Min returns the least of its arguments.
func Min(a ...Expr) Expr { return fold(OpMin, a) }

// fold builds an expression, which is a constant if all its arguments are.
func fold(op ExprOp, args []Expr) Expr {
	e := Expr{Op: op, Args: args}
	if len(args) == 1 && op != OpCeilDiv {
		return args[0]
	}
	for _, a := range args {
		if a.Op != OpConst {
			return e
		}
	}
	return C(e.Eval(nil))
}

// Eval computes e for the given values of the symbols. It allocates nothing and never panics: an unknown symbol counts
// as 0. Overflow wraps, as in Go.
func (e *Expr) Eval(syms []int64) int64 {
	switch e.Op {
	case OpConst:
		return e.Value
	case OpSym:
		if e.Value < 0 || e.Value >= int64(len(syms)) {
			return 0
		}
		return syms[e.Value]
	}
	var r int64
	for i := range e.Args {
		v := e.Args[i].Eval(syms)
		switch {
		case i == 0:
			r = v
		case e.Op == OpAdd:
			r += v
		case e.Op == OpMul:
			r *= v
		case e.Op == OpCeilDiv:
			r = ceilDiv(r, v)
		case e.Op == OpMin:
			r = min(r, v)
		}
	}
	return r
}

func ceilDiv(a, b int64) int64 {
	if b <= 0 {
		return 0
	}
	q := a / b
	if a%b > 0 {
		q++
	}
	return q
}

// String prints e with s0, s1 … for symbols.
func (e Expr) String() string { return e.Format(nil) }

// Format prints e with the symbols' names.
func (e Expr) Format(symbols []Symbol) string {
	switch e.Op {
	case OpConst:
		return fmt.Sprint(e.Value)
	case OpSym:
		if e.Value >= 0 && e.Value < int64(len(symbols)) {
			return symbols[e.Value].Name
		}
		return fmt.Sprint("s", e.Value)
	}
	if e.Op >= exprOps {
		return fmt.Sprintf("op %d", uint8(e.Op))
	}
	args := make([]string, len(e.Args))
	for i, a := range e.Args {
		args[i] = a.Format(symbols)
	}
	name := map[ExprOp]string{OpAdd: "add", OpMul: "mul", OpCeilDiv: "ceildiv", OpMin: "min"}[e.Op]
	return name + "(" + strings.Join(args, ", ") + ")"
}

// Depends reports whether the value depends on symbols.
func (e *Expr) Depends() bool {
	if e.Op == OpSym {
		return true
	}
	for i := range e.Args {
		if e.Args[i].Depends() {
			return true
		}
	}
	return false
}
