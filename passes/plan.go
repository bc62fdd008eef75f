package passes

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"pgc/ir"
)

// alignment of buffers in the arena: a cache line.
const alignment = 64

// Arena gives the size of a planned function's arena.
type Arena struct {
	Bytes      int64 // the size of the arena
	LowerBound int64 // the most bytes alive at once: no plan needs less
}

// Plan assigns a buffer to every value of a legalized function: in the arena, in an output or in a state for results of
// kernels, in the operand's memory for views. Values with disjoint lifetimes share memory. Sizes take symbols at their
// bounds, so that offsets are constants; a call does not touch memory beyond its actual sizes.
func Plan(f *ir.Func) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("planning the buffers of @%s: %v", f.Name, r)
		}
	}()
	p := &planner{f: f, m: f.Module, uses: f.Uses()}
	return p.plan()
}

// ArenaOf returns the size of a planned function's arena and its lower bound.
func ArenaOf(f *ir.Func) Arena {
	p := &planner{f: f, m: f.Module, uses: f.Uses()}
	p.lifetimes()
	var a Arena
	events := map[int]int64{}
	for _, l := range p.lives {
		a.Bytes = max(a.Bytes, l.v.Buf.Offset+l.bytes)
		events[l.from] += l.bytes
		events[l.to+1] -= l.bytes
	}
	at := int64(0)
	for i := 0; i <= len(f.Ops)+1; i++ {
		at += events[i]
		a.LowerBound = max(a.LowerBound, at)
	}
	return a
}

type planner struct {
	f     *ir.Func
	m     *ir.Module
	uses  ir.Uses
	lives []*life
}

// life is an arena buffer: bytes that are alive from one operation to another.
type life struct {
	v        *ir.Value
	bytes    int64
	from, to int
}

func (p *planner) bytes(t ir.Type) int64 {
	return (p.m.Bytes(t) + alignment - 1) / alignment * alignment
}

func (p *planner) plan() error {
	for _, v := range p.f.Params {
		space := map[ir.ParamKind]ir.Space{ir.Input: ir.Inputs, ir.Weight: ir.Weights, ir.State: ir.States}[v.Kind]
		v.Buf = &ir.Buffer{Space: space, Param: v, Strides: p.m.DenseStrides(v.Type.Shape)}
	}
	outputs := map[*ir.Value]int{}
	for i, r := range p.f.Results {
		if r.State == nil {
			outputs[r.Value] = i
		}
	}
	if err := p.states(); err != nil {
		return err
	}
	for _, op := range p.f.Ops {
		for _, v := range op.Results {
			if v.Buf != nil {
				continue // written directly into a state
			}
			var err error
			if v.Buf, err = p.buffer(op, v); err != nil {
				return err
			}
			if i, ok := outputs[v]; ok && v.Buf.Owner {
				v.Buf.Space, v.Buf.Owner, v.Buf.Result = ir.Outputs, false, i
			}
		}
	}
	p.lifetimes()
	return p.allocate()
}

// buffer returns the buffer of a result of op; offsets in the arena follow later.
func (p *planner) buffer(op *ir.Op, v *ir.Value) (*ir.Buffer, error) {
	switch {
	case isVirtual(op):
		return &ir.Buffer{Space: ir.Folded}, nil
	case isView(op):
		b, ok := viewBuffer(p.m, op, op.In[0].Buf)
		if !ok {
			return nil, fmt.Errorf("@%s: %s of %s has no strides: legalize was not run", p.f.Name, op.Def, op.In[0].Type)
		}
		return b, nil
	case ir.Overwritten(v) != nil:
		return ir.Overwritten(v).Buf, nil
	}
	return &ir.Buffer{Space: ir.Arena, Owner: true, Strides: p.m.DenseStrides(v.Type.Shape)}, nil
}

