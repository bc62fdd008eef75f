package ir

import (
	"fmt"
	"slices"
)

// DynamicSliceAttrs are the attributes of dynamic_slice: Size elements along Axis.
type DynamicSliceAttrs struct {
	Axis int `ir:"axis"`
	Size int `ir:"size"`
}

// Overwritten returns the state that v is once the operation behind v has overwritten a part of it, or nil for a value
// that is no such state.
func Overwritten(v *Value) *Value {
	if i := OverwrittenOperand(v); i >= 0 {
		return v.Def.In[i]
	}
	return nil
}

// OverwrittenOperand returns the place among the operands of the operation behind v of the state that it overwrites to
// make v, or -1.
func OverwrittenOperand(v *Value) int {
	op := v.Def
	if op == nil {
		return -1
	}
	switch a := op.Attrs.(type) {
	case MapAttrs:
		if a.Scatter != (Scatter{}) {
			return a.Scatter.State
		}
		return -1
	case MatmulAttrs:
		if part := slices.Index(op.Results, v); part < len(a.Scatter) && a.Scatter[part] != (Scatter{}) {
			return a.rows() + a.Accs + a.Scatter[part].State
		}
		return -1
	}
	if op.Def == OpDynamicUpdateSlice || op.Def == OpScatter {
		return 0
	}
	return -1
}

// OpDynamicSlice takes a contiguous part along one axis that starts at a run-time number, such as a slot of a cache.
var OpDynamicSlice = Define(OpDef{Name: "dynamic_slice", Doc: "elements start to start+size-1 along an axis; they must lie within x",
	In: []Operands{{"x", AnyDType}, {"start", Ints}}, Attrs: DynamicSliceAttrs{},
	Infer: func(in []Type, attrs any) (Type, error) {
		a, x := attrs.(DynamicSliceAttrs), in[0]
		if err := checkAxis(a.Axis, x); err != nil {
			return Type{}, err
		}
		if err := checkStart(in[1]); err != nil {
			return Type{}, err
		}
		if n := x.Shape[a.Axis]; a.Size < 0 || !n.IsConst() || a.Size > n.N {
			return Type{}, fmt.Errorf("size %d exceeds axis %d of %s", a.Size, a.Axis, x)
		}
		shape := slices.Clone(x.Shape)
		shape[a.Axis] = D(a.Size)
		return Type{x.DType, shape}, nil
	},
	Samples: []Sample{
		{In: []Type{T(F32, Dims(5, 7)...), T(I32)}, Attrs: DynamicSliceAttrs{0, 2}, Ranges: []Range{{-4, 4}, {0, 4}}},
		{In: []Type{T(F32, Dims(3, 9, 5)...), T(I32)}, Attrs: DynamicSliceAttrs{1, 4}, Ranges: []Range{{-4, 4}, {0, 6}}},
	},
})

func checkStart(start Type) error {
	if start.Rank() != 0 {
		return fmt.Errorf("start is %s, expected i32[]", start)
	}
	return nil
}

// OpDynamicUpdateSlice overwrites a part of a state: the result is the state with update at the given start.
var OpDynamicUpdateSlice = Define(OpDef{Name: "dynamic_update_slice",
	Doc:      "state with a part replaced by update, whose first elements along the leading dimensions lie at the starts; it must lie within the state",
	In:       []Operands{{"state", AnyDType}, {"update", AnyDType}, {"starts", Ints}},
	Variadic: true,
	Infer: func(in []Type, _ any) (Type, error) {
		state, update, starts := in[0], in[1], in[2:]
		for _, s := range starts {
			if err := checkStart(s); err != nil {
				return Type{}, err
			}
		}
		n := len(starts)
		if n == 0 || n > state.Rank() {
			return Type{}, fmt.Errorf("has %s for %s, expected one for each of its leading dimensions that the update is shorter in", plural(n, "start"), state)
		}
		if update.DType != state.DType || update.Rank() != state.Rank() || !slices.Equal(update.Shape[n:], state.Shape[n:]) {
			return Type{}, fmt.Errorf("update is %s, state is %s: they may differ only in the first %s", update, state, plural(n, "dimension"))
		}
		return state, nil
	},
	Check: func(m *Module, op *Op) error {
		for i := range op.In[2:] {
			state, update := op.In[0].Type.Shape[i], op.In[1].Type.Shape[i]
			if state != update && m.MaxDim(update) > m.MaxDim(state) {
				return fmt.Errorf("dimension %d of the update is up to %d, that of the state %d", i, m.MaxDim(update), m.MaxDim(state))
			}
		}
		return nil
	},
	Samples: []Sample{
		{In: []Type{T(F32, Dims(9, 2, 3)...), T(F32, Sym("S"), D(2), D(3)), T(I32)},
			Ranges: []Range{{-4, 4}, {-4, 4}, {2, 5}}, Syms: map[string]int{"S": 4}},
		{In: []Type{T(F32, Dims(3, 9, 5)...), T(F32, D(1), Sym("S"), D(5)), T(I32), T(I32)},
			Ranges: []Range{{-4, 4}, {-4, 4}, {0, 3}, {2, 5}}, Syms: map[string]int{"S": 4}},
	},
})

// OpScatter overwrites rows of a state at one position per slot, as when the caches of a batch grow (TensorScatter in
// ONNX): result[b, positions[b]+s] = update[b, s]. It drops rows outside of the slot, so that position -1 leaves a slot
// unchanged.
var OpScatter = Define(OpDef{Name: "scatter",
	Doc: "state with row positions[b]+s of every state[b] replaced by update[b, s]; rows outside it are dropped",
	In:  []Operands{{"state", AnyDType}, {"update", AnyDType}, {"positions", Ints}},
	Infer: func(in []Type, _ any) (Type, error) {
		state, update, positions := in[0], in[1], in[2]
		if state.Rank() < 3 || update.DType != state.DType || update.Rank() != state.Rank() || update.Shape[0] != state.Shape[0] ||
			!slices.Equal(update.Shape[2:], state.Shape[2:]) || !positions.Equal(T(I32, state.Shape[0])) {
			return Type{}, fmt.Errorf("state is %s, update is %s, positions is %s, expected [B,T,…], [B,S,…] and i32[B]", state, update, positions)
		}
		return state, nil
	},
	Samples: []Sample{
		{In: []Type{T(F32, Dims(5, 9, 2, 3)...), T(F32, Dims(5, 1, 2, 3)...), T(I32, D(5))}, Ranges: []Range{{-4, 4}, {-4, 4}, {-1, 9}}},
		{In: []Type{T(F32, Dims(3, 7, 19)...), T(F32, Dims(3, 4, 19)...), T(I32, D(3))}, Ranges: []Range{{-4, 4}, {-4, 4}, {-4, 9}}},
	},
})
