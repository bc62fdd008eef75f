// Package text parses the text form of the tensor graph, .pgir, which package ir prints:
//
//	symbol S <= 1024
//
//	func @scores(
//	    %x: input f32[S,16],
//	    %w: weight "head.weight" bf16[8,16]) {
//	  %0 = convert %w {dtype=f32} : f32[8,16]
//	  %1 = einsum %x, %0 {spec="ab,cb->ac"} : f32[S,8]
//	  return y=%1 : f32[S,8]
//	}
//
// Parse and print are inverse: parsing what was printed gives an equal module, and printing what was parsed gives the
// canonical text, in which values are numbered and attributes ordered. What the text says must be well typed; the first
// defect is an error with its file, line and column.
package text

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"pgc/ir"
)

// Bounds of what is looked up name by name.
const (
	maxSymbols = 1000
	maxFuncs   = 10_000
	maxResults = 10_000 // of a function
)

// Parse reads a module and verifies it. file names it in errors, which are of type *ir.Error.
func Parse(file, src string) (*ir.Module, error) {
	tree, err := parser.ParseString(file, src)
	if err != nil {
		return nil, located(err)
	}
	m := &ir.Module{}
	if list := tree.Symbols.list; len(list) > maxSymbols {
		return nil, failure(list[maxSymbols].name.Pos, "%d symbols, expected at most %d", len(list), maxSymbols)
	}
	if len(tree.Functions) > maxFuncs {
		return nil, failure(tree.Functions[maxFuncs].Pos, "%d functions, expected at most %d", len(tree.Functions), maxFuncs)
	}
	for _, s := range tree.Symbols.list {
		bound, err := strconv.Atoi(s.bound.Value)
		if err != nil || bound < 0 || bound > ir.DimLimit {
			return nil, failure(s.bound.Pos, "the bound of symbol %s is %s, expected an integer from 0 to %d", s.name.Value, s.bound.Value, ir.DimLimit)
		}
		if _, twice := m.Bound(s.name.Value); twice {
			return nil, failure(s.name.Pos, "symbol %s is declared twice", s.name.Value)
		}
		m.Symbols = append(m.Symbols, ir.Symbol{Name: s.name.Value, Max: bound})
	}
	weights := map[string]ir.Type{}
	for _, f := range tree.Functions {
		if m.Func(f.Name[1:]) != nil {
			return nil, failure(f.Pos, "function %s is defined twice", f.Name)
		}
		r := &reader{m.NewFunc(f.Name[1:]), map[string]*ir.Value{}, weights}
		if err := r.function(f); err != nil {
			return nil, err
		}
	}
	if err := m.Verify(); err != nil {
		return nil, &ir.Error{Loc: ir.Loc{File: file}, Msg: err.Error()}
	}
	return m, nil
}

func location(pos lexer.Position) ir.Loc {
	return ir.Loc{File: pos.Filename, Line: pos.Line, Col: pos.Column}
}

func failure(pos lexer.Position, format string, args ...any) error {
	return &ir.Error{Loc: location(pos), Msg: fmt.Sprintf(format, args...)}
}

// located turns an error of participle into one of ours.
func located(err error) error {
	var e participle.Error
	if errors.As(err, &e) {
		return failure(e.Position(), "%s", e.Message())
	}
	return err
}

// reader builds one function.
type reader struct {
	f      *ir.Func
	values map[string]*ir.Value
	shared map[string]ir.Type // weights and states of the module, by kind and name
}

