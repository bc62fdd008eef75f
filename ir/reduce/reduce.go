// Package reduce minimizes a module that shows a defect: delta debugging over functions, results, operations, parameters
// and sizes.
package reduce

import (
	"slices"

	"pgc/ir"
)

// Module returns a small module for which fails is still true, as it is for m. fails sees verified modules only and
// must not change them. Equal calls give equal modules.
func Module(m *ir.Module, fails func(*ir.Module) bool) *ir.Module {
	r := &reducer{m: m.Clone(), fails: fails}
	for changed := true; changed; {
		changed = false
		for _, step := range []func() bool{r.functions, r.results, r.cutBelow, r.cutAbove, r.bypass, r.operands, r.kinds, r.sizes, r.symbols} {
			changed = step() || changed
		}
	}
	return r.m
}

type reducer struct {
	m     *ir.Module
	fails func(*ir.Module) bool
}

// accept takes a candidate, if it is well formed and still fails.
func (r *reducer) accept(e edit) bool {
	c := e.apply(r.m)
	if c == nil || c.Verify() != nil || !r.fails(c) {
		return false
	}
	r.m = c
	return true
}

// functions keeps a single function.
func (r *reducer) functions() bool {
	for i := range r.m.Funcs {
		if len(r.m.Funcs) > 1 && r.accept(edit{only: r.m.Funcs[i]}) {
			return true
		}
	}
	return false
}

// each runs try on every function and element index from 0 to n(f)-1 until it changes something, and again from there.
func (r *reducer) each(n func(f *ir.Func) int, try func(f *ir.Func, i int) bool) (changed bool) {
	for at := range r.m.Funcs {
		for i := 0; i < n(r.m.Funcs[at]); {
			if try(r.m.Funcs[at], i) {
				changed = true
			} else {
				i++
			}
		}
	}
	return changed
}

// results drops results one by one.
func (r *reducer) results() bool {
	return r.each(func(f *ir.Func) int { return len(f.Results) }, func(f *ir.Func, i int) bool {
		return len(f.Results) > 1 && r.accept(edit{results: map[*ir.Func][]ir.Result{f: slices.Delete(slices.Clone(f.Results), i, i+1)}})
	})
}

// cutBelow returns the result of an earlier operation and drops what comes behind it.
func (r *reducer) cutBelow() bool {
	for _, f := range r.m.Funcs {
		for _, op := range f.Ops[:max(0, len(f.Ops)-1)] {
			for _, v := range op.Results {
				if r.accept(edit{results: map[*ir.Func][]ir.Result{f: {{Name: f.Name + ".y", Value: v}}}}) {
					return true
				}
			}
		}
	}
	return false
}

// cutAbove makes the results of an operation inputs, the last ones first.
func (r *reducer) cutAbove() bool {
	return r.each(func(f *ir.Func) int { return len(f.Ops) }, func(f *ir.Func, i int) bool {
		return r.accept(edit{inputs: map[*ir.Op]bool{f.Ops[len(f.Ops)-1-i]: true}})
	})
}

// bypass takes an operand in place of an operation's result.
func (r *reducer) bypass() bool {
	return r.each(func(f *ir.Func) int { return len(f.Ops) }, func(f *ir.Func, i int) bool {
		uses := f.Uses()
		for _, out := range f.Ops[i].Results {
			for _, v := range f.Ops[i].In {
				if len(uses.Of(out)) > 0 && v.Type.Equal(out.Type) && r.accept(edit{instead: map[*ir.Value]*ir.Value{out: v}}) {
					return true
				}
			}
		}
		return false
	})
}

// operands lets one parameter stand for two.
func (r *reducer) operands() bool {
	return r.each(func(f *ir.Func) int { return len(f.Params) }, func(f *ir.Func, i int) bool {
		p := f.Params[i]
		for _, q := range f.Params[:i] {
			if p.Kind != ir.State && q.Kind == p.Kind && q.Type.Equal(p.Type) && r.accept(edit{instead: map[*ir.Value]*ir.Value{p: q}}) {
				return true
			}
		}
		return false
	})
}

// kinds makes weights inputs and stored floats f32.
func (r *reducer) kinds() bool {
	return r.each(func(f *ir.Func) int { return len(f.Params) }, func(f *ir.Func, i int) bool {
		p := f.Params[i]
		return p.Kind == ir.Weight && r.accept(edit{kinds: map[*ir.Value]bool{p: true}}) ||
			p.Type.DType.IsFloat() && p.Type.DType != ir.F32 && r.accept(edit{floats: map[*ir.Value]bool{p: true}})
	})
}

// sizes makes dimensions smaller, one number everywhere at a time.
func (r *reducer) sizes() (changed bool) {
	for _, n := range sizesOf(r.m) {
		for _, to := range []int{1, 2, 3, n / 2, n - 1} {
			if to > 0 && to < n && r.accept(edit{dims: func(d ir.Dim) ir.Dim {
				if d == ir.D(n) {
					return ir.D(to)
				}
				return d
			}}) {
				changed = true
				break
			}
		}
	}
	return changed
}

// symbols makes dimensions that are symbols numbers.
func (r *reducer) symbols() (changed bool) {
	for _, s := range r.m.Symbols {
		for _, to := range []int{1, 2, 3} {
			if r.accept(edit{dims: func(d ir.Dim) ir.Dim {
				if d == ir.Sym(s.Name) {
					return ir.D(to)
				}
				return d
			}}) {
				changed = true
				break
			}
		}
	}
	return changed
}

// sizesOf lists the numbers above 1 among the dimensions of a module, the greatest first.
func sizesOf(m *ir.Module) []int {
	seen := map[int]bool{}
	add := func(t ir.Type) {
		for _, d := range t.Shape {
			seen[d.N] = d.N > 1
		}
	}
	for _, f := range m.Funcs {
		for _, p := range f.Params {
			add(p.Type)
		}
		for _, op := range f.Ops {
			for _, v := range op.Results {
				add(v.Type)
			}
		}
	}
	var list []int
	for n, ok := range seen {
		if ok {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	slices.Reverse(list)
	return list
}
