package cpu

import (
	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/target"
)

// step is one of the three kernels that share the work of an attention (kernels.AttentionStep): what its operands are
// among those of the attention, and its result. work stands for the memory that they hand on.
type step struct {
	kernels.AttentionStep
	suffix string
	in     []int
	out    int
}

const (
	work      = -1
	positions = 3 // behind queries, keys and values
)

var steps = []step{
	{kernels.AttentionScores, "_scores", []int{0, 1, positions}, work},
	{kernels.AttentionWeights, "_weights", []int{positions}, work},
	{kernels.AttentionValues, "_values", []int{work, 2, positions}, 0},
}

// split builds the three kernels.
func split(name string, s *kernels.Attention, t target.Target) (*backend.Launches, error) {
	out := &backend.Launches{WorkBytes: 4 * s.WorkLen()}
	for _, step := range steps {
		spec := *s
		spec.Step = step.AttentionStep
		k, err := one(name+step.suffix, &spec, t)
		if err != nil {
			return nil, err
		}
		for i, a := range k.Args {
			of := step.out
			switch a.Kind {
			case kernels.ArgIn:
				of = step.in[a.Index]
			case kernels.ArgSym, kernels.ArgGrain:
				continue
			}
			if k.Args[i].Index = of; of == work {
				k.Args[i] = kernels.Arg{Kind: kernels.ArgWork}
			}
		}
		out.Kernels = append(out.Kernels, k)
	}
	return out, nil
}
