package passes

import (
	"slices"

	"pgc/ir"
)

// isView reports whether op only reads its operand's memory with other strides.
func isView(op *ir.Op) bool {
	switch op.Def {
	case ir.OpReshape, ir.OpTranspose, ir.OpSlice, ir.OpBroadcast, ir.OpDynamicSlice:
		return true
	}
	return false
}

// overwrites reports whether op overwrites a part of v, so that a result lies in its memory.
func overwrites(op *ir.Op, v *ir.Value) bool {
	return slices.ContainsFunc(op.Results, func(r *ir.Value) bool { return ir.Overwritten(r) == v })
}

// isVirtual reports whether op has no memory of its own: kernels compute its elements as they need them.
func isVirtual(op *ir.Op) bool {
	return op.Def == ir.OpIota || op.Def == ir.OpSymbol || op.Def == ir.OpConstant
}

// at returns the address of a start along a dimension whose elements lie stride bytes apart: an offset for a constant
// start, a term for a symbol. It returns false for any other start.
func at(start *ir.Value, stride int64) (offset int64, terms []ir.Term, ok bool) {
	d, ok := scalarDim(start)
	if !d.IsConst() {
		terms = []ir.Term{{Sym: d.Sym, Stride: stride}}
	}
	return int64(d.N) * stride, terms, ok
}

// viewBuffer returns the buffer of op, a view of memory at in, or false if strides cannot express it.
func viewBuffer(m *ir.Module, op *ir.Op, in *ir.Buffer) (*ir.Buffer, bool) {
	b := *in
	b.Owner = false
	strides, offset, ok := view(m, op, in.Strides)
	size := op.Result().Type.DType.MemoryBytes()
	b.Strides, b.Offset = strides, in.Offset+offset*size
	if op.Def == ir.OpDynamicSlice && ok {
		var terms []ir.Term
		offset, terms, ok = at(op.In[1], in.Strides[op.Attrs.(ir.DynamicSliceAttrs).Axis]*size)
		b.Offset, b.Terms = b.Offset+offset, slices.Concat(in.Terms, terms)
	}
	return &b, ok
}

// view returns the strides of a view of memory with the given strides, and the offset in elements that it adds. It
// returns false if strides cannot express the view.
func view(m *ir.Module, op *ir.Op, in []int64) (strides []int64, offset int64, ok bool) {
	x := op.In[0].Type.Shape
	switch op.Def {
	case ir.OpTranspose:
		perm := op.Attrs.(ir.TransposeAttrs).Perm
		for _, p := range perm {
			strides = append(strides, in[p])
		}
		return strides, 0, true
	case ir.OpDynamicSlice:
		return slices.Clone(in), 0, true
	case ir.OpSlice:
		a := op.Attrs.(ir.SliceAttrs)
		return slices.Clone(in), int64(a.Start.N) * in[a.Axis], true
	case ir.OpBroadcast:
		out := op.Result().Type.Shape
		strides = make([]int64, len(out))
		for i := range x {
			if j := len(out) - len(x) + i; x[i] == out[j] {
				strides[j] = in[i]
			}
		}
		return strides, 0, true
	}
	strides, ok = reshaped(m, x, in, op.Result().Type.Shape)
	return strides, 0, ok
}

// reshaped returns the strides of a reshape of a value with shape x and strides in, or false if there are none. It
// splits both shapes from the left into groups of equal products. The dimensions of a group must be contiguous, or all
// repeat one element.
func reshaped(m *ir.Module, x []ir.Dim, in []int64, out []ir.Dim) ([]int64, bool) {
	if m.Elements(x) == 0 {
		return m.DenseStrides(out), true
	}
	strides := make([]int64, len(out))
	i, j := 0, 0
	for i < len(x) || j < len(out) {
		// A group: dimensions x[i:i2] hold the elements of out[j:j2].
		i2, j2 := group(m, x, i, out, j)
		if i2 < 0 {
			return nil, false
		}
		inner, ok := step(m, x[i:i2], in[i:i2])
		if !ok {
			return nil, false
		}
		for k := j2 - 1; k >= j; k-- {
			strides[k] = inner
			inner *= int64(m.MaxDim(out[k]))
		}
		i, j = i2, j2
	}
	return strides, true
}

// group returns the ends of the shortest runs of dimensions, of x from i and of out from j, that have equal products.
// Dimensions of 1 behind a run belong to it. It returns -1, -1 if there are no such runs.
func group(m *ir.Module, x []ir.Dim, i int, out []ir.Dim, j int) (int, int) {
	px, po := int64(1), int64(1)
	if i < len(x) {
		px = int64(m.MaxDim(x[i]))
		i++
	}
	if j < len(out) {
		po = int64(m.MaxDim(out[j]))
		j++
	}
	for px != po {
		switch {
		case px < po && i < len(x):
			px *= int64(m.MaxDim(x[i]))
			i++
		case po < px && j < len(out):
			po *= int64(m.MaxDim(out[j]))
			j++
		default:
			return -1, -1
		}
	}
	for i < len(x) && x[i] == ir.D(1) {
		i++
	}
	for j < len(out) && out[j] == ir.D(1) {
		j++
	}
	return i, j
}

// step returns the distance of consecutive elements of some dimensions in row-major order, or false if the distances
// differ. It is 0 if the dimensions repeat one element, and 1 if there is only one element.
func step(m *ir.Module, dims []ir.Dim, strides []int64) (inner int64, ok bool) {
	outer := int64(0) // the stride that the next outer dimension must have
	first := true
	for k := len(dims) - 1; k >= 0; k-- {
		switch {
		case dims[k] == ir.D(1):
			continue
		case first:
			inner, outer, first = strides[k], strides[k], false
		case strides[k] != outer:
			return 0, false
		}
		outer *= int64(m.MaxDim(dims[k]))
	}
	if first {
		return 1, true
	}
	return inner, true
}
