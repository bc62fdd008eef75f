package cputest

import (
	"reflect"
	"runtime"
	"testing"

	"pgc/codegen/cpu"
	"pgc/codegen/kernels"
	"pgc/codegen/llvm"
	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/tile"
)

// product is a spec of a product with n columns.
func product(n int64) kernels.Spec {
	return &kernels.Matmul{M: kernels.Size{N: 64, Sym: "rows"}, K: 64, XStride: 64, Parts: []kernels.Part{{Blocks: 1, N: n, Elem: tile.F32, Accs: 1,
		Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)}, Outs: []kernels.Out{{Elem: tile.F32, Strides: []int64{n, 0, 1}}}}}}
}

// TestMemory expects of a memory what kernels and llvm make anew: the first time, again, under another name, where the body
// was given up, where a backend has changed arguments, for another target, and of kernels that it has not built.
func TestMemory(t *testing.T) {
	m := &memory{}
	var targets []target.Target
	for _, name := range []string{"x86-64-v3", "znver4", "neoverse-n1"} {
		found, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, found)
	}
	check := func(name string, s kernels.Spec, tgt target.Target) *kernels.Kernel {
		t.Helper()
		want, err := kernels.Build(name, s, tgt)
		if err != nil {
			t.Fatal(err)
		}
		wantCode, err := llvm.EmitFunction(tgt, want.Tile)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.build(name, s, tgt)
		if err != nil {
			t.Fatal(err)
		}
		if got.Tile.Name != name || got.Tile.String() != want.Tile.String() || got.Tile.ScratchBytes != want.Tile.ScratchBytes {
			t.Errorf("%s for %s: the tile kernel is another one", name, tgt.Name)
		}
		if code, err := m.emit(tgt, got.Tile); err != nil || !reflect.DeepEqual(code, wantCode) {
			t.Errorf("%s for %s: the LLVM IR is another one (error %v)", name, tgt.Name, err)
		}
		if !reflect.DeepEqual(got.Args, want.Args) || !reflect.DeepEqual(got.Tasks, want.Tasks) || !reflect.DeepEqual(got.Grains, want.Grains) ||
			got.LHS != want.LHS || got.RHS != want.RHS {
			t.Errorf("%s for %s: %+v, expected %+v", name, tgt.Name, got, want)
		}
		return got
	}
	for _, tgt := range targets {
		first := check("a", product(64), tgt)
		clear(first.Args)
		again := check("b", product(64), tgt)
		if again.Tile.Body != first.Tile.Body {
			t.Errorf("%s: the kernel was built twice", tgt.Name)
		}
		check("c", product(80), tgt)
		runtime.KeepAlive(first)
		runtime.KeepAlive(again)
	}
	runtime.GC()
	for _, tgt := range targets {
		check("d", product(64), tgt)
	}
	// A kernel of one target, emitted for another, and one that the memory did not build.
	k, err := m.build("e", product(64), targets[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []*tile.Kernel{k.Tile, anew(t, product(64), targets[0])} {
		want, err := llvm.EmitFunction(targets[1], of)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.emit(targets[1], of); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("for another target the LLVM IR is another one (error %v)", err)
		}
	}
	bad := &kernels.Argmax{Matmul: product(64).(*kernels.Matmul)} // is several kernels
	for range 2 {
		_, want := kernels.Build("f", bad, targets[0])
		if _, err := m.build("f", bad, targets[0]); err == nil || want == nil || err.Error() != want.Error() {
			t.Errorf("error %v, expected %v", err, want)
		}
	}
}

func anew(t *testing.T, s kernels.Spec, on target.Target) *tile.Kernel {
	t.Helper()
	k, err := kernels.Build("g", s, on)
	if err != nil {
		t.Fatal(err)
	}
	return k.Tile
}

// TestAlone: kernels of a test that asks for it come from no memory, those of others do.
func TestAlone(t *testing.T) {
	remember()
	on, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	same := func(t *testing.T) bool {
		var bodies []*tile.Block
		for range 2 {
			k, err := cpu.Build("k", product(64), on)
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, k.Tile.Body)
		}
		return bodies[0] == bodies[1]
	}
	t.Run("alone", func(t *testing.T) {
		if Alone(t); same(t) {
			t.Error("a kernel comes from a memory")
		}
	})
	if !same(t) {
		t.Error("a kernel was built twice")
	}
}
