package passes

import "pgc/ir"

// is reports whether v is the result of def.
func is(v *ir.Value, def *ir.OpDef) bool { return v.Def != nil && v.Def.Def == def }

// number returns the value of a scalar constant.
func number(v *ir.Value) (float64, bool) {
	if !is(v, ir.OpConstant) {
		return 0, false
	}
	a := v.Def.Attrs.(ir.ConstantAttrs)
	return a.Values[0], len(a.Values) == 1
}

// withNumber splits a binary operation of which one operand is a scalar constant.
func withNumber(v *ir.Value, def *ir.OpDef) (x *ir.Value, n float64, ok bool) {
	if !is(v, def) {
		return nil, 0, false
	}
	a, b := v.Def.In[0], v.Def.In[1]
	if n, ok = number(b); ok {
		return a, n, true
	}
	if n, ok = number(a); ok && (def == ir.OpMul || def == ir.OpAdd || def == ir.OpAnd || def == ir.OpOr) {
		return b, n, true
	}
	return nil, 0, false
}

// einsumSpec returns the canonical spec of an einsum, or "".
func einsumSpec(op *ir.Op) string {
	if op == nil || op.Def != ir.OpEinsum {
		return ""
	}
	return op.Attrs.(ir.EinsumAttrs).Spec
}

// through follows v through conversions and reshapes to what it was read from.
func through(v *ir.Value) *ir.Value {
	for is(v, ir.OpConvert) || is(v, ir.OpReshape) {
		v = v.Def.In[0]
	}
	return v
}

// isWeight reports whether v is a weight, perhaps converted and reshaped, or converted and transposed.
func isWeight(v *ir.Value) bool {
	if x := through(v); is(x, ir.OpTranspose) {
		return x.Type.Rank() == 2 && x == unconverted(v) && x.Def.In[0].Kind == ir.Weight
	}
	return through(v).Kind == ir.Weight
}

// unconverted follows v through conversions to f32 of stored floats in memory, which fused operations do as they read.
// Only parameters hold stored floats.
func unconverted(v *ir.Value) *ir.Value {
	for is(v, ir.OpConvert) && v.Type.DType == ir.F32 && v.Def.In[0].Type.DType.IsFloat() && root(v.Def.In[0]).IsParam() {
		v = v.Def.In[0]
	}
	return v
}

// stores reports whether op stores f32 in 16 bits.
func stores(op *ir.Op) bool {
	return op.Def == ir.OpConvert && op.In[0].Type.DType == ir.F32 && stores16(op.Result().Type.DType)
}

// restores reports whether op makes f32 of stored floats that were computed, not looked up: products may read these as they are
// stored.
func restores(op *ir.Op) bool {
	if op.Def != ir.OpConvert {
		return false
	}
	from := root(op.In[0])
	return op.Result().Type.DType == ir.F32 && stores16(from.Type.DType) && !from.IsParam() && !is(from, ir.OpGather)
}

func stores16(d ir.DType) bool { return d == ir.BF16 || d == ir.F16 }

// quantizes reports whether op stores floats in groups of 8 bits.
func quantizes(op *ir.Op) bool {
	if op.Def != ir.OpConvert {
		return false
	}
	bits, _ := op.Result().Type.DType.Group()
	return bits == 8
}

// multiplied is what a product reads of its first operand: the integers where it was quantized and the matrix is, too, and the
// bfloat16 where both are.
func multiplied(x, w *ir.Value) *ir.Value {
	if !is(x, ir.OpConvert) || x.Type.DType != ir.F32 {
		return x
	}
	stored, matrix := x.Def.In[0].Type.DType, w.Type.DType
	_, a := stored.Group()
	if _, b := matrix.Group(); a > 0 && a == b || stored == ir.BF16 && matrix == ir.BF16 && restores(x.Def) {
		return x.Def.In[0]
	}
	return x
}

func typesOf(values []*ir.Value) []ir.Type {
	types := make([]ir.Type, len(values))
	for i, v := range values {
		types[i] = v.Type
	}
	return types
}
