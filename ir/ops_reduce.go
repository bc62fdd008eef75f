package ir

import (
	"errors"
	"fmt"
	"math"

	"pgc/ir/scalar"
)

// Reduction folds the values of an expression over the last axis.
type Reduction struct {
	Kind scalar.Monoid
	Expr *Expr
}

// String prints the reduction as sum(mul($0, $0)).
func (r Reduction) String() string { return r.Kind.Name + "(" + r.Expr.String() + ")" }

// Folds computes one number from the elements of a row: reductions of expressions over the element $0, the number of
// elements $1 and earlier reductions (#0, #1, …), then an expression over the reductions and the number of elements.
type Folds struct {
	Reduce []Reduction
	Out    *Expr
}

// CountsElements reports whether an expression uses the number of elements.
func (f *Folds) CountsElements() bool {
	return refsOf(append(reduced(f.Reduce), f.Out)...)[length.Index]
}

// References in the expressions of Folds.
var element, length = Operand(0), Operand(1)

// Reductions of the last axis, which the result keeps with size 1. Evaluation, fusion into rows, kernels, text and the
// DSL derive from the folds.
var (
	OpReduceSum = reduction("reduce_sum", "sum", Tol{ULP: 2, Norm: 1e-5},
		Folds{[]Reduction{{scalar.Sum, element}}, Reduced(0)})

	OpReduceMean = reduction("reduce_mean", "arithmetic mean", Tol{ULP: 2, Norm: 1e-5},
		Folds{[]Reduction{{scalar.Sum, element}}, Call(OpDiv, Reduced(0), length)})

	OpReduceMax = reduction("reduce_max", "maximum (-inf over nothing)", exact,
		Folds{[]Reduction{{scalar.Maximum, element}}, Reduced(0)})

	OpReduceLogSumExp = reduction("reduce_log_sum_exp", "logarithm of the sum of e to the x (-inf over nothing)", Tol{ULP: 4, Norm: 1e-5}, logSumExp())
)

// logSumExp subtracts the maximum, so that nothing overflows: log Σ exp(x - top) + top. If the maximum is infinite, top
// is 0, as in PyTorch.
func logSumExp() Folds {
	top := Call(OpSelect, Call(OpLe, Call(OpAbs, Reduced(0)), Num(math.MaxFloat32)), Reduced(0), Num(0))
	sum := Reduction{scalar.Sum, Call(OpExp, Call(OpSub, element, top))}
	return Folds{[]Reduction{{scalar.Maximum, element}, sum}, Call(OpAdd, Call(OpLog, Reduced(1)), top)}
}

// reduction defines a reduction of the last axis.
func reduction(name, doc string, tol Tol, folds Folds) *OpDef {
	return Define(OpDef{Name: name, Doc: doc + " over the last axis, which becomes 1", In: one(Floats), Tol: tol, Folds: &folds,
		Infer: func(in []Type, _ any) (Type, error) {
			x := in[0]
			if x.Rank() == 0 {
				return Type{}, errors.New("operand is a scalar")
			}
			return Type{x.DType, append(append([]Dim{}, x.Shape[:x.Rank()-1]...), D(1))}, nil
		},
		Samples: []Sample{
			{In: []Type{T(F32, Dims(3, 5, 37)...)}},
			{In: []Type{T(F32, D(5), Sym("T"))}, Syms: map[string]int{"T": 1}},
			{In: []Type{T(F32, Dims(2, 1031)...)}},
			{In: []Type{T(F32, Dims(7, 19)...)}, Ranges: []Range{{900, 1000}}}, // whose exponentials overflow
		},
	})
}

// foldOp returns the operation that folds the elements themselves by kind.
func foldOp(kind scalar.Monoid) *OpDef {
	for _, def := range table.defs {
		if f := def.Folds; f != nil && len(f.Reduce) == 1 && f.Reduce[0] == (Reduction{kind, element}) && f.Out.Kind == ExprReduce {
			return def
		}
	}
	panic(fmt.Sprintf("ir: no operation folds by %s alone", kind.Name))
}
