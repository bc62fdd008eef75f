package check

import (
	"math"
	"slices"

	"pgc/ir"
	"pgc/ir/eval"
	"pgc/runtime/program"
)

// onGPU reports whether the program is for a GPU.
func (l *loaded) onGPU() bool { return l.r.Program.Target.Kind == program.PTX }

// roundedAttention returns the operands of attention as a GPU multiplies them: queries, keys and values in bfloat16
// (docs/PTX.md).
func roundedAttention(in []*eval.Tensor) []*eval.Tensor {
	out := slices.Clone(in)
	for i := range 3 {
		out[i] = in[i].Convert(ir.BF16).Convert(in[i].DType)
	}
	return out
}

// attentionTol is the tolerance of attention on a GPU. It rounds each weight of the softmax by 2⁻⁹ at most, which moves
// a result by as much of the largest value; twice that is allowed. A result stored in 16 bits may be one number further.
func attentionTol(op *ir.Op, in []*eval.Tensor, want *eval.Tensor) ir.Tol {
	tol := op.Def.Tol
	tol.Norm += math.Ldexp(eval.Norm(in[2])/eval.Norm(want), -8)
	if want.DType != ir.F32 {
		tol.ULP += 1 << 16 // of a float32 are one of a bfloat16
	}
	return tol
}
