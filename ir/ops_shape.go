package ir

import (
	"errors"
	"fmt"
	"slices"
)

// ConvertAttrs are the attributes of convert.
type ConvertAttrs struct {
	DType DType `ir:"dtype"`
}

// OpConvert changes the data type. Floats round to nearest even, float to integer truncates, bool becomes 0 or 1, and a
// number is true if it is not zero.
var OpConvert = Define(OpDef{Name: "convert", Doc: "x as another data type", In: one(AnyDType), Attrs: ConvertAttrs{},
	Infer: func(in []Type, attrs any) (Type, error) {
		d := attrs.(ConvertAttrs).DType
		if d == Invalid || d >= numDTypes {
			return Type{}, errors.New("attribute dtype is not a data type")
		}
		if (d.IsQuantized() || in[0].DType.IsQuantized()) && (in[0].Rank() == 0 || !in[0].Last().IsConst()) {
			return Type{}, fmt.Errorf("groups run along a last dimension that is constant, x is %s", in[0])
		}
		if d.IsQuantized() && !in[0].DType.IsFloat() {
			return Type{}, fmt.Errorf("x is %s, but %s holds floats", in[0], d)
		}
		return Type{d, in[0].Shape}, nil
	},
	Samples: []Sample{
		{In: []Type{T(BF16, Dims(3, 17)...)}, Attrs: ConvertAttrs{F32}},
		{In: []Type{T(F16, Dims(3, 17)...)}, Attrs: ConvertAttrs{F32}},
		{In: []Type{T(F32, Dims(53)...)}, Attrs: ConvertAttrs{BF16}},
		{In: []Type{T(F32, Dims(53)...)}, Attrs: ConvertAttrs{F16}},
		{In: []Type{T(F32, Dims(53)...)}, Attrs: ConvertAttrs{I32}, Ranges: []Range{{-1000, 1000}}},
		{In: []Type{T(F32, Dims(3, 53)...)}, Attrs: ConvertAttrs{I8G32}},
		{In: []Type{T(I8G32, Dims(3, 53)...)}, Attrs: ConvertAttrs{F32}},
		{In: []Type{T(F32, Dims(2, 131)...)}, Attrs: ConvertAttrs{I4G128}},
		{In: []Type{T(I32, Dims(53)...)}, Attrs: ConvertAttrs{F32}, Ranges: []Range{{-1000, 1000}}},
		{In: []Type{T(I32, Dims(53)...)}, Attrs: ConvertAttrs{Bool}, Ranges: []Range{{-2, 2}}},
		{In: []Type{T(Bool, Dims(53)...)}, Attrs: ConvertAttrs{F32}},
	},
})

// ShapeAttrs are the attributes of reshape and broadcast.
type ShapeAttrs struct {
	Shape []Dim `ir:"shape"`
}

// OpReshape gives the elements, in row-major order, another shape. Constant dimensions join and split; a symbol stays a
// separate dimension.
var OpReshape = Define(OpDef{Name: "reshape", Doc: "the same elements in row-major order under another shape",
	In: one(AnyDType), Attrs: ShapeAttrs{},
	Infer: func(in []Type, attrs any) (Type, error) {
		shape := attrs.(ShapeAttrs).Shape
		if err := checkShape(shape); err != nil {
			return Type{}, err
		}
		if !sameElems(in[0].Shape, shape) {
			return Type{}, fmt.Errorf("cannot reshape %s to %s: expected as many elements before, between and after the same symbols", FormatDims(in[0].Shape), FormatDims(shape))
		}
		if in[0].DType.IsQuantized() && (len(shape) == 0 || shape[len(shape)-1] != in[0].Last()) {
			return Type{}, fmt.Errorf("cannot reshape %s to %s: the last dimension holds the groups", in[0], FormatDims(shape))
		}
		return Type{in[0].DType, shape}, nil
	},
	Samples: []Sample{
		{In: []Type{T(F32, Dims(6, 35)...)}, Attrs: ShapeAttrs{Dims(2, 3, 5, 7)}},
		{In: []Type{T(F32, Sym("S"), D(3), D(5))}, Attrs: ShapeAttrs{[]Dim{Sym("S"), D(15)}}, Syms: map[string]int{"S": 7}},
		{In: []Type{T(I32)}, Attrs: ShapeAttrs{Dims(1)}},
	},
})

