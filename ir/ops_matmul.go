package ir

import (
	"errors"
	"fmt"
)

// MatmulAttrs are the attributes of matmul: how many weight matrices follow x, and the expression over the accumulators @j and
// the extra operands $i (counted from 0 after the weights) that makes the result.
type MatmulAttrs struct {
	Accs     int   `ir:"accs"`
	Epilogue *Expr `ir:"epilogue"`
}

// OpMatmul multiplies rows of x [M,K] by the rows of Accs matrices w [N,K], acc_j = x·w_jᵀ, and applies the epilogue to the
// accumulators and to extra operands that broadcast to [M,N] (bias, residual). Weights of any float format are read as f32. A
// gated linear unit has two accumulators: mul(gelu_tanh(@0), @1).
var OpMatmul = Define(OpDef{Name: "matmul", Doc: "an expression over the products of x with transposed matrices and over extra operands",
	In: []Operands{{"x", Floats}, {"w", Stored}, {"extra", AnyDType}}, Variadic: true, Attrs: MatmulAttrs{}, Tol: Tol{ULP: 8, Norm: 1e-5},
	Infer: inferMatmul, Expand: expandMatmul, Samples: matmulSamples(),
})

func inferMatmul(in []Type, attrs any) (Type, error) {
	a := attrs.(MatmulAttrs)
	if a.Accs < 1 || len(in) < 1+a.Accs {
		return Type{}, fmt.Errorf("has %s, but accs=%d", plural(len(in), "operand"), a.Accs)
	}
	x, extra := in[0], in[1+a.Accs:]
	if x.Rank() != 2 {
		return Type{}, fmt.Errorf("x is %s, wants two dimensions", x)
	}
	for _, w := range in[1 : 1+a.Accs] {
		if w.Rank() != 2 || w.Shape[1] != x.Shape[1] || w.Shape[0] != in[1].Shape[0] {
			return Type{}, fmt.Errorf("x is %s and w is %s, wants [M,K] and [N,K]", x, w)
		}
		if !w.DType.IsFloat() {
			return Type{}, fmt.Errorf("w is %s, wants floats", w)
		}
	}
	shape := []Dim{x.Shape[0], in[1].Shape[0]}
	for i, t := range extra {
		if s, err := Broadcast(t.Shape, shape); err != nil || len(s) != 2 || s[0] != shape[0] || s[1] != shape[1] {
			return Type{}, fmt.Errorf("extra operand $%d is %s, which does not broadcast to %s", i, t, FormatDims(shape))
		}
	}
	if a.Epilogue == nil {
		return Type{}, errors.New("attribute epilogue is missing")
	}
	d, err := a.Epilogue.scalarType(func(e *Expr) (DType, error) {
		if e.Kind != ExprAcc {
			return operandType(extra)(e)
		}
		if e.Index < 0 || e.Index >= a.Accs {
			return Invalid, noLeaf(e, "accumulator", a.Accs)
		}
		return F32, nil
	})
	return Type{d, shape}, err
}

func expandMatmul(b *Builder, op *Op) *Value {
	a := op.Attrs.(MatmulAttrs)
	accs := make([]*Value, a.Accs)
	for i := range accs {
		accs[i] = b.Op(OpEinsum, EinsumAttrs{"ab,cb->ac"}, op.In[0], b.readable(op.In[1+i]))
	}
	v := b.Expr(a.Epilogue, func(e *Expr) *Value {
		if e.Kind == ExprAcc {
			return accs[e.Index]
		}
		return b.readable(op.In[1+a.Accs+e.Index])
	})
	return b.Broadcast(v, op.Out.Type.Shape)
}
