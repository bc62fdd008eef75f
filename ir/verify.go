package ir

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// IsIdentifier reports whether name can name a function, a symbol or a parameter: letters, digits, _ and points, not
// beginning with a digit or point.
func IsIdentifier(name string) bool {
	for i, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c != '.' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}

// Verify checks the whole module: names of symbols and functions, every function, and that weights and states have one
// type in all functions. It joins the errors of all defects.
func (m *Module) Verify() error {
	var errs []error
	report := func(format string, args ...any) { errs = append(errs, &Error{Msg: fmt.Sprintf(format, args...)}) }
	symbols := map[string]bool{}
	for _, s := range m.Symbols {
		if !IsIdentifier(s.Name) || symbols[s.Name] {
			report("symbol %q is declared twice or is not an identifier", s.Name)
		}
		if s.Max < 0 || s.Max > DimLimit {
			report("symbol %s has the bound %d, expected 0 to %d", s.Name, s.Max, DimLimit)
		}
		symbols[s.Name] = true
	}
	funcs := map[string]bool{}
	shared := map[string]*Value{}
	slots := 0
	for _, f := range m.Funcs {
		if !IsIdentifier(f.Name) || funcs[f.Name] {
			report("function %q is defined twice or its name is not an identifier", f.Name)
		}
		funcs[f.Name] = true
		errs = append(errs, f.Verify())
		for _, p := range f.Params {
			if p.Kind == Input {
				continue
			}
			name := p.Kind.String() + " " + p.Name
			if p.Kind == Weight {
				name = fmt.Sprintf("weight %q", p.Key)
			}
			differ := func(format string, args ...any) {
				errs = append(errs, &Error{Func: f.Name, Msg: name + fmt.Sprintf(format, args...)})
			}
			if q := shared[name]; q != nil && !q.Type.Equal(p.Type) {
				differ(" is %s here and %s elsewhere", p.Type, q.Type)
			} else if q != nil && q.PerSlot != p.PerSlot {
				differ(" has batch slots here or elsewhere, expected the same everywhere")
			}
			shared[name] = p
			if n := p.slots(); n > 0 {
				if slots == 0 {
					slots = n
				}
				if n != slots {
					differ(" has %d batch slots, others have %d", n, slots)
				}
			}
		}
	}
	return errors.Join(errs...)
}

// verifier checks one function.
type verifier struct {
	f       *Func
	names   func() map[*Value]string // for messages, as the printer has them
	defined []*Value                 // by their ID
	errs    []error
}

func (v *verifier) isDefined(x *Value) bool {
	return 0 <= x.ID && x.ID < len(v.defined) && v.defined[x.ID] == x
}

// define makes a value defined, and reports whether it has a number of its own.
func (v *verifier) define(x *Value) bool {
	if x.ID < 0 || x.ID >= len(v.defined) || v.defined[x.ID] != nil {
		return false
	}
	v.defined[x.ID] = x
	return true
}

// Verify checks f: parameters, types, symbols and results, that values are defined once and before they are used, and
// that every operation has the operands, attributes and result types of its definition. It joins the errors of all
// defects.
func (f *Func) Verify() error {
	v := &verifier{f: f, names: sync.OnceValue(f.valueNames), defined: make([]*Value, f.nextID)}
	v.params()
	for _, op := range f.Ops {
		v.op(op)
	}
	v.results()
	return errors.Join(v.errs...)
}

func (v *verifier) report(loc Loc, op, format string, args ...any) {
	v.errs = append(v.errs, &Error{Loc: loc, Func: v.f.Name, Op: op, Msg: fmt.Sprintf(format, args...)})
}

func (v *verifier) params() {
	names := map[string]bool{}
	for _, p := range v.f.Params {
		where := "%" + p.Name
		if !IsIdentifier(p.Name) || names[p.Name] {
			v.report(Loc{}, where, "parameter name is not an identifier or occurs twice")
		}
		names[p.Name] = true
		if !p.IsParam() || p.Def != nil || !v.define(p) {
			v.report(Loc{}, where, "is not a parameter value of its own")
		}
		if (p.Kind == Weight) != (p.Key != "") {
			v.report(Loc{}, where, "a weight, and nothing else, has a checkpoint name")
		}
		v.checkType(func(format string, args ...any) { v.report(Loc{}, where, format, args...) }, p.Type)
		if p.PerSlot && (p.Kind != State || p.Type.Rank() == 0) {
			v.report(Loc{}, where, "a state of one dimension or more, and nothing else, has batch slots")
		}
		if p.Kind != Input && !isStatic(p.Type) {
			v.report(Loc{}, where, "%s has the type %s, expected constant dimensions", p.Kind, p.Type)
		}
	}
}

