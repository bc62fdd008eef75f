package passes

import (
	"slices"

	"pgc/ir"
)

// legalize brings every operation to a form that kernels or views exist for. Single elementwise operations and lookups
// become maps, products with weights become matmuls, and copies are inserted where an operand needs memory or strides
// cannot express a view.
func legalize(f *ir.Func, _ *Budget) int {
	n := lookups(f)
	n += singles(f)
	n += copies(f)
	return n
}

// lookups replaces slices whose start is computed by lookups, because the address of a view must not depend on values
// in memory.
func lookups(f *ir.Func) int {
	with := map[*ir.Value]*ir.Value{}
	for _, op := range append([]*ir.Op(nil), f.Ops...) {
		if op.Def != ir.OpDynamicSlice {
			continue
		}
		if _, ok := scalarDim(op.In[1]); ok {
			continue
		}
		b, a := ir.Before(f, op), op.Attrs.(ir.DynamicSliceAttrs)
		swap := make([]int, op.In[0].Type.Rank()) // the axis with the first one
		for i := range swap {
			swap[i] = i
		}
		swap[0], swap[a.Axis] = a.Axis, 0
		ids := b.Op(ir.OpAdd, nil, b.Op(ir.OpIota, ir.IotaAttrs{Shape: ir.Dims(a.Size)}), op.In[1])
		with[op.Result()] = transposed(b, b.Op(ir.OpGather, nil, transposed(b, op.In[0], swap), ids), swap)
	}
	f.Replace(with)
	f.RemoveDead()
	return len(with)
}

// singles replaces elementwise operations and lookups that no fusion took by maps, and products by matmuls.
func singles(f *ir.Func) int {
	with := map[*ir.Value]*ir.Value{}
	for _, op := range append([]*ir.Op(nil), f.Ops...) {
		if isProduct(op) {
			if v := buildMatmul(f, &region{sink: op, in: map[*ir.Op]bool{op: true}, ops: []*ir.Op{op}}, ir.Uses{}); v != nil {
				with[op.Result()] = v
			}
			continue
		}
		if quantizes(op) {
			if v := buildRow(f, &region{sink: op, in: map[*ir.Op]bool{op: true}, ops: []*ir.Op{op}}); v != nil {
				with[op.Result()] = v
			}
			continue
		}
		if isElementwise(op) || op.Def == ir.OpGather || rounds(op) || op.Def == ir.OpScatter {
			r := &region{sink: op, in: map[*ir.Op]bool{op: true}, ops: []*ir.Op{op}}
			if table := readsTable(op); table != nil {
				r.in[table] = true
			}
			if v := buildMap(f, r); v != nil {
				with[op.Result()] = v
			}
		}
	}
	f.Replace(with)
	f.Sort()
	f.RemoveDead()
	return len(with)
}

// copies inserts copies where they are needed. It walks the function once with the strides that every value will have.
func copies(f *ir.Func) int {
	m, n := f.Module, 0
	strides := map[*ir.Value][]int64{}
	for _, p := range f.Params {
		strides[p] = m.DenseStrides(p.Type.Shape)
	}
	duplicate := func(before *ir.Op, v *ir.Value) *ir.Value {
		n++
		var c *ir.Value
		attrs := ir.MapAttrs{Exprs: []*ir.Expr{ir.Operand(0)}}
		if is16Bit(v.Type.DType) {
			attrs.DType = v.Type.DType
		}
		if before == nil {
			c = ir.NewBuilder(f).Op(ir.OpMap, attrs, v)
		} else {
			c = ir.Before(f, before).Op(ir.OpMap, attrs, v)
		}
		strides[c] = m.DenseStrides(c.Type.Shape)
		return c
	}
	uses := f.Uses()
	for _, op := range append([]*ir.Op(nil), f.Ops...) {
		for i, v := range op.In {
			if needsMemory(op, i, v, strides[v]) && !isWeight(v) || readsOverwritten(op, i) {
				op.In[i] = duplicate(op, v)
			}
		}
		if op.Def == ir.OpDynamicUpdateSlice && !writesInPlace(op.In[1], op.In[0], uses) {
			op.In[1] = duplicate(op, op.In[1])
		}
		for _, v := range op.Results {
			strides[v] = m.DenseStrides(v.Type.Shape)
		}
		if isView(op) {
			s, _, ok := view(m, op, strides[op.In[0]])
			if !ok {
				op.In[0] = duplicate(op, op.In[0])
				s, _, _ = view(m, op, strides[op.In[0]])
			}
			strides[op.Result()] = s
		}
	}
	seen := map[*ir.Value]bool{}
	for i, r := range f.Results {
		def := r.Value.Def
		if r.State == nil && (def == nil || isView(def) || isVirtual(def) || ir.Overwritten(r.Value) != nil || seen[r.Value]) {
			f.Results[i].Value = duplicate(nil, r.Value)
		}
		seen[r.Value] = true
	}
	return n
}

// needsMemory reports whether operand i of op must be copied to memory of another layout.
func needsMemory(op *ir.Op, i int, v *ir.Value, strides []int64) bool {
	if is(v, ir.OpConstant) { // may be stored as one value for all elements
		return isView(op) || op.Def == ir.OpMatmul && i == 0 && len(op.Attrs.(ir.MatmulAttrs).Prologue) == 0
	}
	if v.Def != nil && isVirtual(v.Def) && v.Def.Def != ir.OpConstant {
		switch op.Def {
		case ir.OpMap:
			a := op.Attrs.(ir.MapAttrs)
			return looksUp(a, i) || a.Scatter != (ir.Scatter{}) && i == a.Scatter.Positions
		case ir.OpRow:
			return false
		case ir.OpMatmul:
			return i == 0 && len(op.Attrs.(ir.MatmulAttrs).Prologue) == 0 ||
				slices.ContainsFunc(ir.ViewMatmul(op).Parts, func(p ir.MatmulPart) bool { return p.Positions == v })
		case ir.OpDynamicUpdateSlice:
			return i < 2
		case ir.OpDynamicSlice:
			return i < 1
		}
		return true
	}
	return op.Def == ir.OpMatmul && i == 0 && len(op.Attrs.(ir.MatmulAttrs).Prologue) == 0 &&
		strides[1] != 1 && v.Type.Shape[1] != ir.D(1)
}

// looksUp reports whether operand i of a map is a table or the index of one.
func looksUp(a ir.MapAttrs, i int) bool {
	return slices.ContainsFunc(a.Gathers, func(g ir.Gather) bool { return g.Table == i || g.Index == i })
}

// readsOverwritten reports whether a kernel reads, as operand i, a state of which it overwrites rows, perhaps through views.
func readsOverwritten(op *ir.Op, i int) bool {
	return op.Def != ir.OpDynamicUpdateSlice && slices.ContainsFunc(op.Results, func(v *ir.Value) bool {
		state := ir.Overwritten(v)
		return state != nil && i != ir.OverwrittenOperand(v) && root(op.In[i]) == state
	})
}

// writesInPlace reports whether the kernel that computes v can write it directly into a state, of which it reads nothing.
func writesInPlace(v, state *ir.Value, uses ir.Uses) bool {
	for is(v, ir.OpReshape) && len(uses.Of(v)) == 1 {
		v = v.Def.In[0]
	}
	return v.Def != nil && !isView(v.Def) && !isVirtual(v.Def) && ir.Overwritten(v) == nil && len(uses.Of(v)) == 1 &&
		!slices.ContainsFunc(v.Def.In, func(x *ir.Value) bool { return root(x) == state })
}
