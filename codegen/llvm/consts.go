package llvm

import (
	"fmt"
	"math"
	"math/big"

	"github.com/llir/llvm/ir/constant"
	"github.com/llir/llvm/ir/types"

	"pgc/ir/tile"
)

var elemTypes = map[tile.Elem]types.Type{tile.I1: types.I1, tile.I8: types.I8, tile.I16: types.I16, tile.I32: types.I32, tile.I64: types.I64,
	tile.F32: types.Float, tile.BF16: types.I16, tile.F16: types.Half}

func elemType(e tile.Elem) types.Type { return elemTypes[e] }

func llType(t tile.Type) types.Type {
	if t.Ptr {
		return types.NewPointer(elemType(t.Elem))
	}
	return vector(elemType(t.Elem), t.Lanes)
}

// suffix is the type part of an intrinsic's name: f32 or v8f32.
func suffix(t types.Type) string {
	if v, ok := t.(*types.VectorType); ok {
		return fmt.Sprintf("v%d%s", v.Len, suffix(v.ElemType))
	}
	switch t {
	case types.Float:
		return "f32"
	case types.Half:
		return "f16"
	}
	return fmt.Sprintf("i%d", t.(*types.IntType).BitSize)
}

// number is the constant of a Const instruction.
func number(in *tile.Inst) constant.Constant {
	t := in.Out[0].Type
	if t.Elem == tile.F32 {
		return splatConst(t, float(in.Num))
	}
	return splatConst(t, constant.NewInt(elemType(t.Elem).(*types.IntType), in.Imm))
}

// float returns a float constant; llir prints hexadecimal forms for what decimal cannot hold exactly.
func float(v float64) constant.Constant {
	v = float64(float32(v))
	switch {
	case math.IsNaN(v):
		return &constant.Float{Typ: types.Float, NaN: true, X: big.NewFloat(0)}
	case math.IsInf(v, 0):
		return &constant.Float{Typ: types.Float, X: new(big.Float).SetInf(v < 0)}
	}
	return constant.NewFloat(types.Float, v)
}

// splatConst returns a constant of type t with c in every lane.
func splatConst(t tile.Type, c constant.Constant) constant.Constant {
	if t.Lanes == 1 {
		return c
	}
	elems := make([]constant.Constant, t.Lanes)
	for i := range elems {
		elems[i] = c
	}
	return constant.NewVector(llType(t).(*types.VectorType), elems...)
}
