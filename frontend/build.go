// Package frontend is the Go DSL in which models are written: functions over *Value that build an ir.Module in plain
// operations.
//
//	m, err := frontend.Build(func(m *frontend.Module) {
//		S := m.Symbol("S", 1024)
//		m.Func("mlp", func(f *frontend.Func) {
//			x := f.Input("x", ir.F32, S, 2048)
//			gate, up := f.Weight("gate_proj.weight", ir.BF16, 16384, 2048), f.Weight("up_proj.weight", ir.BF16, 16384, 2048)
//			f.Return("y", frontend.Mul(frontend.GeluTanh(frontend.Linear(x, gate, nil)), frontend.Linear(x, up, nil)))
//		})
//	})
//
// What a model does wrong (shapes that do not fit, a number where a tensor is wanted) is a panic with the place in the
// model's source; Build alone recovers it and returns it as an error. Elementwise functions are generated from the
// table of operations.
package frontend

import (
	"fmt"
	"runtime"
	"strings"
	"sync"

	"pgc/ir"
)

// Module is a module being built.
type Module struct{ m *ir.Module }

// Func is a function being built.
type Func struct {
	f         *ir.Func
	values    map[*ir.Value]*Value // handles of parameters
	converted map[*ir.Value]*ir.Value
}

// Value is a handle on a tensor of the function being built.
type Value struct {
	f *Func
	v *ir.Value
}

// Build runs build on an empty module and returns what it made, verified. An error names the Go source line of the
// model that caused it.
func Build(build func(*Module)) (m *ir.Module, err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *ir.Error:
			m, err = nil, e
		default:
			panic(e)
		}
	}()
	b := &Module{&ir.Module{}}
	build(b)
	if err := b.m.Verify(); err != nil {
		return nil, err
	}
	return b.m, nil
}

// near are as many callers as almost always lead out of this package. Unwinding takes most of the time of building a
// graph, and models build from few places, so that a place is looked up once.
type near [6]uintptr

var places sync.Map // near to ir.Loc

// caller is the nearest place on the stack outside this package.
func caller() ir.Loc {
	var pcs near
	n := runtime.Callers(2, pcs[:])
	if loc, ok := places.Load(pcs); ok {
		return loc.(ir.Loc)
	}
	if loc, ok := outside(pcs[:n]); ok {
		places.Store(pcs, loc)
		return loc
	}
	var far [32]uintptr
	loc, _ := outside(far[:runtime.Callers(2, far[:])])
	return loc
}

// outside finds the first of some callers that is not in this package.
func outside(pcs []uintptr) (loc ir.Loc, ok bool) {
	frames := runtime.CallersFrames(pcs)
	for more := len(pcs) > 0; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if !strings.HasPrefix(f.Function, "pgc/frontend.") || strings.HasSuffix(f.File, "_test.go") {
			return ir.Loc{File: f.File[strings.LastIndexByte(f.File, '/')+1:], Line: f.Line}, true
		}
	}
	return ir.Loc{}, false
}

// fail reports a misuse of the DSL at the caller's place.
func fail(f *Func, format string, args ...any) {
	e := &ir.Error{Loc: caller(), Msg: fmt.Sprintf(format, args...)}
	if f != nil {
		e.Func = f.f.Name
	}
	panic(e)
}

// Symbol declares a run-time number of at most max and returns it as a dimension. Declaring it again with the same
// bound returns the same symbol.
func (m *Module) Symbol(name string, max int) ir.Dim {
	if have, ok := m.m.Bound(name); ok {
		if have != max {
			fail(nil, "symbol %s is declared with the bounds %d and %d", name, have, max)
		}
		return ir.Sym(name)
	}
	m.m.Symbols = append(m.m.Symbols, ir.Symbol{Name: name, Max: max})
	return ir.Sym(name)
}

// Func adds a function.
func (m *Module) Func(name string, body func(*Func)) {
	f := &Func{m.m.NewFunc(name), map[*ir.Value]*Value{}, map[*ir.Value]*ir.Value{}}
	body(f)
}

