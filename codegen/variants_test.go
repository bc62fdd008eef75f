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
	off := map[string]bool{}
	for _, b := range backends {
		for _, name := range b.Without {
			off[name] = true
		}
	}
	if err := passes.Optimize(m, passes.Options{Check: true, Off: off}); err != nil {
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
