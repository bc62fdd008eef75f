package passes

import (
	"slices"

	"pgc/ir"
)

// canonicalize brings equal computations to one form, the only one that the fusions match. It merges views of views,
// removes operations that return an operand, moves elementwise operations above reshapes and transposes (which sink
// towards their users), flattens products of more than two dimensions to products of rows, and makes their weights
// [N,K] and the second operand.
func canonicalize(f *ir.Func, budget *Budget) int {
	rules := []func(b *ir.Builder, op *ir.Op, uses ir.Uses) *ir.Value{identity, mergeViews, dropBroadcast, sinkViews, transposeWeight, flattenProduct}
	return rewrite(f, budget, func(b *ir.Builder, op *ir.Op, uses ir.Uses) *ir.Value {
		for _, rule := range rules {
			if v := rule(b, op, uses); v != nil {
				return v
			}
		}
		return nil
	})
}

// identity removes operations that return an operand bit for bit.
func identity(_ *ir.Builder, op *ir.Op, _ ir.Uses) *ir.Value {
	x := func() *ir.Value {
		if len(op.In) == 0 {
			return nil
		}
		switch op.Def {
		case ir.OpReshape, ir.OpBroadcast, ir.OpSlice, ir.OpConvert:
			return op.In[0] // where the type is the same
		case ir.OpTranspose:
			if slices.IsSorted(op.Attrs.(ir.TransposeAttrs).Perm) {
				return op.In[0]
			}
		case ir.OpConcat:
			if len(op.In) == 1 {
				return op.In[0]
			}
		case ir.OpNeg, ir.OpNot:
			if is(op.In[0], op.Def) {
				return op.In[0].Def.In[0]
			}
		case ir.OpSelect:
			if op.In[1] == op.In[2] {
				return op.In[1]
			}
		case ir.OpMul, ir.OpDiv:
			return without(op, 1)
		case ir.OpSub:
			return without(op, 0)
		case ir.OpAnd:
			return without(op, 1)
		case ir.OpOr:
			return without(op, 0)
		}
		return nil
	}()
	if x == nil || !x.Type.Equal(op.Result().Type) {
		return nil
	}
	return x
}

// without returns the other operand of a binary operation if one operand is the number n, and nil otherwise.
func without(op *ir.Op, n float64) *ir.Value {
	if x, c, ok := withNumber(op.Result(), op.Def); ok && c == n {
		return x
	}
	return nil
}

// mergeViews replaces a view of a view by one view.
func mergeViews(b *ir.Builder, op *ir.Op, _ ir.Uses) *ir.Value {
	if len(op.In) == 0 || !is(op.In[0], op.Def) {
		return nil
	}
	inner := op.In[0].Def
	x := inner.In[0]
	switch op.Def {
	case ir.OpReshape, ir.OpBroadcast:
		return b.Op(op.Def, op.Attrs, x)
	case ir.OpTranspose:
		first, second := inner.Attrs.(ir.TransposeAttrs).Perm, op.Attrs.(ir.TransposeAttrs).Perm
		perm := make([]int, len(second))
		for i, p := range second {
			perm[i] = first[p]
		}
		return b.Op(ir.OpTranspose, ir.TransposeAttrs{Perm: perm}, x)
	case ir.OpSlice:
		first, second := inner.Attrs.(ir.SliceAttrs), op.Attrs.(ir.SliceAttrs)
		if first.Axis == second.Axis && first.Start.IsConst() && second.Start.IsConst() && second.Limit.IsConst() {
			second.Start.N += first.Start.N
			second.Limit.N += first.Start.N
			return b.Op(ir.OpSlice, second, x)
		}
	}
	return nil
}

// dropBroadcast removes broadcasts in front of elementwise operations, which broadcast by themselves.
func dropBroadcast(b *ir.Builder, op *ir.Op, _ ir.Uses) *ir.Value {
	if !op.Def.Elementwise() {
		return nil
	}
	in, dropped := slices.Clone(op.In), false
	for i, v := range in {
		if !is(v, ir.OpBroadcast) {
			continue
		}
		in[i] = v.Def.In[0]
		if o, err := ir.NewOp(op.Def, op.Attrs, in...); err != nil || !o.Result().Type.Equal(op.Result().Type) {
			in[i] = v
			continue
		}
		dropped = true
	}
	if !dropped {
		return nil
	}
	return b.Op(op.Def, op.Attrs, in...)
}