// Input declares an input. Dimensions are ints and ir.Dims.
func (f *Func) Input(name string, d ir.DType, dims ...any) *Value {
	return f.param(ir.Input, name, "", d, dims)
}

// State declares a tensor that is kept between calls and shared by name with the other functions; Update changes it.
func (f *Func) State(name string, d ir.DType, dims ...any) *Value {
	return f.param(ir.State, name, "", d, dims)
}

// Slots declares a State whose outermost dimension counts batch slots: each sequence that is worked on at a time has a
// part of its own.
func (f *Func) Slots(name string, d ir.DType, dims ...any) *Value {
	v := f.State(name, d, dims...)
	v.v.PerSlot = true
	return v
}

// Weight is the tensor of the checkpoint with that canonical name. It is shared with the other functions, and asking
// for it again returns the same value. Where an operation computes in f32, a bf16 or f16 weight is converted.
func (f *Func) Weight(key string, d ir.DType, dims ...any) *Value {
	for _, p := range f.f.Params {
		if p.Key == key && key != "" {
			if t := ir.T(d, f.dims(dims)...); !p.Type.Equal(t) {
				fail(f, "weight %q is declared as %s and as %s", key, p.Type, t)
			}
			return f.values[p]
		}
	}
	name := key
	if !ir.IsIdentifier(key) || f.f.Param(key) != nil {
		name = fmt.Sprintf("w%d", len(f.f.Params))
	}
	return f.param(ir.Weight, name, key, d, dims)
}

func (f *Func) param(kind ir.ParamKind, name, key string, d ir.DType, dims []any) *Value {
	if f.f.Param(name) != nil {
		fail(f, "parameter %q is declared twice", name)
	}
	p := f.f.AddParam(kind, name, key, ir.T(d, f.dims(dims)...))
	v := &Value{f, p}
	f.values[p] = v
	return v
}

// dims reads a shape given as ints and ir.Dims.
func (f *Func) dims(dims []any) []ir.Dim {
	shape := make([]ir.Dim, len(dims))
	for i, d := range dims {
		shape[i] = f.dim(d)
	}
	return shape
}

func (f *Func) dim(d any) ir.Dim {
	switch d := d.(type) {
	case int:
		return ir.D(d)
	case ir.Dim:
		return d
	}
	fail(f, "dimension is a %T, expected an int or an ir.Dim", d)
	return ir.Dim{}
}

// Return makes v an output of the function, of that name.
func (f *Func) Return(name string, v *Value) {
	f.own(v)
	f.f.Return(name, v.v)
}

// Update makes v the contents of a state after the call.
func (f *Func) Update(state, v *Value) {
	f.own(state)
	f.own(v)
	if state.v.Kind != ir.State {
		fail(f, "only a state can be updated")
	}
	if !state.Type().Equal(v.Type()) {
		fail(f, "state %s is %s, its update is %s", state.v.Name, state.Type(), v.Type())
	}
	f.f.Update(state.v, v.v)
}

// own checks that v is a value of f.
func (f *Func) own(v *Value) {
	if v == nil || v.f != f {
		fail(f, "a value is nil or belongs to another function")
	}
}

// Type is the type of v.
func (v *Value) Type() ir.Type { return v.v.Type }

// DType is the element type of v.
func (v *Value) DType() ir.DType { return v.v.Type.DType }

// Rank is the number of dimensions of v.
func (v *Value) Rank() int { return v.v.Type.Rank() }

// Dim is dimension i of v, counted from the end when i is negative.
func (v *Value) Dim(i int) ir.Dim { return v.v.Type.Shape[v.axis(i)] }

// axis resolves an axis, which counts from the end when it is negative.
func (v *Value) axis(i int) int {
	axis := i
	if i < 0 {
		axis += v.Rank()
	}
	if axis < 0 || axis >= v.Rank() {
		fail(v.f, "axis %d is not a dimension of %s", i, v.Type())
	}
	return axis
}
