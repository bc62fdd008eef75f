package passes

import "pgc/ir"

// fuseAttention finds softmax(mask(softcap(scale·q·kᵀ)))·v for grouped heads, written with einsums, and makes it one
// attention, whose scores never exist as a tensor. The mask may be any form of causal, windowed and prefix.
func fuseAttention(f *ir.Func, budget *Budget) int {
	with := map[*ir.Value]*ir.Value{}
	for _, op := range append([]*ir.Op(nil), f.Ops...) {
		q, k, v, attrs, ok := matchAttention(op)
		if !ok || !budget.Take(op) {
			continue
		}
		with[op.Out] = ir.Before(f, op).Op(ir.OpAttention, attrs, q, k, v)
	}
	f.Replace(with)
	f.RemoveDead()
	return len(with)
}

func matchAttention(op *ir.Op) (q, k, v *ir.Value, a ir.AttentionAttrs, ok bool) {
	if einsumSpec(op.Out) != "abcd,dae->cabe" {
		return
	}
	scores, ok := matchSoftmax(op.In[0])
	if !ok {
		return
	}
	v = op.In[1]
	a.Scale = 1
	if is(scores, ir.OpSelect) {
		low, isNum := number(scores.Def.In[2])
		if !isNum || low > -1e30 || !matchMask(scores.Def.In[0], &a) {
			return nil, nil, nil, a, false
		}
		a.Causal = true
		scores = scores.Def.In[1]
	}
	if x, c, capped := withNumber(scores, ir.OpMul); capped && is(x, ir.OpTanh) {
		inner, d, divided := withNumber(x.Def.In[0], ir.OpDiv)
		if !divided || d != c {
			return nil, nil, nil, a, false
		}
		a.Softcap, scores = c, inner
	}
	if x, s, scaled := withNumber(scores, ir.OpMul); scaled {
		a.Scale, scores = s, x
	}
	if einsumSpec(scores) != "abcd,ebd->bcae" {
		return nil, nil, nil, a, false
	}
	q, k, v = scores.Def.In[0], stored(scores.Def.In[1]), stored(v)
	return q, k, v, a, k.Type.Equal(v.Type)
}

// stored is what keys or values are converted from, as from a cache of bf16: the kernel reads that.
func stored(v *ir.Value) *ir.Value {
	if is(v, ir.OpConvert) && ir.Plain.Has(v.Def.In[0].Type.DType) {
		return v.Def.In[0]
	}
	return v
}

// matchSoftmax returns x of exp(x - max x) / sum exp(x - max x).
func matchSoftmax(v *ir.Value) (*ir.Value, bool) {
	if !is(v, ir.OpDiv) {
		return nil, false
	}
	e, sum := v.Def.In[0], v.Def.In[1]
	if !is(e, ir.OpExp) || !is(sum, ir.OpReduceSum) || sum.Def.In[0] != e || !is(e.Def.In[0], ir.OpSub) {
		return nil, false
	}
	x, top := e.Def.In[0].Def.In[0], e.Def.In[0].Def.In[1]
	return x, is(top, ir.OpReduceMax) && top.Def.In[0] == x
}

// matchMask reads a mask bool [S,T]: causal, perhaps and-ed with a window, perhaps or-ed with the prefix.
func matchMask(v *ir.Value, a *ir.AttentionAttrs) bool {
	if is(v, ir.OpOr) {
		for i, side := range v.Def.In {
			if matchPrefix(v.Def.In[1-i], a) && matchMask(side, a) {
				return true
			}
		}
		return false
	}
	if is(v, ir.OpAnd) {
		for i, side := range v.Def.In {
			if matchWindow(v.Def.In[1-i], a) && matchMask(side, a) {
				return true
			}
		}
		return false
	}
	lesser, greater, ok := ordered(v, ir.OpLe, ir.OpGe)
	return ok && isKey(lesser) && matchPosition(greater, a)
}

// ordered returns the sides of x < y (or ≤), written either way round.
func ordered(v *ir.Value, less, greater *ir.OpDef) (x, y *ir.Value, ok bool) {
	switch {
	case is(v, less):
		return v.Def.In[0], v.Def.In[1], true
	case is(v, greater):
		return v.Def.In[1], v.Def.In[0], true
	}
	return nil, nil, false
}

// matchWindow reads key > position - window.
func matchWindow(v *ir.Value, a *ir.AttentionAttrs) bool {
	low, key, ok := ordered(v, ir.OpLt, ir.OpGt)
	if !ok || !isKey(key) {
		return false
	}
	pos, w, ok := withNumber(low, ir.OpSub)
	if !ok || !matchPosition(pos, a) {
		return false
	}
	a.Window = int(w)
	return true
}

// matchPrefix reads position < prefix and key < prefix.
func matchPrefix(v *ir.Value, a *ir.AttentionAttrs) bool {
	if !is(v, ir.OpAnd) {
		return false
	}
	var keys, positions bool
	for _, side := range v.Def.In {
		x, limit, ok := ordered(side, ir.OpLt, ir.OpGt)
		if !ok {
			return false
		}
		p, ok := scalarDim(limit)
		if !ok || (keys || positions) && p != a.Prefix {
			return false
		}
		a.Prefix = p
		if isKey(x) {
			keys = true
		} else if matchPosition(x, a) {
			positions = true
		}
	}
	return keys && positions
}

// isKey reports whether v counts along the last of two axes.
func isKey(v *ir.Value) bool {
	return is(v, ir.OpIota) && v.Def.Attrs.(ir.IotaAttrs).Axis == v.Type.Rank()-1
}

// matchPosition reads offset + row, the position of a query, and checks that the offset is the one seen before.
func matchPosition(v *ir.Value, a *ir.AttentionAttrs) bool {
	var offset ir.Dim
	if is(v, ir.OpAdd) {
		x, y := v.Def.In[0], v.Def.In[1]
		d, ok := scalarDim(y)
		if !ok {
			if d, ok = scalarDim(x); !ok {
				return false
			}
			x = y
		}
		v, offset = x, d
	}
	if !is(v, ir.OpIota) || v.Type.Rank() != 2 || v.Def.Attrs.(ir.IotaAttrs).Axis != 0 {
		return false
	}
	if a.Offset != (ir.Dim{}) && a.Offset != offset {
		return false
	}
	a.Offset = offset
	return true
}

// scalarDim returns a scalar symbol or constant as a dimension.
func scalarDim(v *ir.Value) (ir.Dim, bool) {
	if is(v, ir.OpSymbol) {
		return ir.Sym(string(v.Def.Attrs.(ir.SymbolAttrs).Name)), true
	}
	if n, ok := number(v); ok && v.Type.DType == ir.I32 {
		return ir.D(int(n)), true
	}
	return ir.Dim{}, false
}
