package frontend

import "pgc/ir"

// Linear is x·wᵀ + bias for x […,K], w [N,K] and bias [N], which may be nil.
func Linear(x, w, bias *Value) *Value {
	if w.Rank() != 2 || x.Rank() == 0 || x.Rank() > 20 || x.Dim(-1) != w.Dim(1) {
		fail(x.f, "linear: x is %s and w is %s, expected […,K] and [N,K]", x.Type(), w.Type())
	}
	const labels = "abcdefghijklmnopqrst"
	rows := labels[:x.Rank()-1]
	y := Einsum(rows+"y,zy->"+rows+"z", x, w)
	if bias == nil {
		return y
	}
	if !bias.Type().Equal(ir.T(bias.DType(), w.Dim(0))) {
		fail(x.f, "linear: w is %s and bias is %s, expected [N,K] and [N]", w.Type(), bias.Type())
	}
	return Add(y, bias)
}

// Softmax is exp(x-max x)/Σ exp(x-max x) over the last axis.
func Softmax(x *Value) *Value {
	e := Exp(Sub(x, ReduceMax(x)))
	return Div(e, ReduceSum(e))
}

// RMSNorm is Gemma's: x/√(mean x² + eps)·(1+w) over the last axis (Zhang and Sennrich 2019; transformers'
// GemmaRMSNorm).
func RMSNorm(x, w *Value, eps float64) *Value {
	return Mul(Mul(x, Rsqrt(Add(ReduceMean(Mul(x, x)), eps))), Add(w, 1.0))
}

// LayerNorm is (x-mean x)/√(var x + eps)·w + b over the last axis (Ba et al. 2016).
func LayerNorm(x, w, b *Value, eps float64) *Value {
	centered := Sub(x, ReduceMean(x))
	variance := ReduceMean(Mul(centered, centered))
	return Add(Mul(Mul(centered, Rsqrt(Add(variance, eps))), w), b)
}

// Rotary rotates the pairs (x[i], x[i+H/2]) of the last axis by the angles whose cosine and sine are given (Su et al.
// 2021, in the rotate-half form of transformers). x is [S,…,H], cos and sin are [S,H/2].
func Rotary(x, cos, sin *Value) *Value {
	h := x.Dim(-1)
	half := ir.D(h.N / 2)
	if want := ir.T(ir.F32, x.Dim(0), half); !h.IsConst() || h.N%2 != 0 || !cos.Type().Equal(want) || !sin.Type().Equal(want) {
		fail(x.f, "rotary: x is %s, cos is %s and sin is %s, expected [S,…,H] and f32[S,H/2]", x.Type(), cos.Type(), sin.Type())
	}
	shape := make([]any, x.Rank()) // cos and sin as [S,1,…,1,H/2]
	for i := range shape {
		shape[i] = 1
	}
	shape[0], shape[len(shape)-1] = x.Dim(0), half
	cos, sin = Reshape(cos, shape...), Reshape(sin, shape...)
	x1, x2 := Slice(x, -1, 0, half), Slice(x, -1, half, h)
	return Concat(-1, Sub(Mul(x1, cos), Mul(x2, sin)), Add(Mul(x2, cos), Mul(x1, sin)))
}
