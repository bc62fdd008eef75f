package codegen_test

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"pgc/codegen"
	"pgc/codegen/backend"
	"pgc/codegen/cpu"
	"pgc/codegen/ptx"
	store "pgc/codegen/weights"
	"pgc/frontend/text"
	"pgc/ir"
	"pgc/ir/target"
	"pgc/passes"
	"pgc/runtime/engine"
	"pgc/runtime/program"
)

// planned parses and optimizes a module for some backends.
func planned(t *testing.T, source string, backends ...*backend.Backend) *ir.Module {
	t.Helper()
	m, err := text.Parse("sets.pgir", source)
	if err != nil {
		t.Fatal(err)
	}
	off, with := map[string]bool{}, []string(nil)
	for _, b := range backends {
		with = append(with, b.With...)
		for _, name := range b.Without {
			off[name] = true
		}
	}
	if err := passes.Optimize(m, passes.Options{Check: true, Off: off, With: with}); err != nil {
		t.Fatal(err)
	}
	return m
}

// variants is a module for several backends.
func variants(m *ir.Module, backends ...*backend.Backend) (out []codegen.Variant) {
	for _, b := range backends {
		out = append(out, codegen.Variant{Module: m, Backend: b})
	}
	return out
}

// TestKindsOfTargets puts a function for two kinds of targets into one file. A matrix that they want in two layouts is
// there twice, any other tensor once.
func TestKindsOfTargets(t *testing.T) {
	v3, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	both := []*backend.Backend{cpu.Backend(v3), ptx.Backend(), ptx.Backend()}
	m := planned(t, `func @f(%x: input f32[9,45], %w: weight "w" f32[45]) {
  %0 = mul %x, %w : f32[9,45]
  %1 = tanh %0 : f32[9,45]
  return y=%1 : f32[9,45]
}`, both...)
	w := randomWeights(t, m)
	s, err := codegen.CompileVariants(t.Context(), variants(m, both...))
	if err != nil {
		t.Fatal(err)
	}
	// The third is like the second, which is left out.
	if len(s.Programs) != 2 || s.Programs[0].Target.Kind != program.CPU || s.Programs[1].Target.Kind != program.PTX || len(s.Sections) != 2 {
		t.Fatalf("%d programs, %d sections of code", len(s.Programs), len(s.Sections))
	}
	sections := []program.Section{{Name: program.SectionWeights, Write: func(to io.Writer) error { return s.Results[0].WriteWeights(to, w, store.Writing{}) }}}
	for _, c := range s.Sections {
		sections = append(sections, program.Bytes(c.Name, c.Bytes))
	}
	path := filepath.Join(t.TempDir(), "exe")
	if err := program.Write(t.Context(), path, []byte("\x7fELF"), s.Programs, sections...); err != nil {
		t.Fatal(err)
	}
	image, err := program.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if _, err := image.Choose("sm_80", engine.CheckSupport); err == nil || !strings.Contains(err.Error(), "code of kind ptx") {
		t.Errorf("error %v", err)
	}
	why := engine.CheckSupport(s.Programs[0].Target)
	if _, err := image.Choose("x86-64-v3", engine.CheckSupport); (err == nil) != (why == nil) {
		t.Errorf("error %v, where this machine lacks %v", err, why)
	}

	m = planned(t, `func @f(%x: input f32[9,45], %w: weight "w" bf16[31,45]) {
  %0 = convert %w {dtype=f32} : f32[31,45]
  %1 = einsum %x, %0 {spec="ab,cb->ac"} : f32[9,31]
  return y=%1 : f32[9,31]
}`, both...)
	if s, err = codegen.CompileVariants(t.Context(), variants(m, both...)); err != nil {
		t.Fatal(err)
	}
	stored := s.Programs[0].Weights
	if len(stored) != 1 || stored[0].Layout.Kind != program.LayoutPanels {
		t.Errorf("the file stores %+v, expected w in panels, once", stored)
	}
	gpu := s.Programs[1]
	if len(gpu.Loads) != 1 || gpu.Loads[0].Offset != stored[0].Offset || len(gpu.Loads[0].Launches) == 0 {
		t.Errorf("loads %+v, expected one that repacks w", gpu.Loads)
	}
}

// TestSetsShareCode compiles for two sets that differ in products of integers: other kernels are in the file once.
func TestSetsShareCode(t *testing.T) {
	var both []*backend.Backend
	for _, name := range []string{"neoverse-n2", "neoverse-n1"} {
		tgt, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, cpu.Backend(tgt))
	}
	m := planned(t, `func @f(%x: input f32[9,64], %w: weight "w" i8g32[32,64]) {
  %0 = tanh %x : f32[9,64]
  %1 = convert %0 {dtype=i8g32} : i8g32[9,64]
  %2 = convert %1 {dtype=f32} : f32[9,64]
  %3 = convert %w {dtype=f32} : f32[32,64]
  %4 = einsum %2, %3 {spec="ab,cb->ac"} : f32[9,32]
  return y=%4 : f32[9,32]
}`, both...)
	s, err := codegen.CompileVariants(t.Context(), variants(m, both...))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Programs) != 2 {
		t.Fatalf("%d programs, expected two", len(s.Programs))
	}
	at := map[string][]int64{}
	for _, p := range s.Programs {
		for _, k := range p.Kernels {
			at[k.Name] = append(at[k.Name], k.CodeOffset)
		}
	}
	same, other := 0, 0
	for name, offsets := range at {
		if shared := offsets[0] == offsets[1]; shared == strings.HasPrefix(name, "matmul") {
			t.Errorf("%s lies at %d", name, offsets)
		} else if shared {
			same++
		} else {
			other++
		}
	}
	if same == 0 || other == 0 {
		t.Errorf("%d kernels are shared, %d are not: %v", same, other, at)
	}
	alone := len(s.Results[0].Code.Bytes) + len(s.Results[1].Code.Bytes)
	if s.CodeBytes() >= alone {
		t.Errorf("%d bytes of code, %d without sharing", s.CodeBytes(), alone)
	}
}
