package ir

import (
	"math"
	"slices"

	"pgc/ir/scalar"
)

// maxFolded limits the elements of a folded constant: computing larger ones costs less than storing them.
const maxFolded = 1 << 12

// Fold evaluates an elementwise operation, conversion, reshape or broadcast whose operands are all constants. ok is
// false for other operations, for results that are large or not finite, and for types that constants do not have.
func (op *Op) Fold() (c ConstantAttrs, ok bool) {
	if len(op.Results) != 1 {
		return c, false
	}
	t := op.Result().Type
	n, syms := factors(t.Shape)
	if len(syms) > 0 || n <= 0 || n > maxFolded || len(op.In) == 0 || !t.DType.IsArithmetic() {
		return c, false
	}
	in := make([]ConstantAttrs, len(op.In))
	for i, v := range op.In {
		if v.Def == nil || v.Def.Def != OpConstant {
			return c, false
		}
		in[i] = v.Def.Attrs.(ConstantAttrs)
	}
	c = ConstantAttrs{DType: t.DType, Shape: t.Shape}
	switch {
	case op.Def == OpReshape:
		c.Values = in[0].Values
		return c, true
	case op.Def == OpBroadcast || op.Def == OpConvert || op.Def.Elementwise():
	default:
		return c, false
	}
	args := make([]*scalar.Expr, len(in))
	splat := true
	for i, a := range in {
		args[i] = scalar.X(i, a.DType.Scalar())
		splat = splat && len(a.Values) == 1
	}
	body := args[0]
	switch {
	case op.Def == OpConvert:
		body = scalar.Convert(body, t.DType.Scalar())
	case op.Def.Elementwise():
		body = op.Def.Scalar(args)
	}
	if splat {
		n = 1
	}
	x := make([]float64, len(in))
	for at := range n {
		for i, a := range in {
			x[i] = a.Values[broadcastIndex(a, t.Shape, at)]
		}
		v := scalar.Eval(body, x)
		if math.IsNaN(v) || math.IsInf(v, 0) || t.DType == F32 && math.IsInf(float64(float32(v)), 0) {
			return c, false
		}
		c.Values = append(c.Values, v)
	}
	return c, true
}

// broadcastIndex returns the index of the constant's value that becomes element `at` of a shape it broadcasts to.
func broadcastIndex(a ConstantAttrs, shape []Dim, at int) int {
	if len(a.Values) == 1 {
		return 0
	}
	index, step := 0, 1
	own := slices.Clone(a.Shape)
	for d := len(shape) - 1; d >= 0; d-- {
		i := at % shape[d].N
		at /= shape[d].N
		if o := d - (len(shape) - len(own)); o >= 0 {
			if own[o].N > 1 {
				index += i * step
			}
			step *= own[o].N
		}
	}
	return index
}
