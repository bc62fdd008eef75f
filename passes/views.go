package passes

import (
	"slices"

	"pgc/ir"
)

// isView reports whether op only reads the memory of its operand in another order.
func isView(op *ir.Op) bool {
	return op.Def == ir.OpReshape || op.Def == ir.OpTranspose || op.Def == ir.OpSlice || op.Def == ir.OpBroadcast
}

// separated reports whether the results of op are read as what they are, each by one slice: these then have memory of their
// own, and op has none.
func separated(op *ir.Op, uses map[*ir.Value][]ir.Use) bool {
	if op == nil || op.Def != ir.OpMatmul {
		return false
	}
	at, err := op.Attrs.(ir.MatmulAttrs).Results(typesOf(op.In))
	if err != nil || len(at) <= 2 || len(uses[op.Out]) != len(at)-1 {
		return false
	}
	seen := map[int]bool{}
	for _, u := range uses[op.Out] {
		if u.Op == nil || u.Op.Def != ir.OpSlice {
			return false
		}
		a := u.Op.Attrs.(ir.SliceAttrs)
		i := slices.Index(at, a.Start.N)
		if a.Axis != 1 || !a.Start.IsConst() || i < 0 || i+1 == len(at) || a.Limit != ir.D(at[i+1]) || seen[i] {
			return false
		}
		seen[i] = true
	}
	return true
}

// isResult reports whether v is one of the separated results of an operation.
func isResult(v *ir.Value, uses map[*ir.Value][]ir.Use) bool {
	return is(v, ir.OpSlice) && separated(v.Def.In[0].Def, uses)
}

// isVirtual reports whether op has no memory of its own: kernels compute its elements as they need them.
func isVirtual(op *ir.Op) bool {
	return op.Def == ir.OpIota || op.Def == ir.OpSymbol || op.Def == ir.OpConstant
}

// view returns the strides and the additional element offset of a view of memory with the given strides, or false if
// strides cannot express it.
func view(m *ir.Module, op *ir.Op, in []int64) (strides []int64, offset int64, ok bool) {
	x := op.In[0].Type.Shape
	switch op.Def {
	case ir.OpTranspose:
		perm := op.Attrs.(ir.TransposeAttrs).Perm
		for _, p := range perm {
			strides = append(strides, in[p])
		}
		return strides, 0, true
	case ir.OpSlice:
		a := op.Attrs.(ir.SliceAttrs)
		return slices.Clone(in), int64(a.Start.N) * in[a.Axis], true
	case ir.OpBroadcast:
		out := op.Out.Type.Shape
		strides = make([]int64, len(out))
		for i := range x {
			if j := len(out) - len(x) + i; x[i] == out[j] {
				strides[j] = in[i]
			}
		}
		return strides, 0, true
	}
	strides, ok = reshaped(m, x, in, op.Out.Type.Shape)
	return strides, 0, ok
}

// reshaped matches groups of dimensions with equal products from the left; a group's input must be dense within itself.
func reshaped(m *ir.Module, x []ir.Dim, in []int64, out []ir.Dim) ([]int64, bool) {
	strides := make([]int64, len(out))
	i, j := 0, 0
	for i < len(x) || j < len(out) {
		// A group: dimensions x[i:i2] hold the elements of out[j:j2].
		i2, j2 := i, j
		px, po := int64(1), int64(1)
		if i2 < len(x) {
			px *= int64(m.MaxDim(x[i2]))
			i2++
		}
		if j2 < len(out) {
			po *= int64(m.MaxDim(out[j2]))
			j2++
		}
		for px != po {
			switch {
			case px < po && i2 < len(x):
				px *= int64(m.MaxDim(x[i2]))
				i2++
			case po < px && j2 < len(out):
				po *= int64(m.MaxDim(out[j2]))
				j2++
			default:
				return nil, false
			}
		}
		// Ones that follow belong to the group, too.
		for i2 < len(x) && x[i2] == ir.D(1) {
			i2++
		}
		for j2 < len(out) && out[j2] == ir.D(1) {
			j2++
		}
		step := int64(1)
		inner := int64(0)
		for k := i2 - 1; k >= i; k-- {
			if x[k] == ir.D(1) {
				continue
			}
			if inner == 0 {
				inner, step = in[k], in[k]*int64(m.MaxDim(x[k]))
				continue
			}
			if in[k] != step {
				return nil, false
			}
			step *= int64(m.MaxDim(x[k]))
		}
		if inner == 0 {
			inner = 1
		}
		for k := j2 - 1; k >= j; k-- {
			strides[k] = inner
			inner *= int64(m.MaxDim(out[k]))
		}
		i, j = i2, j2
	}
	return strides, true
}
