package llvm

import (
	"math/bits"

	"github.com/llir/llvm/ir/constant"
	"github.com/llir/llvm/ir/enum"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"

	"pgc/ir/tile"
)

// lookup permutes as much of the table as a vector holds, by one instruction where there is one, and selects among the
// parts by the remaining bits of the places, from the lowest on.
func lookup(e *emitter, in *tile.Inst, a []value.Value) value.Value {
	x, n := a[0], in.Out[0].Type.Lanes
	permute, width := e.permute(x, n, len(in.Table))
	parts := make([]value.Value, len(in.Table)/width)
	for i := range parts {
		parts[i] = permute(in.Table[i*width:][:width])
	}
	for bit := bits.Len(uint(width)) - 1; len(parts) > 1; bit++ { // at the place of the sign, which selects read
		set := e.cur.NewICmp(enum.IPredSLT, e.cur.NewShl(x, i32s(int64(31-bit), n)), i32s(0, n))
		for i := range len(parts) / 2 {
			parts[i] = e.cur.NewSelect(set, parts[2*i+1], parts[2*i])
		}
		parts = parts[:len(parts)/2]
	}
	return parts[0]
}

// permute returns a function that looks n places up in parts of a table of so many elements, and how long a part is. It
// reads only as many bits of a place as a part has use for.
func (e *emitter) permute(x value.Value, n, elements int) (f func(part []float32) value.Value, width int) {
	t := tile.Vec(tile.F32, n)
	name := ""
	switch {
	case n > elements:
	case n == 16 && e.target.Has("avx512f"):
		name = "llvm.x86.avx512.permvar.sf.512"
	case n == 8 && e.target.Has("avx2"):
		name = "llvm.x86.avx2.permps"
	}
	if name == "" {
		return func(part []float32) value.Value { return splatConst(t, float(float64(part[0]))) }, 1
	}
	return func(part []float32) value.Value {
		elems := make([]constant.Constant, n)
		for i, v := range part {
			elems[i] = float(float64(v))
		}
		return e.intrinsic(name, llType(t), constant.NewVector(llType(t).(*types.VectorType), elems...), x)
	}, n
}
