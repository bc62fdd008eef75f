package ir

import (
	"fmt"

	"pgc/ir/scalar"
)

// ExprKind is the kind of a node of a fused expression.
type ExprKind uint8

// The kinds of expression nodes.
const (
	ExprOperand ExprKind = iota // $i: the element of operand i
	ExprReduce                  // #i: the value of reduction i of a row op
	ExprAcc                     // @i: accumulator i of a matmul
	ExprConst                   // a number
	ExprCall                    // an elementwise operation
	ExprCast                    // conversion to f32, i32 or bool
)

// Expr is the body of a fused operation: a tree over elementwise operations, computed for every element of the domain.
// It is immutable and may share subtrees. In its text form, mul(gelu_tanh(@0), add(1.0, $1)), f32 constants have a
// point or an exponent, and a subtree that occurs again is named at its first occurrence: mul(&0=exp($0), &0).
type Expr struct {
	Kind  ExprKind
	Index int     // of operand, reduction or accumulator
	DType DType   // of a constant or cast: F32, I32 or Bool
	Val   float64 // of a constant
	Def   *OpDef  // of a call
	Args  []*Expr // of a call or cast
}

// Operand returns $i.
func Operand(i int) *Expr { return &Expr{Kind: ExprOperand, Index: i} }

// Reduced returns #i.
func Reduced(i int) *Expr { return &Expr{Kind: ExprReduce, Index: i} }

// Acc returns @i.
func Acc(i int) *Expr { return &Expr{Kind: ExprAcc, Index: i} }

// Num returns an f32 constant.
func Num(v float64) *Expr { return &Expr{Kind: ExprConst, DType: F32, Val: v} }

// ConstExpr returns a constant of type f32, i32 or bool (0 or 1).
func ConstExpr(d DType, v float64) *Expr { return &Expr{Kind: ExprConst, DType: d, Val: v} }

// Call applies an elementwise operation.
func Call(def *OpDef, args ...*Expr) *Expr { return &Expr{Kind: ExprCall, Def: def, Args: args} }

// Cast converts e to f32, i32 or bool.
func Cast(d DType, e *Expr) *Expr { return &Expr{Kind: ExprCast, DType: d, Args: []*Expr{e}} }

// Walk calls visit for every node of e, arguments first, and once for a shared subtree.
func (e *Expr) Walk(visit func(*Expr)) {
	seen := map[*Expr]bool{}
	var walk func(*Expr)
	walk = func(e *Expr) {
		if seen[e] {
			return
		}
		seen[e] = true
		for _, a := range e.Args {
			walk(a)
		}
		visit(e)
	}
	walk(e)
}

// Rewrite returns e with every leaf l (operand, reduction, accumulator, constant) replaced by leaf(l), which may be l
// itself. Shared subtrees stay shared.
func (e *Expr) Rewrite(leaf func(*Expr) *Expr) *Expr {
	done := map[*Expr]*Expr{}
	var walk func(*Expr) *Expr
	walk = func(e *Expr) *Expr {
		if r, ok := done[e]; ok {
			return r
		}
		var r *Expr
		if len(e.Args) == 0 {
			r = leaf(e)
		} else {
			c := *e
			c.Args = make([]*Expr, len(e.Args))
			for i, a := range e.Args {
				c.Args[i] = walk(a)
			}
			r = &c
		}
		done[e] = r
		return r
	}
	return walk(e)
}

// Scalar converts e to a scalar expression. leaf converts operands, reductions and accumulators. The error names a call
// whose argument types do not fit.
func (e *Expr) Scalar(leaf func(*Expr) (*scalar.Expr, error)) (*scalar.Expr, error) {
	done := map[*Expr]*scalar.Expr{}
	var walk func(*Expr) (*scalar.Expr, error)
	walk = func(e *Expr) (*scalar.Expr, error) {
		if s, ok := done[e]; ok {
			return s, nil
		}
		args := make([]*scalar.Expr, len(e.Args))
		for i, a := range e.Args {
			s, err := walk(a)
			if err != nil {
				return nil, err
			}
			args[i] = s
		}
		var s *scalar.Expr
		var err error
		switch e.Kind {
		case ExprConst:
			s = &scalar.Expr{Op: scalar.Const, Type: e.DType.Scalar(), Val: e.Val}
		case ExprCast:
			s = scalar.Convert(args[0], e.DType.Scalar())
		case ExprCall:
			types := make([]DType, len(args))
			for i, a := range args {
				types[i] = FromScalar(a.Type)
			}
			if err = e.Def.checkScalars(types); err != nil {
				err = fmt.Errorf("%s %w", e.Def.Name, err)
			} else {
				s = e.Def.Scalar(args)
			}
		default:
			s, err = leaf(e)
		}
		if err != nil {
			return nil, err
		}
		done[e] = s
		return s, nil
	}
	return walk(e)
}

// scalarType returns the type of e given the types of its leaves, or what is wrong with it.
func (e *Expr) scalarType(leaf func(*Expr) (DType, error)) (DType, error) {
	s, err := e.Scalar(func(l *Expr) (*scalar.Expr, error) {
		d, err := leaf(l)
		if err != nil {
			return nil, err
		}
		return scalar.X(l.Index, d.Scalar()), nil
	})
	if err != nil {
		return Invalid, err
	}
	return FromScalar(s.Type), nil
}

// noLeaf returns the error for a reference to an operand, reduction or accumulator that does not exist.
func noLeaf(e *Expr, what string, n int) error {
	return fmt.Errorf("expression refers to %s, the operation has %s", e, plural(n, what))
}
