package passes

import (
	"slices"

	"pgc/ir"
)

// fuseRotary fuses a rotary embedding into its projection. More generally it matches a product with a weight whose
// columns are split into equal runs that meet again element by element, and makes it one matmul with an accumulator and
// an expression for every run.
func fuseRotary(f *ir.Func, budget *Budget) int {
	return fuseRegions(f, budget, fusion{
		sink:  isEvenConcat,
		also:  func(_, op *ir.Op) bool { return isProduct(op) || op.Def == ir.OpReshape || op.Def == ir.OpSlice },
		build: func(r *region) *ir.Value { return buildRotary(f, r) },
	})
}

func buildRotary(f *ir.Func, r *region) *ir.Value {
	run := r.sink.In[0].Type.Last() // columns of a run
	n := len(r.sink.In)
	if !run.IsConst() {
		return nil
	}
	var product *ir.Op
	for _, op := range r.ops {
		if isProduct(op) {
			if product != nil {
				return nil
			}
			product = op
		}
	}
	if product == nil {
		return nil
	}
	// A member reads run i of the product if it is a slice of the product reshaped to [M,…,n·run].
	which := func(op *ir.Op) (int, bool) {
		if op.Def != ir.OpSlice || !is(op.In[0], ir.OpReshape) || op.In[0].Def.In[0] != product.Result() {
			return 0, false
		}
		a, shape := op.Attrs.(ir.SliceAttrs), op.In[0].Type.Shape
		if a.Axis != len(shape)-1 || !slices.Equal(shape, r.sink.Result().Type.Shape) || shape[0] != product.Result().Type.Shape[0] {
			return 0, false
		}
		return a.Start.N / run.N, a.Start.N%run.N == 0 && a.Limit.N == a.Start.N+run.N
	}
	b := newBody(r, nil)
	b.special = func(op *ir.Op) *ir.Expr {
		if i, ok := which(op); ok {
			return ir.Acc(i)
		}
		if !isElementwise(op) {
			return b.operand(op.Result())
		}
		return nil
	}
	attrs := ir.MatmulAttrs{Accs: n}
	for _, v := range r.sink.In {
		attrs.Epilogue = append(attrs.Epilogue, b.expr(v))
	}
	build := ir.NewBuilder(f)
	w := unconverted(product.In[1])
	columns, k := w.Type.Shape[0].N, w.Type.Shape[1]
	heads := ir.D(columns / (n * run.N))
	size := 1
	for _, d := range r.sink.Result().Type.Shape[1:] {
		size *= d.N // 0 for a symbol
	}
	if size != columns {
		return nil
	}
	in := []*ir.Value{storedOperand(product.In[0], w)}
	halves := build.Reshape(w, []ir.Dim{heads, ir.D(n), run, k})
	for i := range n {
		half := build.Op(ir.OpSlice, ir.SliceAttrs{Axis: 1, Start: ir.D(i), Limit: ir.D(i + 1)}, halves)
		in = append(in, build.Reshape(half, []ir.Dim{heads, run, k}))
	}
	for _, v := range b.operands {
		shape, ok := flattened(v.Type.Shape, r.sink.In[0].Type.Shape, heads)
		if !ok {
			return nil
		}
		for is(v, ir.OpReshape) { // so that queries and keys read the angles in one shape
			v = v.Def.In[0]
		}
		in = append(in, build.Reshape(v, shape))
	}
	op, err := ir.NewOp(ir.OpMatmul, attrs, in...)
	if err != nil || len(op.Results) != 1 {
		return nil
	}
	f.Insert(nil, op)
	b.keep()
	return build.Reshape(op.Result(), r.sink.Result().Type.Shape)
}

// flattened returns the shape over [M,heads,run] of an operand that broadcasts to domain, [M,…,run], whose middle
// dimensions are the heads. It returns false if the operand varies along only some of them.
func flattened(shape, domain []ir.Dim, heads ir.Dim) ([]ir.Dim, bool) {
	missing := len(domain) - len(shape)
	full := append(slices.Repeat([]ir.Dim{ir.D(1)}, missing), shape...)
	middle, last := full[1:len(full)-1], len(full)-1
	switch {
	case !slices.ContainsFunc(middle, func(d ir.Dim) bool { return d != ir.D(1) }):
		heads = ir.D(1)
	case !slices.Equal(middle, domain[1:last]):
		return nil, false
	}
	return []ir.Dim{full[0], heads, full[last]}, true
}