// sinkViews moves an elementwise operation above the views that are its operands and views its result instead, so that
// the operation stands next to its producer and can be fused with it.
func sinkViews(b *ir.Builder, op *ir.Op, uses ir.Uses) *ir.Value {
	if !op.Def.Elementwise() && (op.Def != ir.OpConvert || op.Result().Type.DType.IsQuantized() || op.In[0].Type.DType.IsQuantized() || widens(op)) {
		return nil
	}
	if rounds(op) && slices.ContainsFunc(uses.Of(op.Result()), func(u ir.Use) bool { return u.Op != nil && u.Op.Def == ir.OpScatter }) {
		return nil // the map that scatters stores, too
	}
	var like *ir.Op
	in := make([]*ir.Value, len(op.In))
	for i, v := range op.In {
		in[i] = v
		if v.Type.Rank() == 0 {
			continue
		}
		view := v.Def
		if view == nil || view.Def != ir.OpReshape && view.Def != ir.OpTranspose || view.In[0].IsParam() ||
			view.Def == ir.OpTranspose && reshapedFrom(view.In[0]).IsParam() || is(view.In[0], ir.OpDynamicSlice) && isWeight(view.In[0]) ||
			is(view.In[0], ir.OpConstant) || len(uses.Of(v)) != 1 {
			return nil
		}
		in[i] = view.In[0]
		if like == nil {
			like = view
			continue
		}
		if view.Def != like.Def || !slices.Equal(view.In[0].Type.Shape, like.In[0].Type.Shape) ||
			ir.FormatAttrs(view.Def, view.Attrs) != ir.FormatAttrs(like.Def, like.Attrs) {
			return nil
		}
	}
	if like == nil {
		return nil
	}
	return b.Op(like.Def, like.Attrs, b.Op(op.Def, op.Attrs, in...))
}

// transposeWeight replaces a weight [K,N] of a product by its transpose [N,K], the layout in which weights are packed.
func transposeWeight(b *ir.Builder, op *ir.Op, _ ir.Uses) *ir.Value {
	spec := einsumSpec(op)
	if spec == "" {
		return nil
	}
	x, w := op.In[0], op.In[1]
	rank := x.Type.Rank()
	if rank < 2 || w.Type.Rank() != 2 || spec != rowsTimesColumns(rank) || unconverted(w).Kind != ir.Weight || unconverted(w).Type.DType.IsQuantized() {
		return nil
	}
	transposed := b.Convert(b.Op(ir.OpTranspose, ir.TransposeAttrs{Perm: []int{1, 0}}, unconverted(w)), ir.F32)
	return b.Op(ir.OpEinsum, ir.EinsumAttrs{Spec: rowsTimesMatrix(rank)}, x, transposed)
}

// rowsTimesColumns is the canonical spec of x·w for x of a rank: "ab,bc->ac" for 2.
func rowsTimesColumns(rank int) string {
	k, n := string(rune('a'+rank-1)), string(rune('a'+rank))
	rows := rowsTimesMatrix(rank)[:rank-1]
	return rows + k + "," + k + n + "->" + rows + n
}

// flattenProduct reshapes the tensor of a tensor-by-matrix product to two dimensions, [rows,K].
func flattenProduct(b *ir.Builder, op *ir.Op, _ ir.Uses) *ir.Value {
	spec := einsumSpec(op)
	if spec == "" || len(op.In) != 2 {
		return nil
	}
	x, w := op.In[0], op.In[1]
	rank := x.Type.Rank()
	if rank < 3 || w.Type.Rank() != 2 || spec != rowsTimesMatrix(rank) {
		return nil
	}
	rows := ir.D(1)
	for _, d := range x.Type.Shape[:rank-1] {
		switch {
		case rows.IsConst() && d.IsConst() && rows.N*d.N > ir.DimLimit:
			return nil // no dimension is so long
		case rows.IsConst() && d.IsConst():
			rows.N *= d.N
		case rows == ir.D(1):
			rows = d
		case d != ir.D(1):
			return nil
		}
	}
	shape := []ir.Dim{rows, x.Type.Shape[rank-1]}
	flat := b.Reshape(x, shape)
	if is(x, ir.OpConvert) && widens(x.Def) { // products read what is stored
		flat = b.Convert(b.Reshape(x.Def.In[0], shape), ir.F32)
	}
	y := b.Op(ir.OpEinsum, ir.EinsumAttrs{Spec: rowsTimesMatrix(2)}, flat, w)
	return b.Reshape(y, op.Result().Type.Shape)
}

// rowsTimesMatrix is the canonical spec of x·wᵀ for x of a rank: "ab,cb->ac" for 2.
func rowsTimesMatrix(rank int) string {
	labels := make([]byte, rank+1)
	for i := range labels {
		labels[i] = byte('a' + i)
	}
	rows, k, n := labels[:rank-1], labels[rank-1:rank], labels[rank:]
	return string(rows) + string(k) + "," + string(n) + string(k) + "->" + string(rows) + string(n)
}
