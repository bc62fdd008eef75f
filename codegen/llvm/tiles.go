package llvm

import (
	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/constant"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"

	"pgc/ir/tile"
)

// amx has the intrinsics of AMX, which name tile registers by number: llc emits each where it stands, and no other.
var amx = map[tile.Op]string{
	tile.TileConfig: "ldtilecfg", tile.TileRelease: "tilerelease", tile.TileZero: "tilezero", tile.TileLoad: "tileloadd64", tile.TileStore: "tilestored64",
	tile.TileDotSS: "tdpbssd", tile.TileDotSU: "tdpbsud", tile.TileDotBF16: "tdpbf16ps",
}

// onTiles emits an operation on tile registers.
func (e *emitter) onTiles(in *tile.Inst, a []value.Value) {
	var args []value.Value
	for _, t := range in.Tiles {
		args = append(args, constant.NewInt(types.I8, int64(t)))
	}
	if len(a) > 0 {
		args = append(args, e.bytesAt(a[0], a[1], in.Args[0].Type.Elem))
		args = append(args, a[2:]...)
	}
	e.intrinsic("llvm.x86."+amx[in.Op], types.Void, args...)
}

// bytesAt returns the pointer to p[off] as one to bytes.
func (e *emitter) bytesAt(p, off value.Value, elem tile.Elem) value.Value {
	return e.cur.NewBitCast(e.address(p, off, elem, 1), types.I8Ptr)
}

// Values of MXCSR: all exceptions masked, round to nearest; and subnormal operands (DAZ) and results (FTZ) are zero.
const (
	mxcsr        = 0x1f80
	mxcsrFlushes = mxcsr | 1<<15 | 1<<6
)

// flush changes how the thread takes subnormal floats, by way of 4 bytes of memory. LLVM does not know that this changes
// arithmetic: what belongs to one state must be in a loop of its own, from which nothing moves.
func (e *emitter) flush(in *tile.Inst, a []value.Value) {
	bits := int64(mxcsr)
	if in.Imm == 1 {
		bits = mxcsrFlushes
	}
	st := e.cur.NewStore(constant.NewInt(types.I32, bits), e.cur.NewBitCast(a[0], types.NewPointer(types.I32)))
	st.Align = ir.Align(4)
	e.intrinsic("llvm.x86.sse.ldmxcsr", types.Void, e.cur.NewBitCast(a[0], types.I8Ptr))
}
