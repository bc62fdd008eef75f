package codegen

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"

	"pgc/codegen/cpu"
	"pgc/codegen/weights"
	"pgc/ir"
	"pgc/ir/target"
	"pgc/runtime/program"
)

// Sets is a module compiled for several targets: one code section and one program each over the same weights.
type Sets struct {
	Results  []*Result // the best target first
	Targets  []target.Target
	Programs []*program.Program
	Code     []byte
}

// CompileSets compiles a module for every target, the best first. A set whose code is that of a later one, which asks less
// of the CPU, is left out.
func CompileSets(ctx context.Context, m *ir.Module, targets []target.Target) (*Sets, error) {
	s := &Sets{}
	for i, t := range targets {
		if t.BF16 && !bfloats(m) && slices.ContainsFunc(targets[i+1:], t.IsButForBF16) {
			continue // the code would be the same
		}
		r, err := Compile(ctx, m, t)
		if err != nil {
			return nil, err
		}
		if n := len(s.Results); n > 0 && covers(s.Targets[n-1], t) && sameCode(s.Results[n-1], r) {
			s.Results, s.Targets = s.Results[:n-1], s.Targets[:n-1]
		}
		s.Results, s.Targets = append(s.Results, r), append(s.Targets, t)
	}
	for i, r := range s.Results {
		if err := weights.Same(&s.Results[0].weights, &r.weights); err != nil {
			return nil, fmt.Errorf("%s and %s: %w", s.Targets[0].Name, s.Targets[i].Name, err)
		}
		s.Code = append(s.Code, make([]byte, -len(s.Code)&(cpu.CodeAlign-1))...)
		at := int64(len(s.Code))
		s.Code = append(s.Code, r.Code...)
		p := r.Program
		for k := range p.Kernels {
			p.Kernels[k].CodeOffset += at
		}
		p.WorkerOffset += at
		s.Programs = append(s.Programs, p)
	}
	return s, nil
}

// bfloats reports whether a product of m is of bfloat16 on both sides.
func bfloats(m *ir.Module) bool {
	for _, f := range m.Funcs {
		for _, op := range f.Ops {
			if op.Def == ir.OpMatmul && op.Attrs.(ir.MatmulAttrs).Factor(op.In) == ir.BF16 {
				return true
			}
		}
	}
	return false
}

// covers reports whether a has every feature that b asks for.
func covers(a, b target.Target) bool {
	has := map[string]bool{}
	for _, f := range a.Features {
		has[f] = true
	}
	for _, f := range b.Features {
		if !has[f] {
			return false
		}
	}
	return true
}

func sameCode(a, b *Result) bool {
	return bytes.Equal(a.Code, b.Code) && reflect.DeepEqual(a.Program.Funcs, b.Program.Funcs)
}
