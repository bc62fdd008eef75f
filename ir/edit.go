package ir

import "slices"

// AddParam appends a parameter; key is the checkpoint name of a weight and empty otherwise.
func (f *Func) AddParam(kind ParamKind, name, key string, t Type) *Value {
	v := &Value{ID: f.nextID, Name: name, Type: t, Kind: kind, Key: key}
	f.nextID++
	f.Params = append(f.Params, v)
	return v
}

// Insert places op before another operation of f, or at the end when before is nil.
func (f *Func) Insert(before, op *Op) {
	for _, v := range op.Results {
		v.ID = f.nextID
		f.nextID++
	}
	at := len(f.Ops)
	if before != nil {
		at = slices.Index(f.Ops, before)
	}
	f.Ops = slices.Insert(f.Ops, at, op)
}

// Return adds a named output.
func (f *Func) Return(name string, v *Value) {
	f.Results = append(f.Results, Result{Name: name, Value: v})
}

// Update makes v the new contents of a state after the call.
func (f *Func) Update(state, v *Value) {
	f.Results = append(f.Results, Result{State: state, Value: v})
}

// Param returns the parameter of that name, or nil.
func (f *Func) Param(name string) *Value {
	for _, p := range f.Params {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Use is one place where a value is used: operand Index of Op, or result Index of the function when Op is nil.
type Use struct {
	Op    *Op
	Index int
}

// Uses are the uses of every value of a function when they were asked for.
type Uses struct {
	first []int32 // by a value's ID: where its uses begin
	list  []Use
}

// Of returns the uses of a value of the function, in order.
func (u Uses) Of(v *Value) []Use {
	if v.ID+1 >= len(u.first) { // made later
		return nil
	}
	return u.list[u.first[v.ID]:u.first[v.ID+1]]
}

// Uses returns the uses of every value of f.
func (f *Func) Uses() Uses {
	u := Uses{first: make([]int32, f.nextID+1)}
	// Count, add up to where each value's uses end, and fill from the last use to the first.
	for _, op := range f.Ops {
		for _, v := range op.In {
			u.first[v.ID]++
		}
	}
	for _, r := range f.Results {
		u.first[r.Value.ID]++
	}
	n := int32(0)
	for id := range u.first {
		n += u.first[id]
		u.first[id] = n
	}
	u.list = make([]Use, n)
	put := func(v *Value, use Use) {
		u.first[v.ID]--
		u.list[u.first[v.ID]] = use
	}
	for i, r := range slices.Backward(f.Results) {
		put(r.Value, Use{nil, i})
	}
	for _, op := range slices.Backward(f.Ops) {
		for i, v := range slices.Backward(op.In) {
			put(v, Use{op, i})
		}
	}
	return u
}

// ReplaceAllUses replaces every use of old by new. It walks the whole function, so a pass that replaces many values
// collects them and calls Replace once.
func (f *Func) ReplaceAllUses(old, new *Value) { f.Replace(map[*Value]*Value{old: new}) }

// ReplaceResults replaces every use of result i of op by by[i].
func (f *Func) ReplaceResults(op *Op, by []*Value) {
	with := map[*Value]*Value{}
	for i, v := range op.Results {
		with[v] = by[i]
	}
	f.Replace(with)
}

// Replace replaces every use of a key by its value, following chains of replacements.
func (f *Func) Replace(with map[*Value]*Value) {
	resolve := func(v *Value) *Value {
		for {
			w, ok := with[v]
			if !ok || w == v {
				return v
			}
			v = w
		}
	}
	for _, op := range f.Ops {
		for i, v := range op.In {
			op.In[i] = resolve(v)
		}
	}
	for old, v := range with {
		if v = resolve(v); v.Origin == 0 && !v.IsParam() && v.ID > old.ID {
			v.Origin = old.Lineage()
		}
	}
	for i := range f.Results {
		f.Results[i].Value = resolve(f.Results[i].Value)
	}
}

// RemoveDead removes operations none of whose results is needed and returns their number. Parameters stay.
func (f *Func) RemoveDead() int {
	live := make([]bool, f.nextID)
	for _, r := range f.Results {
		live[r.Value.ID] = true
	}
	needed := func(op *Op) bool { return slices.ContainsFunc(op.Results, func(v *Value) bool { return live[v.ID] }) }
	for i := len(f.Ops) - 1; i >= 0; i-- {
		if op := f.Ops[i]; needed(op) {
			for _, v := range op.In {
				live[v.ID] = true
			}
		}
	}
	n := len(f.Ops)
	f.Ops = slices.DeleteFunc(f.Ops, func(op *Op) bool { return !needed(op) })
	return n - len(f.Ops)
}

// RemoveUnusedParams removes unused weights and states and returns their number. Inputs are the function's interface
// and stay.
func (f *Func) RemoveUnusedParams() int {
	uses := f.Uses()
	n := len(f.Params)
	f.Params = slices.DeleteFunc(f.Params, func(p *Value) bool {
		updated := slices.ContainsFunc(f.Results, func(r Result) bool { return r.State == p })
		return p.Kind != Input && len(uses.Of(p)) == 0 && !updated
	})
	return n - len(f.Params)
}

// Sort orders the operations so that definitions precede uses, moving as few as possible: an operation moves up only if
// a user precedes it. A pass may append operations and sort once.
func (f *Func) Sort() {
	done := make(map[*Op]bool, len(f.Ops))
	sorted := make([]*Op, 0, len(f.Ops))
	var place func(*Op)
	place = func(op *Op) {
		if done[op] {
			return
		}
		done[op] = true
		for _, v := range op.In {
			if v.Def != nil {
				place(v.Def)
			}
		}
		sorted = append(sorted, op)
	}
	for _, op := range f.Ops {
		place(op)
	}
	f.Ops = sorted
}

// Clone returns a copy of m that shares nothing mutable with it.
func (m *Module) Clone() *Module {
	c := &Module{Symbols: slices.Clone(m.Symbols)}
	for _, f := range m.Funcs {
		f.Clone(c)
	}
	return c
}

// Clone appends a copy of f to the module and returns it. Attributes and expressions are immutable and shared.
func (f *Func) Clone(m *Module) *Func {
	c := m.NewFunc(f.Name)
	c.nextID = f.nextID
	to := make([]*Value, f.nextID) // by their ID
	copyValue := func(v *Value) *Value {
		w := *v
		to[v.ID] = &w
		return &w
	}
	for _, p := range f.Params {
		c.Params = append(c.Params, copyValue(p))
	}
	for _, op := range f.Ops {
		o := *op
		o.In = make([]*Value, len(op.In))
		for i, v := range op.In {
			o.In[i] = to[v.ID]
		}
		o.Results = make([]*Value, len(op.Results))
		for i, v := range op.Results {
			o.Results[i] = copyValue(v)
			o.Results[i].Def = &o
		}
		c.Ops = append(c.Ops, &o)
	}
	for _, r := range f.Results {
		result := Result{Name: r.Name, Value: to[r.Value.ID]}
		if r.State != nil {
			result.State = to[r.State.ID]
		}
		c.Results = append(c.Results, result)
	}
	for _, v := range to {
		if v != nil && v.Buf != nil {
			buf := *v.Buf
			if buf.Param != nil {
				buf.Param = to[buf.Param.ID]
			}
			v.Buf = &buf
		}
	}
	return c
}
