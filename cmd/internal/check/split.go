package check

import (
	"math"

	"pgc/ir"
	"pgc/ir/eval"
	"pgc/runtime/program"
)

// onGPU reports whether the program is for a GPU.
func (l *loaded) onGPU() bool { return l.r.Program.Target.Kind == program.PTX }

// tol is the tolerance of a result of an operation. A GPU multiplies a float32 as two bfloat16 numbers, which together
// differ from it by 2⁻¹⁶ at most (docs/PTX.md): sums of such products differ by a few times that of the largest value, and
// what is stored in 16 bits may be one number further.
func (l *loaded) tol(op *ir.Op, want *eval.Tensor) ir.Tol {
	tol := op.Def.Tol
	if !l.onGPU() || op.Def != ir.OpMatmul && op.Def != ir.OpAttention {
		return tol
	}
	tol.Norm += math.Ldexp(1, -14)
	if want.DType != ir.F32 {
		tol.ULP += 1 << 16 // of a float32 are one of a bfloat16
	}
	return tol
}
