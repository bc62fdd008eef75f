package ir

import (
	"fmt"
	"slices"
)

// ConstantAttrs are the attributes of constant: its type and its values in row-major order, or a single value for all.
type ConstantAttrs struct {
	DType  DType     `ir:"dtype"`
	Shape  []Dim     `ir:"shape"`
	Values []float64 `ir:"values"`
}

// OpConstant is a tensor known at compile time.
var OpConstant = Define(OpDef{Name: "constant", Doc: "values in row-major order, or one value for every element", Attrs: ConstantAttrs{},
	Infer: func(_ []Type, attrs any) (Type, error) {
		a := attrs.(ConstantAttrs)
		if !a.DType.IsArithmetic() {
			return Type{}, fmt.Errorf("constant of type %s, expected f32, i32 or bool", a.DType)
		}
		if err := checkShape(a.Shape); err != nil {
			return Type{}, err
		}
		n, syms := factors(a.Shape)
		if len(syms) > 0 {
			return Type{}, fmt.Errorf("constant of shape %s, expected constant dimensions", FormatDims(a.Shape))
		}
		if len(a.Values) != 1 && len(a.Values) != n {
			return Type{}, fmt.Errorf("constant of shape %s has %d values", FormatDims(a.Shape), len(a.Values))
		}
		for _, v := range a.Values {
			if a.DType == I32 && float64(int32(v)) != v || a.DType == Bool && v != 0 && v != 1 {
				return Type{}, fmt.Errorf("%s is not a value of type %s", formatFloat(v), a.DType)
			}
		}
		return Type{a.DType, a.Shape}, nil
	},
	Samples: []Sample{
		{Attrs: ConstantAttrs{F32, nil, []float64{0.5}}},
		{Attrs: ConstantAttrs{I32, Dims(3), []float64{1, -2, 3}}},
		{Attrs: ConstantAttrs{F32, Dims(3, 5), []float64{1.5}}},
	},
})

// SymbolAttrs are the attributes of symbol.
type SymbolAttrs struct {
	Name Ident `ir:"name"`
}

// OpSymbol returns the run-time value of a symbol of the module.
var OpSymbol = Define(OpDef{Name: "symbol", Doc: "the run-time value of a symbol", Attrs: SymbolAttrs{},
	Infer: func(_ []Type, attrs any) (Type, error) {
		if attrs.(SymbolAttrs).Name == "" {
			return Type{}, fmt.Errorf("attribute name is empty")
		}
		return T(I32), nil
	},
	Check: func(m *Module, op *Op) error {
		name := string(op.Attrs.(SymbolAttrs).Name)
		if _, ok := m.Bound(name); !ok {
			return fmt.Errorf("symbol %s is not declared", name)
		}
		return nil
	},
	Samples: []Sample{{Attrs: SymbolAttrs{"S"}, Syms: map[string]int{"S": 5}}},
})

// IotaAttrs are the attributes of iota.
type IotaAttrs struct {
	Shape []Dim `ir:"shape"`
	Axis  int   `ir:"axis"`
}

// OpIota counts along an axis.
var OpIota = Define(OpDef{Name: "iota", Doc: "the index along an axis", Attrs: IotaAttrs{},
	Infer: func(_ []Type, attrs any) (Type, error) {
		a := attrs.(IotaAttrs)
		t := Type{I32, a.Shape}
		if err := checkShape(a.Shape); err != nil {
			return Type{}, err
		}
		return t, checkAxis(a.Axis, t)
	},
	Samples: []Sample{
		{Attrs: IotaAttrs{Dims(7), 0}},
		{Attrs: IotaAttrs{[]Dim{Sym("S"), D(5)}, 0}, Syms: map[string]int{"S": 3}},
	},
})

// OpGather reads rows of a table: result[i…, j…] = table[ids[i…], j…].
var OpGather = Define(OpDef{Name: "gather", Doc: "the rows of table that ids names; ids must lie within it",
	In: []Operands{{"table", AnyDType}, {"ids", Ints}},
	Infer: func(in []Type, _ any) (Type, error) {
		if in[0].Rank() == 0 {
			return Type{}, fmt.Errorf("table is a scalar")
		}
		return Type{in[0].DType, slices.Concat(in[1].Shape, in[0].Shape[1:])}, nil
	},
	Samples: []Sample{
		{In: []Type{T(BF16, Dims(11, 5)...), T(I32, Dims(7)...)}, Ranges: []Range{{-4, 4}, {0, 11}}},
		{In: []Type{T(F32, Dims(3, 2, 5)...), T(I32, Dims(2, 3)...)}, Ranges: []Range{{-4, 4}, {0, 3}}},
	},
})
