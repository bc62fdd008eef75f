package codegen

import (
	"bytes"
	"context"
	"reflect"
	"slices"

	"pgc/codegen/backend"
	"pgc/ir"
	"pgc/runtime/program"
)

// Variant is a module for a target. Modules of a file differ in how they compute only: they have the same functions,
// ports, symbols and weights.
type Variant struct {
	Module  *ir.Module
	Backend *backend.Backend
}

// Variants is a model compiled for several targets: a program each over the same weights, and code in the sections of
// their kinds.
type Variants struct {
	Results  []*Result // the best target first
	Backends []*backend.Backend
	Programs []*program.Program
	Sections []Section
}

// Section is the code of all targets that share a section of the file.
type Section struct {
	Name  string
	Bytes []byte
}

// CompileVariants compiles a model for every target, the best first. A set whose code is that of a later one, which
// asks less of the machine, is left out. What the programs store in the same layout is stored once.
func CompileVariants(ctx context.Context, variants []Variant) (*Variants, error) {
	all, err := LowerVariants(variants)
	if err != nil {
		return nil, err
	}
	s := &Variants{}
	for i, r := range all {
		b := variants[i].Backend
		if err := r.assemble(ctx, b); err != nil {
			return nil, err
		}
		if n := len(s.Results); n > 0 && covers(s.Backends[n-1].Target, b.Target) && sameCode(s.Results[n-1], r) {
			s.Results, s.Backends = s.Results[:n-1], s.Backends[:n-1]
		}
		s.Results, s.Backends = append(s.Results, r), append(s.Backends, b)
	}
	for _, r := range s.Results {
		s.Programs = append(s.Programs, r.Program)
	}
	return s, s.lay()
}

// lay puts the code of all targets into sections, that of programs that can be joined together.
func (s *Variants) lay() error {
	for i, r := range s.Results {
		b, name := s.Backends[i], r.Code.Section
		if b.Join == nil {
			r.Program.MoveCode(s.place(r.Code))
			continue
		}
		if slices.ContainsFunc(s.Sections, func(of Section) bool { return of.Name == name }) {
			continue // joined with the first of them
		}
		var together []*Result
		var codes []*backend.Code
		for _, q := range s.Results[i:] {
			if q.Code.Section == name {
				together, codes = append(together, q), append(codes, q.Code)
			}
		}
		joined, placed, err := b.Join(codes)
		if err != nil {
			return err
		}
		for n, q := range together {
			q.locate(placed[n])
		}
		s.Sections = append(s.Sections, Section{name, joined})
	}
	return nil
}

// place adds code to its section and returns where it begins.
func (s *Variants) place(c *backend.Code) int64 {
	for i := range s.Sections {
		if to := &s.Sections[i]; to.Name == c.Section {
			to.Bytes = append(to.Bytes, make([]byte, -int64(len(to.Bytes))&(c.Align-1))...)
			at := int64(len(to.Bytes))
			to.Bytes = append(to.Bytes, c.Bytes...)
			return at
		}
	}
	s.Sections = append(s.Sections, Section{c.Section, bytes.Clone(c.Bytes)})
	return 0
}

// CodeBytes is the size of the code of all targets.
func (s *Variants) CodeBytes() (n int) {
	for _, c := range s.Sections {
		n += len(c.Bytes)
	}
	return n
}

// Multiplies reports whether products of m are of bfloat16 on both sides, and of integers.
func Multiplies(m *ir.Module) (bf16, integers bool) {
	for _, f := range m.Funcs {
		for _, op := range f.Ops {
			if op.Def == ir.OpMatmul {
				bf16 = bf16 || ir.ViewMatmul(op).Factor == ir.BF16
				integers = integers || ir.ViewMatmul(op).Row[0].Type.DType.IsQuantized()
			}
		}
	}
	return bf16, integers
}

// covers reports whether a machine that has all of a has all that b asks for.
func covers(a, b program.Target) bool {
	if a.Kind != b.Kind || a.Arch != b.Arch {
		return false
	}
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
	return bytes.Equal(a.Code.Bytes, b.Code.Bytes) && reflect.DeepEqual(a.Program.Funcs, b.Program.Funcs)
}
