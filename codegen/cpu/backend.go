package cpu

import (
	"context"
	"slices"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/codegen/llvm"
	"pgc/codegen/schedule"
	"pgc/ir/target"
	"pgc/runtime/program"
)

// Build and Emit make the kernel of a spec, and its LLVM IR. Tests put a memory in front of them.
var (
	Build = kernels.Build
	Emit  = llvm.EmitFunction
)

// Backend compiles for a CPU: specs are tile kernels, matrices of products lie in panels, llc makes the code.
func Backend(t target.Target) *backend.Backend {
	return &backend.Backend{
		Target:   program.Target{Arch: t.Arch, CPU: t.Name, Features: t.Features},
		MinBatch: MinBatch(t),
		Layout:   layout,
		Rows:     true,
		Build:    func(name string, s kernels.Spec) (*backend.Launches, error) { return build(name, s, t) },
		Join:     join,
		Assemble: func(ctx context.Context, ks []*backend.Kernel) (*backend.Code, error) { return assemble(ctx, t, ks) },
	}
}

// Variants are the backends of several ISA variants, the best first. bf16 and integers say which products occur, of
// bfloat16 on both sides and of integers: a variant that differs from a later one only in instructions for others is
// left out, as is one whose schedules of these are those of a later one.
func Variants(targets []target.Target, bf16, integers bool) []*backend.Backend {
	var out []*backend.Backend
	for i, t := range targets {
		if !slices.ContainsFunc(targets[i+1:], func(o target.Target) bool {
			return t.Equal(o, bf16, integers) && schedule.Default.Same(t, o, bf16, integers)
		}) {
			out = append(out, Backend(t))
		}
	}
	return out
}

// layout returns that of panels; products of bfloat16 read words of two neighbors in k.
func layout(d program.DType, bf16 bool) program.Layout {
	l := program.Layout{Kind: program.LayoutPanels, KPack: 1}
	if bf16 && d == "bf16" {
		l.KPack = 2
	}
	return l
}

// build makes the kernel of a spec. An attention that few heads would leave to few threads is three kernels, an argmax
// of a product is two, and so is a top.
func build(name string, s kernels.Spec, t target.Target) (*backend.Launches, error) {
	switch s := s.(type) {
	case *kernels.Attention:
		if s.Splits() {
			return split(name, s, t)
		}
	case *kernels.Argmax:
		return argmax(name, s, t)
	case *kernels.Top:
		return top(name, s, t)
	}
	k, err := one(name, s, t)
	if err != nil {
		return nil, err
	}
	return &backend.Launches{Kernels: []*backend.Kernel{k}}, nil
}

// one makes the kernel of a spec.
func one(name string, s kernels.Spec, t target.Target) (*backend.Kernel, error) {
	k, err := Build(name, s, t)
	if err != nil {
		return nil, err
	}
	described := program.Kernel{Name: name, LHS: program.DType(k.LHS.String()), RHS: program.DType(k.RHS.String())}
	return &backend.Kernel{Kernel: described, Spec: s, Args: k.Args, Tasks: k.Tasks, Grains: k.Grains, Tile: k.Tile}, nil
}

// argmax builds a product whose tasks keep pairs of a value and its index, and the row that finds the greatest.
func argmax(name string, s *kernels.Argmax, t target.Target) (*backend.Launches, error) {
	product, row, n := s.Partials()
	first, err := one(name, product, t)
	if err != nil {
		return nil, err
	}
	second, err := one(name+"_index", row, t)
	if err != nil {
		return nil, err
	}
	for i, a := range first.Args {
		if a.Kind == kernels.ArgOut {
			first.Args[i] = kernels.Arg{Kind: kernels.ArgWork}
		}
	}
	for i, a := range second.Args {
		if a.Kind == kernels.ArgIn { // values, and behind them indices
			second.Args[i] = kernels.Arg{Kind: kernels.ArgWork, Index: a.Index * int(4*n)}
		}
	}
	return &backend.Launches{Kernels: []*backend.Kernel{first, second}, WorkBytes: 8 * n}, nil
}