// states lets the kernels that compute new rows of a state write them there directly.
func (p *planner) states() error {
	for _, op := range p.f.Ops {
		for _, v := range op.Results {
			state := ir.Overwritten(v)
			if state == nil {
				continue
			}
			if state.Kind != ir.State || !p.readBefore(state, v) {
				return fmt.Errorf("@%s: %s must be of a state parameter that nothing reads from then on", p.f.Name, op.Def)
			}
			if op.Def == ir.OpDynamicUpdateSlice {
				if err := p.inPlace(state, op); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// inPlace gives what a dynamic_update_slice puts into a state its place there.
func (p *planner) inPlace(state *ir.Value, op *ir.Op) error {
	b := &ir.Buffer{Space: ir.States, Param: state}
	strides := p.m.DenseStrides(state.Type.Shape)
	for i, start := range op.In[2:] {
		offset, terms, ok := at(start, strides[i]*state.Type.DType.MemoryBytes())
		if !ok {
			return fmt.Errorf("@%s: dynamic_update_slice must start at symbols or constants", p.f.Name)
		}
		b.Offset, b.Terms = b.Offset+offset, append(b.Terms, terms...)
	}
	v := op.In[1]
	b.Strides = strides
	for is(v, ir.OpReshape) {
		s, ok := reshaped(p.m, v.Type.Shape, b.Strides, v.Def.In[0].Type.Shape)
		if !ok {
			return fmt.Errorf("@%s: an update of %s has no strides as %s", p.f.Name, v.Type, v.Def.In[0].Type)
		}
		v, b.Strides = v.Def.In[0], s
	}
	v.Buf = b
	return nil
}

// readBefore reports whether all reads of a state's old contents, directly and through views, precede the kernel that writes
// the rows of its only update, of which updated is the result.
func (p *planner) readBefore(state, updated *ir.Value) bool {
	at, update := positions(p.f), updated.Def
	writer, overwritten := update, ir.OverwrittenOperand(updated)
	if update.Def == ir.OpDynamicUpdateSlice {
		writer = root(update.In[1]).Def
	}
	var before func(v *ir.Value) bool
	before = func(v *ir.Value) bool {
		for _, u := range p.uses.Of(v) {
			switch {
			case u.Op == update && v == state && u.Index == overwritten:
			case u.Op == nil, overwrites(u.Op, v), isView(u.Op) && !before(u.Op.Result()), !isView(u.Op) && at[u.Op] >= at[writer]:
				return false
			}
		}
		return true
	}
	return before(state)
}

// root follows views to the value whose memory they read.
func root(v *ir.Value) *ir.Value {
	for v.Def != nil && isView(v.Def) {
		v = v.Def.In[0]
	}
	return v
}

// lifetimes computes when each arena buffer is alive, counting uses through views.
func (p *planner) lifetimes() {
	at := positions(p.f)
	lives := map[*ir.Value]*life{}
	for _, op := range p.f.Ops {
		for _, v := range op.Results {
			if v.Buf == nil || !v.Buf.Owner {
				continue
			}
			lives[v] = &life{v: v, bytes: p.bytes(v.Type), from: at[op], to: at[op]}
			p.lives = append(p.lives, lives[v])
		}
	}
	for _, op := range p.f.Ops {
		for _, v := range op.In {
			if l := lives[root(v)]; l != nil {
				l.to = max(l.to, at[op])
			}
		}
	}
}

// allocate assigns offsets greedily, each the lowest that is free, in several orders, and keeps the best. Largest first
// is from Pisarchyk and Lee 2020, "Efficient memory management for deep neural net inference"; on some graphs
// longest-lived first or first-needed first needs less.
func (p *planner) allocate() error {
	orders := []func(x, y *life) int{
		func(x, y *life) int { return cmp.Compare(y.bytes, x.bytes) },
		func(x, y *life) int { return cmp.Compare(y.bytes*int64(y.to-y.from+1), x.bytes*int64(x.to-x.from+1)) },
		func(x, y *life) int {
			return cmp.Or(cmp.Compare(y.to-y.from, x.to-x.from), cmp.Compare(y.bytes, x.bytes))
		},
		func(x, y *life) int { return cmp.Compare(x.from, y.from) },
	}
	var best []int64
	minBytes := int64(math.MaxInt64)
	for _, order := range orders {
		if total := p.place(order); total < minBytes {
			minBytes, best = total, best[:0]
			for _, l := range p.lives {
				best = append(best, l.v.Buf.Offset)
			}
		}
	}
	if minBytes > ir.MemoryLimit {
		return fmt.Errorf("@%s needs an arena of over %d bytes, expected at most that", p.f.Name, int64(ir.MemoryLimit))
	}
	for i, l := range p.lives {
		l.v.Buf.Offset = best[i]
	}
	// Offsets of views follow from those of their operands.
	for _, op := range p.f.Ops {
		if isView(op) && op.Result().Buf.Space == ir.Arena {
			_, off, _ := view(p.m, op, op.In[0].Buf.Strides)
			op.Result().Buf.Offset = op.In[0].Buf.Offset + off*op.Result().Type.DType.MemoryBytes()
		}
	}
	return nil
}

// place assigns offsets in one order and returns the size of the arena. It stops with one that is over ir.MemoryLimit.
func (p *planner) place(order func(x, y *life) int) int64 {
	lives := slices.Clone(p.lives)
	slices.SortStableFunc(lives, order)
	var placed []*life // by offset
	total := int64(0)
	for _, l := range lives {
		at := int64(0)
		for _, q := range placed {
			if q.to < l.from || l.to < q.from {
				continue
			}
			if q.v.Buf.Offset-at >= l.bytes {
				break
			}
			at = max(at, q.v.Buf.Offset+q.bytes)
		}
		l.v.Buf.Offset = at
		if total = max(total, at+l.bytes); total > ir.MemoryLimit {
			return total
		}
		i, _ := slices.BinarySearchFunc(placed, at, func(q *life, at int64) int { return cmp.Compare(q.v.Buf.Offset, at) })
		placed = slices.Insert(placed, i, l)
	}
	return total
}
