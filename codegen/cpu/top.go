package cpu

import (
	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/target"
)

// top builds the kernel that finds the greatest elements of rows, and the one that reduces them.
func top(name string, s *kernels.Top, t target.Target) (*backend.Launches, error) {
	first, err := one(name, s, t)
	if err != nil {
		return nil, err
	}
	second, err := one(name+"_sum", s.Row, t)
	if err != nil {
		return nil, err
	}
	for i, a := range second.Args {
		if a.Kind == kernels.ArgOut {
			second.Args[i].Index = 2
		}
	}
	return &backend.Launches{Kernels: []*backend.Kernel{first, second}}, nil
}
