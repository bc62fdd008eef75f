package ir

import (
	"slices"
	"strings"
	"testing"
)

// module returns a module with the symbols the samples use.
func sampleModule(s Sample) *Module {
	m := &Module{}
	for _, name := range []string{"S", "T", "past", "prefix"} {
		if _, ok := s.Syms[name]; ok {
			m.Symbols = append(m.Symbols, Symbol{name, 9})
		}
	}
	return m
}

// build makes a function of one operation over input parameters.
func build(t *testing.T, def *OpDef, s Sample) *Func {
	t.Helper()
	f := sampleModule(s).NewFunc("f")
	var in []*Value
	for i, typ := range s.In {
		in = append(in, f.AddParam(Input, "x"+string(rune('0'+i)), "", typ))
	}
	for i, v := range NewBuilder(f).Add(def, s.Attrs, in...).Results {
		f.Return("y"+string(rune('0'+i)), v)
	}
	return f
}

func TestEverySampleVerifies(t *testing.T) {
	for _, def := range Ops() {
		cases := def.Cases()
		if len(cases) == 0 {
			t.Errorf("%s has no conformance cases", def.Name)
		}
		for _, s := range cases {
			if err := build(t, def, s).Verify(); err != nil {
				t.Errorf("%s: %v", def.Name, err)
			}
		}
	}
}

// An expansion has only plain operations and the type of what it replaces.
func TestExpandKeepsTheType(t *testing.T) {
	for _, def := range Ops() {
		if !def.Fused() {
			continue
		}
		for _, s := range def.Cases() {
			f := build(t, def, s)
			fused := f.Ops[0]
			got, want := FormatTypes(typesOf(def.Expand(Before(f, fused), fused))), FormatTypes(typesOf(fused.Results))
			if got != want {
				t.Errorf("%s expands to %s, is %s", def.Name, got, want)
			}
			if n := f.ExpandFused(); n != 1 {
				t.Errorf("%s: %d fused operations expanded, want 1:\n%s", def.Name, n, f)
			}
			if err := f.Verify(); err != nil {
				t.Errorf("%s: %v", def.Name, err)
			}
			for _, op := range f.Ops {
				if op.Def.Fused() {
					t.Errorf("%s expands to %s", def.Name, op.Def.Name)
				}
			}
			t.Logf("\n%s", f)
		}
	}
}

// A symbol stays a dimension of its own: how its rows lie in memory then does not depend on its value.
func TestReshapeKeepsSymbolsApart(t *testing.T) {
	s, u := Sym("S"), Sym("T")
	for _, c := range []struct {
		from, to []Dim
		fits     bool
	}{
		{[]Dim{s, D(6)}, []Dim{s, D(2), D(3)}, true},
		{[]Dim{s, D(6)}, []Dim{D(1), s, D(1), D(6)}, true},
		{[]Dim{D(4), s, u}, []Dim{D(2), D(2), s, D(1), u}, true},
		{[]Dim{s, D(6)}, []Dim{D(6), s}, false},
		{[]Dim{s, D(6)}, []Dim{D(2), s, D(3)}, false},
		{[]Dim{s, u}, []Dim{u, s}, false},
		{[]Dim{s, D(6)}, []Dim{s, D(5)}, false},
	} {
		_, err := OpReshape.InferType([]Type{T(F32, c.from...)}, ShapeAttrs{c.to})
		if (err == nil) != c.fits || err != nil && !strings.Contains(err.Error(), "expected as many elements") {
			t.Errorf("%s to %s: %v", FormatDims(c.from), FormatDims(c.to), err)
		}
	}
}

// ExpandFused replaces every fused operation by the plain ones it stands for and returns how many there were.
func (f *Func) ExpandFused() int {
	n := 0
	for _, op := range slices.Clone(f.Ops) {
		if op.Def.Fused() {
			f.ReplaceResults(op, op.Def.Expand(Before(f, op), op))
			n++
		}
	}
	f.RemoveDead()
	return n
}

// The types of groups that have names in Go are those of the table of formats.
func TestNamedGroups(t *testing.T) {
	for d, want := range map[DType]string{I8G32: "i8g32", I8G64: "i8g64", I8G128: "i8g128", I4G32: "i4g32", I4G64: "i4g64", I4G128: "i4g128"} {
		if got, ok := ParseDType(want); !ok || got != d || d.String() != want {
			t.Errorf("%s is %d and %d is %s", want, got, d, d)
		}
		f, n := d.Group()
		if Quantized(f, n) != d {
			t.Errorf("groups of %d of %s are %s, expected %s", n, f, Quantized(f, n), d)
		}
	}
}