// checkShape checks the shape of an attribute as far as it is known without the bounds of symbols.
func checkShape(shape []Dim) error {
	for _, d := range shape {
		if d.N < 0 {
			return fmt.Errorf("shape %s has a negative dimension", FormatDims(shape))
		}
	}
	return checkElements(shape, func(d Dim) int { return d.N })
}

// OpBroadcast repeats x along dimensions of 1 and new leading ones.
var OpBroadcast = Define(OpDef{Name: "broadcast", Doc: "x repeated to a shape, right aligned", In: one(AnyDType), Attrs: ShapeAttrs{},
	Infer: func(in []Type, attrs any) (Type, error) {
		shape := attrs.(ShapeAttrs).Shape
		if err := checkShape(shape); err != nil {
			return Type{}, err
		}
		out, err := Broadcast(in[0].Shape, shape)
		if err != nil || !slices.Equal(out, shape) {
			return Type{}, fmt.Errorf("cannot broadcast %s to %s", FormatDims(in[0].Shape), FormatDims(shape))
		}
		return Type{in[0].DType, shape}, nil
	},
	Samples: []Sample{
		{In: []Type{T(F32, Dims(3, 1)...)}, Attrs: ShapeAttrs{Dims(5, 3, 7)}},
		{In: []Type{T(F32)}, Attrs: ShapeAttrs{Dims(5)}},
	},
})

// TransposeAttrs are the attributes of transpose: dimension i of the result is dimension Perm[i] of the operand.
type TransposeAttrs struct {
	Perm []int `ir:"perm"`
}

// OpTranspose permutes dimensions.
var OpTranspose = Define(OpDef{Name: "transpose", Doc: "dimension i of the result is dimension perm[i] of x",
	In: one(AnyDType), Attrs: TransposeAttrs{},
	Infer: func(in []Type, attrs any) (Type, error) {
		perm, x := attrs.(TransposeAttrs).Perm, in[0]
		sorted := slices.Sorted(slices.Values(perm))
		for i, p := range sorted {
			if p != i {
				return Type{}, fmt.Errorf("perm %v is not a permutation", perm)
			}
		}
		if len(perm) != x.Rank() {
			return Type{}, fmt.Errorf("perm %v does not fit %s", perm, x)
		}
		shape := make([]Dim, len(perm))
		for i, p := range perm {
			shape[i] = x.Shape[p]
		}
		return Type{x.DType, shape}, nil
	},
	Samples: []Sample{
		{In: []Type{T(F32, Dims(5, 7)...)}, Attrs: TransposeAttrs{[]int{1, 0}}},
		{In: []Type{T(F32, Dims(3, 5, 2, 7)...)}, Attrs: TransposeAttrs{[]int{2, 0, 3, 1}}},
	},
})

// SliceAttrs are the attributes of slice: elements Start ≤ i < Limit along Axis. A symbolic Limit needs Start 0.
type SliceAttrs struct {
	Axis  int `ir:"axis"`
	Start Dim `ir:"start"`
	Limit Dim `ir:"limit"`
}

