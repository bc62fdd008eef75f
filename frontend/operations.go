// Code generated from the table of operations by go test ./frontend -update. DO NOT EDIT.

package frontend

import "pgc/ir"

// Neg is elementwise: -x.
func Neg(x *Value) *Value { return Apply(ir.OpNeg, x) }

// Abs is elementwise: |x|.
func Abs(x *Value) *Value { return Apply(ir.OpAbs, x) }

// Exp is elementwise: e to the x.
func Exp(x *Value) *Value { return Apply(ir.OpExp, x) }

// Log is elementwise: natural logarithm.
func Log(x *Value) *Value { return Apply(ir.OpLog, x) }

// Tanh is elementwise: hyperbolic tangent.
func Tanh(x *Value) *Value { return Apply(ir.OpTanh, x) }

// Sin is elementwise: sine of x in radians.
func Sin(x *Value) *Value { return Apply(ir.OpSin, x) }

// Cos is elementwise: cosine of x in radians.
func Cos(x *Value) *Value { return Apply(ir.OpCos, x) }

// Sqrt is elementwise: square root.
func Sqrt(x *Value) *Value { return Apply(ir.OpSqrt, x) }

// Rsqrt is elementwise: 1/sqrt(x).
func Rsqrt(x *Value) *Value { return Apply(ir.OpRsqrt, x) }

// Floor is elementwise: greatest integer not above x.
func Floor(x *Value) *Value { return Apply(ir.OpFloor, x) }

// Relu is elementwise: max(x, 0).
func Relu(x *Value) *Value { return Apply(ir.OpRelu, x) }

// Sigmoid is elementwise: 1/(1+exp(-x)).
func Sigmoid(x *Value) *Value { return Apply(ir.OpSigmoid, x) }

// Silu is elementwise: x*sigmoid(x).
func Silu(x *Value) *Value { return Apply(ir.OpSilu, x) }

// GeluTanh is elementwise: x*(1+tanh(u))/2 with u = sqrt(2/pi)*(x+0.044715*x^3), computed as x*sigmoid(2u).
func GeluTanh(x *Value) *Value { return Apply(ir.OpGeluTanh, x) }

// QuickGelu is elementwise: x*sigmoid(1.702*x), the approximation of GELU in CLIP.
func QuickGelu(x *Value) *Value { return Apply(ir.OpQuickGelu, x) }

// Not is elementwise: logical negation.
func Not(x *Value) *Value { return Apply(ir.OpNot, x) }

// Add is elementwise: x+y.
func Add(x, y Operand) *Value { return Apply(ir.OpAdd, x, y) }

// Sub is elementwise: x-y.
func Sub(x, y Operand) *Value { return Apply(ir.OpSub, x, y) }

// Mul is elementwise: x*y.
func Mul(x, y Operand) *Value { return Apply(ir.OpMul, x, y) }

// Div is elementwise: x/y.
func Div(x, y Operand) *Value { return Apply(ir.OpDiv, x, y) }

// Pow is elementwise: x to the y.
func Pow(x, y Operand) *Value { return Apply(ir.OpPow, x, y) }

// Max is elementwise: the greater of x and y.
func Max(x, y Operand) *Value { return Apply(ir.OpMax, x, y) }

// Min is elementwise: the lesser of x and y.
func Min(x, y Operand) *Value { return Apply(ir.OpMin, x, y) }

// Lt is elementwise: x < y.
func Lt(x, y Operand) *Value { return Apply(ir.OpLt, x, y) }

// Le is elementwise: x <= y.
func Le(x, y Operand) *Value { return Apply(ir.OpLe, x, y) }

// Gt is elementwise: x > y.
func Gt(x, y Operand) *Value { return Apply(ir.OpGt, x, y) }

// Ge is elementwise: x >= y.
func Ge(x, y Operand) *Value { return Apply(ir.OpGe, x, y) }

// Eq is elementwise: x = y.
func Eq(x, y Operand) *Value { return Apply(ir.OpEq, x, y) }

// Ne is elementwise: x differs from y.
func Ne(x, y Operand) *Value { return Apply(ir.OpNe, x, y) }

// And is elementwise: logical and.
func And(x, y Operand) *Value { return Apply(ir.OpAnd, x, y) }

// Or is elementwise: logical or.
func Or(x, y Operand) *Value { return Apply(ir.OpOr, x, y) }

// Select is elementwise: x where cond holds, else y.
func Select(cond, x, y Operand) *Value { return Apply(ir.OpSelect, cond, x, y) }

// ReduceSum is a reduction: sum over the last axis, which becomes 1.
func ReduceSum(x *Value) *Value { return Apply(ir.OpReduceSum, x) }

// ReduceMean is a reduction: arithmetic mean over the last axis, which becomes 1.
func ReduceMean(x *Value) *Value { return Apply(ir.OpReduceMean, x) }

// ReduceMax is a reduction: maximum (-inf over nothing) over the last axis, which becomes 1.
func ReduceMax(x *Value) *Value { return Apply(ir.OpReduceMax, x) }

// ReduceLogSumExp is a reduction: logarithm of the sum of e to the x (-inf over nothing) over the last axis, which becomes 1.
func ReduceLogSumExp(x *Value) *Value { return Apply(ir.OpReduceLogSumExp, x) }
