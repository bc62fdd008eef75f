package reduce

import (
	"fmt"
	"reflect"

	"pgc/ir"
)

// edit is a change of a module that is tried.
type edit struct {
	only    *ir.Func                 // the function to keep, or nil for all
	results map[*ir.Func][]ir.Result // other results of a function
	inputs  map[*ir.Op]bool          // operations whose results become inputs
	instead map[*ir.Value]*ir.Value  // values to take in place of others
	kinds   map[*ir.Value]bool       // weights that become inputs
	floats  map[*ir.Value]bool       // parameters that become f32
	dims    func(ir.Dim) ir.Dim      // other sizes, or nil
	values  map[*ir.Value]*ir.Value  // of the old module to the new one
}

// apply returns the changed copy of m, or nil where it is not well typed.
func (e edit) apply(m *ir.Module) (c *ir.Module) {
	defer func() {
		if recover() != nil { // an operation does not fit its new operands
			c = nil
		}
	}()
	c = &ir.Module{Symbols: m.Symbols}
	for _, f := range m.Funcs {
		if e.only == nil || e.only == f {
			e.values = map[*ir.Value]*ir.Value{}
			if !e.function(c, f) {
				return nil
			}
		}
	}
	if e.dims != nil && c.String() == m.String() {
		return nil
	}
	dropSymbols(c)
	return c
}

func (e edit) function(c *ir.Module, f *ir.Func) bool {
	g := c.NewFunc(f.Name)
	for _, p := range f.Params {
		kind, key, t := p.Kind, p.Key, e.typ(p.Type)
		if e.kinds[p] {
			kind, key = ir.Input, ""
		}
		if e.floats[p] {
			t.DType = ir.F32
		}
		e.values[p] = g.AddParam(kind, p.Name, key, t)
	}
	for _, op := range f.Ops {
		if e.inputs[op] {
			for _, v := range op.Results {
				e.values[v] = g.AddParam(ir.Input, fresh(g), "", e.typ(v.Type))
			}
			continue
		}
		in := make([]*ir.Value, len(op.In))
		for i, v := range op.In {
			in[i] = e.value(v)
		}
		o, err := ir.NewOp(op.Def, e.attrs(op.Attrs), in...)
		if err != nil || len(o.Results) != len(op.Results) {
			return false
		}
		o.Loc = op.Loc
		g.Insert(nil, o)
		for i, v := range op.Results {
			e.values[v] = o.Results[i]
		}
	}
	results, ok := e.results[f]
	if !ok {
		results = f.Results
	}
	for _, r := range results {
		if r.State != nil {
			g.Update(e.values[r.State], e.value(r.Value))
		} else {
			g.Return(r.Name, e.value(r.Value))
		}
	}
	g.RemoveDead()
	dropParams(g)
	return true
}

func (e edit) value(v *ir.Value) *ir.Value {
	if w, ok := e.instead[v]; ok {
		v = w
	}
	return e.values[v]
}

func (e edit) typ(t ir.Type) ir.Type {
	if e.dims == nil {
		return t
	}
	shape := make([]ir.Dim, len(t.Shape))
	for i, d := range t.Shape {
		shape[i] = e.dims(d)
	}
	return ir.Type{DType: t.DType, Shape: shape}
}

// attrs changes the dimensions among attributes.
func (e edit) attrs(attrs any) any {
	if e.dims == nil || attrs == nil {
		return attrs
	}
	v := reflect.New(reflect.TypeOf(attrs)).Elem()
	v.Set(reflect.ValueOf(attrs))
	for i := range v.NumField() {
		switch d := v.Field(i).Addr().Interface().(type) {
		case *ir.Dim:
			*d = e.dims(*d)
		case *[]ir.Dim:
			*d = e.typ(ir.Type{Shape: *d}).Shape
		}
	}
	if c, ok := v.Addr().Interface().(*ir.ConstantAttrs); ok && len(c.Values) > 1 {
		n := 1
		for _, d := range c.Shape {
			n *= d.N
		}
		c.Values = c.Values[:n]
	}
	return v.Interface()
}

// fresh is a name that no parameter has.
func fresh(f *ir.Func) string {
	for i := 0; ; i++ {
		if name := fmt.Sprintf("%s.in%d", f.Name, i); f.Param(name) == nil {
			return name
		}
	}
}

// dropParams removes parameters, inputs too, that nothing uses.
func dropParams(f *ir.Func) {
	f.RemoveUnusedParams()
	uses := f.Uses()
	var kept []*ir.Value
	for _, p := range f.Params {
		if p.Kind != ir.Input || len(uses.Of(p)) > 0 {
			kept = append(kept, p)
		}
	}
	f.Params = kept
}

// dropSymbols removes symbols that nothing names: those without which the module verifies.
func dropSymbols(m *ir.Module) {
	all := m.Symbols
	m.Symbols = nil
	for i := range all {
		kept := m.Symbols
		m.Symbols = append(append([]ir.Symbol{}, kept...), all[i+1:]...)
		if m.Verify() != nil {
			kept = append(kept, all[i])
		}
		m.Symbols = kept
	}
}
