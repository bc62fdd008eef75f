package llvm

import (
	"fmt"

	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"

	"pgc/ir/tile"
)

// bfloat is LLVM's type, which llir lacks; only intrinsics of arm64 take it.
type bfloat struct{ types.Type }

// String returns its name.
func (bfloat) String() string { return "bfloat" }

// odd emits products of bfloat16 whose sums are rounded to odd. Nothing stands in for these instructions of arm64.
func odd(intrinsic string) func(e *emitter, in *tile.Inst, a []value.Value) value.Value {
	return func(e *emitter, in *tile.Inst, a []value.Value) value.Value {
		if !e.target.Has("bf16") || in.Out[0].Type.Lanes != 4 {
			panic(fmt.Sprintf("%s of %d lanes on %s: expected 4 lanes and a CPU with bf16", in.Op, in.Out[0].Type.Lanes, e.target.Name))
		}
		factor := func(v value.Value) value.Value { return e.cur.NewBitCast(v, types.NewVector(8, bfloat{types.I16})) }
		return e.intrinsic(intrinsic, a[0].Type(), a[0], factor(a[1]), factor(a[2]))
	}
}
