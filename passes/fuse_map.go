package passes

import (
	"slices"

	"pgc/ir"
)

// fuseMap fuses chains of elementwise operations, and the lookups they read, into one map. A concatenation of equal
// parts along the last axis, as in a rotary embedding, becomes several expressions. Rounding the result to 16 bits, as
// for a bf16 KV cache, and scattering it are parts of the map.
func fuseMap(f *ir.Func, budget *Budget) int {
	uses := f.Uses()
	return fuseRegions(f, budget, fusion{
		sink: func(op *ir.Op) bool {
			return !multipliedAsStored(op, uses) && (isElementwise(op) || op.Def == ir.OpGather || isEvenConcat(op) || rounds(op) || op.Def == ir.OpScatter)
		},
		also: func(sink, op *ir.Op) bool {
			return op.Def == ir.OpGather || sink.Def == ir.OpScatter && rounds(op) && sink.In[1] == op.Result()
		},
		build: func(r *region) *ir.Value { return buildMap(f, r) },
	})
}

// multipliedAsStored reports whether op only widens stored floats for products, which read the storage format
// themselves.
func multipliedAsStored(op *ir.Op, uses ir.Uses) bool {
	if op.Def != ir.OpConvert || !isWeight(op.Result()) && !widens(op) {
		return false
	}
	for _, u := range uses.Of(op.Result()) {
		if u.Op == nil || !isProduct(u.Op) {
			return false
		}
	}
	return true
}

// isEvenConcat reports whether op joins f32 parts of one shape along the last axis.
func isEvenConcat(op *ir.Op) bool {
	if op.Def != ir.OpConcat || op.Attrs.(ir.AxisAttrs).Axis != op.Result().Type.Rank()-1 {
		return false
	}
	for _, v := range op.In {
		if !v.Type.Equal(op.In[0].Type) || v.Type.DType != ir.F32 {
			return false
		}
	}
	return true
}

func buildMap(f *ir.Func, r *region) *ir.Value {
	b := newBody(r, nil)
	gathers := map[*ir.Op]bool{}
	b.special = func(op *ir.Op) *ir.Expr {
		if op.Def != ir.OpGather {
			return nil
		}
		gathers[op] = true
		return b.operand(op.Result())
	}
	parts := []*ir.Value{r.sink.Result()}
	if r.sink.Def == ir.OpConcat {
		parts = r.sink.In
	}
	attrs := ir.MapAttrs{}
	end := r.sink // the first operation behind the expressions
	if end.Def == ir.OpScatter {
		parts = end.In[1:2]
		if d := parts[0].Type.DType; is16Bit(d) {
			attrs.DType = d
		}
		if stored := parts[0].Def; stored != nil && r.in[stored] {
			end = stored
		}
	}
	if rounds(end) {
		parts, attrs.DType = end.In, end.Result().Type.DType
	}
	for _, p := range parts {
		attrs.Exprs = append(attrs.Exprs, b.expr(p))
	}
	// A gather in the region becomes a table operand and an index operand.
	operands := slices.Clone(b.operands)
	for i, v := range b.operands {
		if v.Def == nil || !gathers[v.Def] {
			continue
		}
		operands[i] = unconverted(v.Def.In[0])
		at := slices.Index(operands, v.Def.In[1])
		if at < 0 {
			at = len(operands)
			operands = append(operands, v.Def.In[1])
		}
		attrs.Gathers = append(attrs.Gathers, ir.Gather{Table: i, Index: at})
	}
	if r.sink.Def == ir.OpScatter {
		n := len(operands)
		operands = append(operands, r.sink.In[0], r.sink.In[2])
		attrs.Scatter = ir.Scatter{State: n, Positions: n + 1}
	}
	if len(operands) == 0 { // the expressions are of numbers only: an operand gives the shape
		if len(r.sink.In) == 0 {
			return nil
		}
		operands = append(operands, r.sink.In[0])
	}
	return fused(f, r, ir.OpMap, attrs, operands)
}
