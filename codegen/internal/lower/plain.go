package lower

import (
	"math"

	"pgc/codegen/kernels"
	"pgc/ir"
	"pgc/runtime/program"
)

// A plain part's matrix and a second product's are as large as an adapter's rank, and a rank is scaled by a factor of its own. Both are
// the launch's, not the kernel's: adapters of all ranks share kernels.

// number makes n, at most `most`, a number that the launch has of its own.
func (la *Launch) number(n, most int64) kernels.Size {
	la.Own = append(la.Own, n)
	return kernels.Size{N: most, Own: len(la.Own)}
}

// plain reports whether a product reads the matrix of a part row by row.
func (l Layouts) plain(p ir.MatmulPart) bool {
	if !l.rows || p.Weights[0].Kind != ir.Weight {
		return false
	}
	return l.few[p.Weights[0].Key]
}

// anyRows makes a part of a product with rows of x one of a plain matrix, of which the launch says how many rows it has.
func (la *Launch) anyRows(p *kernels.Part, rows kernels.Size) {
	const most = kernels.PanelPad - 1
	out := &p.Outs[0]
	if rows == kernels.Const(1) || out.Strides[0] == p.N {
		out.Strides[0] = 0
	}
	out.Strides[1] = 0
	p.Plain, p.N = la.number(p.N, most), most
}

// factored makes the factor of a part's only accumulator the last of the extra operands; where it has none that is 1.
func factored(e *ir.Expr, extra []*ir.Value) (*ir.Expr, []*ir.Value) {
	factor := 1.0
	operand := ir.Operand(len(extra))
	var walk func(e *ir.Expr) *ir.Expr
	walk = func(e *ir.Expr) *ir.Expr {
		switch {
		case e.Kind == ir.ExprAcc:
			return ir.Call(ir.OpMul, e, operand)
		case e.Kind != ir.ExprCall:
		case e.Def == ir.OpMul && e.Args[0].Kind == ir.ExprAcc && e.Args[1].Kind == ir.ExprConst:
			factor = e.Args[1].Val
			return ir.Call(ir.OpMul, e.Args[0], operand)
		case e.Def == ir.OpSelect && e.Args[2].Kind == ir.ExprConst:
			if x := walk(e.Args[1]); x != nil {
				return ir.Call(ir.OpSelect, e.Args[0], x, e.Args[2])
			}
		}
		return nil
	}
	scaled := walk(e)
	if scaled == nil {
		return e, extra
	}
	return scaled, append(extra[:len(extra):len(extra)], constantOf(factor))
}

// constantOf is a number as an operand.
func constantOf(x float64) *ir.Value {
	op := &ir.Op{Def: ir.OpConstant, Attrs: ir.ConstantAttrs{DType: ir.F32, Values: []float64{float64(float32(x))}}}
	v := &ir.Value{Def: op, Type: ir.T(ir.F32), Buf: &ir.Buffer{}}
	op.Results = []*ir.Value{v}
	return v
}

// seconds lowers the second products of a part, whose accumulators are those from `first` on.
func (l *lowerer) seconds(la *Launch, a ir.MatmulView, p ir.MatmulPart, rows kernels.Size) (all []kernels.Second, err error) {
	for _, s := range a.Second {
		if s.Acc < p.First || s.Acc >= p.First+p.Accs {
			continue
		}
		m, err := l.matrixOf(s.W)
		if err != nil {
			return nil, err
		}
		of := kernels.Second{Acc: s.Acc - p.First, K: la.number(m.Cols, math.MaxInt32), Elem: elem(s.W.Type.DType)}
		if of.XStride = of.K; rows != kernels.Const(1) && l.strides(s.X)[0] != m.Cols {
			of.XStride = kernels.Const(l.strides(s.X)[0])
		}
		la.In = append(la.In, s.X)
		m = m.As(l.layouts.second(m))
		of.Columns = m.Kind == program.LayoutColumns
		la.Packed[len(la.In)] = m
		all, la.In = append(all, of), append(la.In, s.W)
	}
	return all, nil
}