func isStatic(t Type) bool {
	return !slices.ContainsFunc(t.Shape, func(d Dim) bool { return !d.IsConst() })
}

func (v *verifier) checkType(report func(format string, args ...any), t Type) {
	if t.DType == Invalid || t.DType >= numDTypes {
		report("has no data type")
	}
	if err := checkElements(t.Shape, v.f.Module.MaxDim); err != nil {
		report("%v", err)
	}
	for _, d := range t.Shape {
		if d.IsConst() {
			if d.N < 0 || d.N > DimLimit {
				report("type %s: dimension %d is not from 0 to %d", t, d.N, DimLimit)
			}
		} else if _, ok := v.f.Module.Bound(d.Sym); !ok {
			report("type %s: symbol %s is not declared", t, d.Sym)
		}
	}
}

func (v *verifier) op(op *Op) {
	foreign := func(r *Value) bool { return r == nil || r.Def != op || r.Kind != NotParam }
	if op.Def == nil || len(op.Results) == 0 || slices.ContainsFunc(op.Results, foreign) {
		v.report(op.Loc, "", "operation without definition or results of its own")
		return
	}
	report := func(format string, args ...any) {
		where := list(op.Results, func(r *Value) string { return v.names()[r] }) + " " + op.Def.Name
		v.report(op.Loc, where, format, args...)
	}
	if OpNamed(op.Def.Name) != op.Def {
		report("is not in the table of operations")
	}
	types := make([]Type, len(op.In))
	for i, in := range op.In {
		if in == nil || !v.isDefined(in) {
			report("operand %d (%s) is not defined before it", i, v.names()[in])
		} else {
			types[i] = in.Type
		}
	}
	for _, r := range op.Results {
		if !v.define(r) {
			report("is defined twice, or its number is another value's")
		}
	}
	if slices.ContainsFunc(types, func(t Type) bool { return t.DType == Invalid }) {
		return
	}
	results, err := op.Def.InferTypes(types, op.Attrs)
	if err == nil && op.Def.Canon != nil && !AttrsEqual(op.Def, op.Attrs, op.Def.Canon(op.Attrs)) {
		err = fmt.Errorf("attributes %s are not in canonical form", FormatAttrs(op.Def, op.Attrs))
	}
	if err == nil && op.Def.Check != nil {
		err = op.Def.Check(v.f.Module, op)
	}
	if have := typesOf(op.Results); err == nil && !slices.EqualFunc(results, have, Type.Equal) {
		err = fmt.Errorf("has the type %s, its operands make it %s", FormatTypes(have), FormatTypes(results))
	}
	if err != nil {
		report("%v", err)
		return
	}
	for _, t := range results {
		v.checkType(report, t)
	}
}

func (v *verifier) results() {
	names := map[string]bool{}
	updated := map[*Value]bool{}
	for i, r := range v.f.Results {
		report := func(format string, args ...any) {
			where := "return " + r.Name
			if r.State != nil {
				where = "update " + v.names()[r.State]
			}
			v.report(Loc{}, where, format, args...)
		}
		switch {
		case r.Value == nil || !v.isDefined(r.Value):
			report("result %d is not defined", i)
		case r.State == nil && (!IsIdentifier(r.Name) || names[r.Name] || r.Name == "update"):
			report("result name %q is not an identifier, occurs twice or is a keyword", r.Name)
		case r.State != nil && (r.State.Kind != State || !v.isDefined(r.State) || updated[r.State] || r.Name != ""):
			report("is not an update of a state, or its second")
		case r.State != nil && !r.State.Type.Equal(r.Value.Type):
			report("state is %s, its update %s", r.State.Type, r.Value.Type)
		}
		names[r.Name] = true
		updated[r.State] = true
	}
}