// OpSlice takes a contiguous part along one axis.
var OpSlice = Define(OpDef{Name: "slice", Doc: "elements start to limit-1 along an axis", In: one(AnyDType), Attrs: SliceAttrs{},
	Infer: func(in []Type, attrs any) (Type, error) {
		a, x := attrs.(SliceAttrs), in[0]
		if err := checkAxis(a.Axis, x); err != nil {
			return Type{}, err
		}
		size := x.Shape[a.Axis]
		var length Dim
		switch {
		case a.Start == D(0):
			length = a.Limit
		case a.Start.IsConst() && a.Limit.IsConst():
			length = D(a.Limit.N - a.Start.N)
		default:
			return Type{}, fmt.Errorf("slice %s:%s has no constant or symbolic length", a.Start, a.Limit)
		}
		if a.Start.N < 0 || length.N < 0 {
			return Type{}, fmt.Errorf("slice %s:%s is not a range", a.Start, a.Limit)
		}
		if a.Limit.IsConst() && size.IsConst() && a.Limit.N > size.N || a.Limit.IsConst() && a.Limit.N > 0 && !size.IsConst() {
			return Type{}, fmt.Errorf("slice limit %s exceeds axis %d of %s", a.Limit, a.Axis, x)
		}
		shape := slices.Clone(x.Shape)
		shape[a.Axis] = length
		return Type{x.DType, shape}, nil
	},
	Check: func(m *Module, op *Op) error {
		a := op.Attrs.(SliceAttrs)
		size := op.In[0].Type.Shape[a.Axis]
		if a.Limit == size || a.Limit.IsConst() {
			return nil
		}
		if !size.IsConst() || m.MaxDim(a.Limit) > size.N {
			return fmt.Errorf("slice limit %s (at most %d) may exceed axis %d of %s", a.Limit, m.MaxDim(a.Limit), a.Axis, op.In[0].Type)
		}
		return nil
	},
	Samples: []Sample{
		{In: []Type{T(F32, Dims(5, 7)...)}, Attrs: SliceAttrs{1, D(2), D(5)}},
		{In: []Type{T(F32, Dims(9, 3)...)}, Attrs: SliceAttrs{0, D(0), Sym("T")}, Syms: map[string]int{"T": 4}},
	},
})

func checkAxis(axis int, x Type) error {
	if axis < 0 || axis >= x.Rank() {
		return fmt.Errorf("axis %d is not a dimension of %s", axis, x)
	}
	return nil
}

// AxisAttrs are the attributes of concat.
type AxisAttrs struct {
	Axis int `ir:"axis"`
}

// OpConcat joins tensors along an axis whose sizes are constant.
var OpConcat = Define(OpDef{Name: "concat", Doc: "operands one after another along an axis",
	In: []Operands{{"first", AnyDType}, {"rest", AnyDType}}, Variadic: true, Attrs: AxisAttrs{},
	Infer: func(in []Type, attrs any) (Type, error) {
		axis := attrs.(AxisAttrs).Axis
		if err := checkAxis(axis, in[0]); err != nil {
			return Type{}, err
		}
		shape := slices.Clone(in[0].Shape)
		for i, t := range in {
			if t.DType != in[0].DType || t.Rank() != in[0].Rank() {
				return Type{}, fmt.Errorf("operand %d is %s, operand 0 is %s", i, t, in[0])
			}
			for j, d := range t.Shape {
				switch {
				case j != axis && d != shape[j]:
					return Type{}, fmt.Errorf("operand %d is %s, operand 0 is %s: they differ off axis %d", i, t, in[0], axis)
				case j == axis && len(in) > 1 && !d.IsConst():
					return Type{}, fmt.Errorf("operand %d is %s: axis %d has no constant size", i, t, axis)
				case j == axis && i > 0:
					shape[j].N += d.N
				}
			}
		}
		return Type{in[0].DType, shape}, nil
	},
	Samples: []Sample{
		{In: []Type{T(F32, Dims(3, 5)...), T(F32, Dims(3, 2)...), T(F32, Dims(3, 1)...)}, Attrs: AxisAttrs{1}},
		{In: []Type{T(I32, Dims(3, 5)...), T(I32, Dims(4, 5)...)}, Attrs: AxisAttrs{0}},
	},
})
