package eval

import (
	"fmt"
	"maps"
	"slices"

	"pgc/ir"
)

// Func evaluates f. inputs holds inputs and states by parameter name and weights by checkpoint name; syms holds the
// values of all symbols that occur. The result holds outputs by name and the new contents of updated states by the name
// of the state.
func Func(f *ir.Func, inputs map[string]*Tensor, syms map[string]int) (map[string]*Tensor, error) {
	return Trace(f, inputs, syms, nil)
}

// Trace evaluates f like Func and calls visit, unless nil, for every value as it is computed, parameters first.
func Trace(f *ir.Func, inputs map[string]*Tensor, syms map[string]int, visit func(*ir.Value, *Tensor)) (map[string]*Tensor, error) {
	for _, s := range f.Module.Symbols {
		if n, ok := syms[s.Name]; ok && (n < 0 || n > s.Max) {
			return nil, fmt.Errorf("symbol %s is %d, expected 0 to %d", s.Name, n, s.Max)
		}
	}
	values := map[*ir.Value]*Tensor{}
	for _, p := range f.Params {
		t, err := argument(p, inputs, syms)
		if err != nil {
			return nil, fmt.Errorf("@%s: %w", f.Name, err)
		}
		values[p] = t
		if visit != nil {
			visit(p, t)
		}
	}
	last, returned := lastUses(f)
	for i, op := range f.Ops {
		in := make([]*Tensor, len(op.In))
		for j, v := range op.In {
			in[j] = values[v]
		}
		results, err := Op(f.Module, op, in, syms)
		if err != nil {
			return nil, &ir.Error{Loc: op.Loc, Func: f.Name, Op: f.Names(op.Results) + " " + op.Def.Name, Msg: err.Error()}
		}
		for j, v := range op.Results {
			values[v] = results[j]
			if visit != nil {
				visit(v, results[j])
			}
			if _, used := last[v]; !used && !returned[v] {
				delete(values, v)
			}
		}
		for _, v := range op.In {
			if at, ok := last[v]; ok && at == i {
				delete(values, v)
			}
		}
	}
	results := map[string]*Tensor{}
	for _, r := range f.Results {
		name := r.Name
		if r.State != nil {
			name = r.State.Name
		}
		results[name] = values[r.Value]
	}
	return results, nil
}

// argument finds the tensor of a parameter and checks its type.
func argument(p *ir.Value, inputs map[string]*Tensor, syms map[string]int) (*Tensor, error) {
	name := p.Name
	if p.Kind == ir.Weight {
		name = p.Key
	}
	t, ok := inputs[name]
	if !ok {
		return nil, fmt.Errorf("no tensor for the %s %q", p.Kind, name)
	}
	shape, err := p.Type.Eval(syms)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", p.Kind, name, err)
	}
	if t.DType != p.Type.DType || !slices.Equal(t.Shape, shape) || len(t.Data) != count(shape) {
		return nil, fmt.Errorf("%s %q is %s%v with %d values, expected %s%v", p.Kind, name, t.DType, t.Shape, len(t.Data), p.Type.DType, shape)
	}
	return t, nil
}

// lastUses returns the index of the last operation that uses each value, and which values are results of the function.
// Those are not among the last uses.
func lastUses(f *ir.Func) (last map[*ir.Value]int, returned map[*ir.Value]bool) {
	last, returned = map[*ir.Value]int{}, map[*ir.Value]bool{}
	for i, op := range f.Ops {
		for _, v := range op.In {
			last[v] = i
		}
	}
	for _, r := range f.Results {
		delete(last, r.Value)
		returned[r.Value] = true
	}
	return last, returned
}

// Op evaluates the results of one operation on the given operands. m declares the symbols.
func Op(m *ir.Module, op *ir.Op, in []*Tensor, syms map[string]int) ([]*Tensor, error) {
	if op.Def.Fused() {
		return expanded(m, op, in, syms)
	}
	shape, err := op.Results[0].Type.Eval(syms)
	if err != nil {
		return nil, err
	}
	if err := fits(op.Results[0].Type, shape); err != nil {
		return nil, err
	}
	c := &call{op: op, in: in, shape: shape, syms: syms}
	if compute := several[op.Def]; compute != nil {
		return compute(c)
	}
	compute := plain[op.Def]
	switch {
	case op.Def.Elementwise():
		compute = elementwise
	case op.Def.Reduces():
		compute = reduce
	}
	if compute == nil {
		return nil, fmt.Errorf("no evaluation for %s", op.Def.Name)
	}
	t, err := compute(c)
	return []*Tensor{t}, err
}

// expanded evaluates a fused operation through a function of plain ones.
func expanded(m *ir.Module, op *ir.Op, in []*Tensor, syms map[string]int) ([]*Tensor, error) {
	f := &ir.Func{Name: op.Def.Name, Module: m}
	inner := *op
	inner.In = make([]*ir.Value, len(in))
	inputs := map[string]*Tensor{}
	for i, v := range op.In {
		name := fmt.Sprintf("x%d", i)
		inner.In[i] = f.AddParam(ir.Input, name, "", v.Type)
		inputs[name] = in[i]
	}
	for i, v := range op.Def.Expand(ir.NewBuilder(f), &inner) {
		f.Return(ResultName(i, len(op.Results)), v)
	}
	out, err := Func(f, inputs, maps.Clone(syms))
	if err != nil {
		return nil, err
	}
	results := make([]*Tensor, len(op.Results))
	for i := range results {
		results[i] = out[ResultName(i, len(results))]
	}
	return results, nil
}

// ResultName names result i of an operation that has n as the output of a function: y if it is the only one, else y0,
// y1, …
func ResultName(i, n int) string {
	if n == 1 {
		return "y"
	}
	return fmt.Sprintf("y%d", i)
}
