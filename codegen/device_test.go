package codegen_test

import (
	"testing"

	"pgc/codegen"
	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/codegen/ptx"
	"pgc/ir/scalar"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// TestLoads has a backend repack matrices to twice their size: equal ones by the same kernel, each to its own place, and
// launches read them there.
func TestLoads(t *testing.T) {
	b := ptx.Backend()
	b.Device = func(name string, w program.Weight) (*backend.Device, error) {
		if w.Layout.Kind == program.LayoutPlain {
			return nil, nil
		}
		x := kernels.Operand{Elem: tile.I32, Strides: []int64{1}}
		l, err := b.Build(name, &kernels.Map{Dims: []kernels.Size{kernels.Const(w.Bytes / 4)}, In: []kernels.Operand{x},
			Exprs: []*scalar.Expr{scalar.X(0, scalar.I32)}, Outs: []kernels.Out{{Elem: tile.I32, Strides: []int64{2}}}})
		if err != nil {
			return nil, err
		}
		return &backend.Device{Bytes: 2 * w.Bytes, Kernels: l.Kernels}, nil
	}
	m := planned(t, `func @f(%x: input f32[9,48], %s: weight "s" f32[48], %a: weight "a" bf16[48,48], %b: weight "b" bf16[48,48]) {
  %0 = mul %x, %s : f32[9,48]
  %1 = convert %a {dtype=f32} : f32[48,48]
  %2 = einsum %0, %1 {spec="ab,cb->ac"} : f32[9,48]
  %3 = tanh %2 : f32[9,48]
  %4 = convert %b {dtype=f32} : f32[48,48]
  %5 = einsum %3, %4 {spec="ab,cb->ac"} : f32[9,48]
  return y=%5 : f32[9,48]
}`, b)
	r, err := codegen.Compile(t.Context(), m, b)
	if err != nil {
		t.Fatal(err)
	}
	p := r.Program
	if len(p.Loads) != 3 {
		t.Fatalf("loads %+v, expected 3", p.Loads)
	}
	repack, places := -1, map[string]int64{}
	for i, l := range p.Loads {
		name := p.Weights[i].Name
		places[name] = l.To
		if name == "s" {
			if len(l.Launches) != 0 || l.DeviceBytes != l.Bytes {
				t.Errorf("vector: %+v, expected a copy", l)
			}
			continue
		}
		if len(l.Launches) != 1 || l.DeviceBytes != 2*l.Bytes || l.Launches[0].Args[0].Space != program.SpaceStaging || l.Launches[0].Args[1].Offset != l.To {
			t.Fatalf("%s: %+v, expected a launch from staging to %d", name, l, l.To)
		}
		if repack >= 0 && l.Launches[0].Kernel != repack {
			t.Errorf("%s: repacked by kernel %d, its twin by %d", name, l.Launches[0].Kernel, repack)
		}
		repack = l.Launches[0].Kernel
	}
	read := map[int64]bool{}
	for _, l := range p.Funcs[0].Launches {
		for _, a := range l.Args {
			if a.Space == program.SpaceWeights {
				read[a.Offset] = true
			}
		}
	}
	for name, at := range places {
		if !read[at] {
			t.Errorf("no launch reads %s at %d: they read %v", name, at, read)
		}
	}
}
