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

// through follows v through conversions, reshapes and parts that begin where a symbol says to their source.
func through(v *ir.Value) *ir.Value {
	for is(v, ir.OpConvert) || is(v, ir.OpReshape) || is(v, ir.OpDynamicSlice) && is(v.Def.In[1], ir.OpSymbol) {
		v = v.Def.In[0]
	}
	return v
}

// reshapedFrom follows v through reshapes to their source.
func reshapedFrom(v *ir.Value) *ir.Value {
	for is(v, ir.OpReshape) {
		v = v.Def.In[0]
	}
	return v
}

// isWeight reports whether v is a weight or a part of one, perhaps converted and reshaped, or reshaped, transposed and
// converted.
func isWeight(v *ir.Value) bool {
	if x := through(v); is(x, ir.OpTranspose) {
		return x.Type.Rank() == 2 && x == unconverted(v) && reshapedFrom(x.Def.In[0]).Kind == ir.Weight
	}
	return through(v).Kind == ir.Weight
}

// unconverted follows v through conversions of parameters from a storage format to f32. Fused operations convert as
// they read.
func unconverted(v *ir.Value) *ir.Value {
	for is(v, ir.OpConvert) && v.Type.DType == ir.F32 && v.Def.In[0].Type.DType.IsFloat() && root(v.Def.In[0]).IsParam() {
		v = v.Def.In[0]
	}
	return v
}

// rounds reports whether op rounds f32 to a 16-bit format.
func rounds(op *ir.Op) bool {
	return op.Def == ir.OpConvert && op.In[0].Type.DType == ir.F32 && is16Bit(op.Result().Type.DType)
}

// widens reports whether op converts computed 16-bit floats to f32, not those of a parameter or a lookup. Products may
// read the 16-bit floats themselves.
func widens(op *ir.Op) bool {
	if op.Def != ir.OpConvert {
		return false
	}
	from := root(op.In[0])
	return op.Result().Type.DType == ir.F32 && is16Bit(from.Type.DType) && !from.IsParam() && !is(from, ir.OpGather)
}

func is16Bit(d ir.DType) bool { return d == ir.BF16 || d == ir.F16 }

// quantizes reports whether op converts floats to groups of 8-bit integers.
func quantizes(op *ir.Op) bool {
	if op.Def != ir.OpConvert {
		return false
	}
	return op.Result().Type.DType.IsActivation()
}

// storedOperand returns the storage form of x that a product with w multiplies: integers if x was quantized to 8 bits
// with the group length of w, bf16 if w is bf16 or in groups, and x itself otherwise. Rows of a table are looked up as f32.
func storedOperand(x, w *ir.Value) *ir.Value {
	if !is(x, ir.OpConvert) || x.Type.DType != ir.F32 {
		return x
	}
	stored := x.Def.In[0]
	integers := stored.Type.DType.IsQuantized() && stored.Type.DType == w.Type.DType.Activation() && !is(root(stored), ir.OpGather)
	rounded := stored.Type.DType == ir.BF16 && (w.Type.DType == ir.BF16 || w.Type.DType.IsQuantized())
	if integers || rounded && widens(x.Def) {
		return stored
	}
	return x
}