func (r *reader) function(f *function) error {
	for _, p := range f.Parameters.list {
		if err := r.parameter(p); err != nil {
			return err
		}
	}
	for _, o := range f.Operations.list {
		if err := r.operation(o); err != nil {
			return err
		}
	}
	if list := f.Results.list; len(list) > maxResults {
		return failure(list[maxResults].value.Pos, "%s returns %d results, expected at most %d", f.Name, len(list), maxResults)
	}
	for _, res := range f.Results.list {
		if err := r.result(res); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) parameter(p *parameter) error {
	t, err := r.typ(&p.typ)
	if err != nil {
		return err
	}
	name, kind := p.name.Value[1:], paramKinds[p.kind.Value]
	if !ir.IsIdentifier(name) {
		return failure(p.name.Pos, "the name of a parameter begins with a letter")
	}
	if kind != ir.Input {
		key := p.kind.Value + " " + cmp.Or(p.key, name)
		if have, ok := r.shared[key]; ok && !have.Equal(t) {
			return failure(p.typ.pos, "%s is %s here and %s in a function before", key, t, have)
		}
		r.shared[key] = t
		for _, d := range p.typ.shape {
			if d.Type == tokenIdent {
				return failure(d.Pos, "a %s has constant dimensions", kind)
			}
		}
	}
	v := r.f.AddParam(kind, name, p.key, t)
	v.PerSlot = p.kind.Value == "slots"
	return r.define(p.name.Pos, p.name.Value, v)
}

func (r *reader) define(pos lexer.Position, name string, v *ir.Value) error {
	if r.values[name] != nil {
		return failure(pos, "%s is defined twice", name)
	}
	r.values[name] = v
	return nil
}

func (r *reader) value(pos lexer.Position, name string) (*ir.Value, error) {
	v := r.values[name]
	if v == nil {
		return nil, failure(pos, "%s is not defined before it is used", name)
	}
	return v, nil
}

func (r *reader) typ(t *typ) (ir.Type, error) {
	d, ok := ir.ParseDType(t.dtype)
	if !ok {
		return ir.Type{}, failure(t.pos, "%q is not a data type, expected %s", t.dtype, ir.AnyDType)
	}
	shape := make([]ir.Dim, len(t.shape))
	for i, s := range t.shape {
		if s.Type == tokenIdent {
			if _, ok := r.f.Module.Bound(s.Value); !ok {
				return ir.Type{}, failure(s.Pos, "symbol %s is not declared, expected a line such as symbol %[1]s <= 512 before the functions", s.Value)
			}
			shape[i] = ir.Sym(s.Value)
			continue
		}
		n, err := strconv.Atoi(s.Value)
		if err != nil || n < 0 || n > ir.DimLimit {
			return ir.Type{}, failure(s.Pos, "dimension %s is not an integer from 0 to %d", s.Value, ir.DimLimit)
		}
		shape[i] = ir.D(n)
	}
	return ir.T(d, shape...), nil
}

func (r *reader) operation(o *operation) error {
	fail := func(pos lexer.Position, err error) error {
		var e participle.Error
		if errors.As(err, &e) {
			pos, err = e.Position(), errors.New(e.Message())
		}
		return &ir.Error{Loc: location(pos), Func: r.f.Name, Op: o.results() + " " + o.name.Value, Msg: err.Error()}
	}
	def := ir.OpNamed(o.name.Value)
	if def == nil {
		return failure(o.name.Pos, "there is no operation %s%s", o.name.Value, suggestion(o.name.Value))
	}
	in := make([]*ir.Value, len(o.in))
	for i, t := range o.in {
		v, err := r.value(t.Pos, t.Value)
		if err != nil {
			return err
		}
		in[i] = v
	}
	attrs, err := decodeAttrs(def, o)
	if err != nil {
		return fail(o.name.Pos, err)
	}
	op, err := ir.NewOp(def, attrs, in...)
	if err == nil && def.Check != nil {
		err = def.Check(r.f.Module, op)
	}
	if err != nil {
		return fail(o.name.Pos, err)
	}
	if len(o.out) != len(op.Results) {
		return fail(o.out[0].Pos, fmt.Errorf("the number of results is %d, expected %d", len(o.out), len(op.Results)))
	}
	op.Loc = location(o.out[0].Pos)
	r.f.Insert(nil, op)
	for i, v := range op.Results {
		t, err := r.typ(&o.types[i])
		if err != nil {
			return err
		}
		if !t.Equal(v.Type) {
			return fail(o.types[i].pos, fmt.Errorf("the type is %s, the operands make it %s", t, v.Type))
		}
		if err := r.define(o.out[i].Pos, o.out[i].Value, v); err != nil {
			return err
		}
	}
	return nil
}

// results lists the names of an operation's results.
func (o *operation) results() string {
	names := make([]string, len(o.out))
	for i, t := range o.out {
		names[i] = t.Value
	}
	return strings.Join(names, ", ")
}

func (r *reader) result(res *result) error {
	v, err := r.value(res.value.Pos, res.value.Value)
	if err != nil {
		return err
	}
	if res.typ != nil {
		t, err := r.typ(res.typ)
		if err != nil {
			return err
		}
		if !t.Equal(v.Type) {
			return failure(res.typ.pos, "the type of %s is %s, not %s", res.value.Value, v.Type, t)
		}
	}
	twice := func(have ir.Result) bool {
		return have.State == nil && have.Name == res.name.Value || have.State != nil && have.State == r.values[res.state.Value]
	}
	if slices.ContainsFunc(r.f.Results, twice) {
		return failure(res.value.Pos, "%s is a result twice", res.name.Value+res.state.Value)
	}
	if res.state.Value == "" {
		r.f.Return(res.name.Value, v)
		return nil
	}
	state, err := r.value(res.state.Pos, res.state.Value)
	if err != nil {
		return err
	}
	if state.Kind != ir.State {
		return failure(res.state.Pos, "%s is not a state", res.state.Value)
	}
	if !state.Type.Equal(v.Type) {
		return failure(res.value.Pos, "%s is %s, its update is %s", res.state.Value, state.Type, v.Type)
	}
	r.f.Update(state, v)
	return nil
}
