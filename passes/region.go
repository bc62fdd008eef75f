package passes

import (
	"slices"

	"pgc/ir"
)

// region is a set of operations with one sink that can be fused: every use of a member's result, except the sink's,
// lies inside.
type region struct {
	sink       *ir.Op
	in         map[*ir.Op]bool
	ops        []*ir.Op // members in order, the sink last
	reductions int      // members that reduce
}

// maxReductions bounds the reductions of a region. Each computes anew what lies before it, so the work of a long chain
// would grow with the square of its length.
const maxReductions = 8

// grow returns the largest region that ends in sink, of elementwise operations, conversions and the operations that
// also admits. order gives the position of every operation. It looks at producers of members only, later ones first,
// since every use of a member is behind it: the time is that of the region, not of the function. It takes at most
// maxReductions operations that reduce.
func grow(sink *ir.Op, order map[*ir.Op]int, uses ir.Uses, also func(op *ir.Op) bool) *region {
	r := &region{sink: sink, in: map[*ir.Op]bool{sink: true}, ops: []*ir.Op{sink}}
	seen := map[*ir.Op]bool{sink: true}
	var next []*ir.Op // in order
	reach := func(member *ir.Op) {
		for _, v := range member.In {
			if op := v.Def; op != nil && !seen[op] {
				seen[op] = true
				i, _ := slices.BinarySearchFunc(next, order[op], func(o *ir.Op, at int) int { return order[o] - at })
				next = slices.Insert(next, i, op)
			}
		}
	}
	for reach(sink); len(next) > 0; {
		op := next[len(next)-1]
		next = next[:len(next)-1]
		if !(isElementwise(op) || also(op)) || op.Def.Reduces() && r.reductions == maxReductions {
			continue
		}
		if table := readsTable(op); table != nil && !also(table) {
			continue
		}
		inside := len(uses.Of(op.Result())) > 0
		for _, u := range uses.Of(op.Result()) {
			inside = inside && u.Op != nil && r.in[u.Op]
			// Elementwise members and views read element by element. Operands of lookups and products must exist in
			// memory.
			inside = inside && (u.Op == nil || isElementwise(u.Op) || u.Op.Def.Reduces() || u.Op.Def == ir.OpConcat || isView(u.Op) || quantizes(u.Op) ||
				rounds(u.Op) || u.Op.Def == ir.OpScatter && u.Index == 1)
		}
		if inside {
			r.in[op] = true
			r.ops = append(r.ops, op)
			if op.Def.Reduces() {
				r.reductions++
			}
			reach(op)
		}
	}
	slices.Reverse(r.ops)
	return r
}

// isElementwise reports whether op computes element by element and so can be part of any expression. Conversions from
// quantized formats are not: only products and lookups read those.
func isElementwise(op *ir.Op) bool {
	if op.Def == ir.OpConvert {
		return op.Result().Type.DType.IsArithmetic() && (!op.In[0].Type.DType.IsQuantized() || is(op.In[0], ir.OpGather))
	}
	return op.Def.Elementwise()
}

// readsTable returns the lookup whose rows op converts from a storage format, or nil. Such rows are never stored, so
// both operations belong to one region.
func readsTable(op *ir.Op) *ir.Op {
	if op.Def == ir.OpConvert && is(op.In[0], ir.OpGather) && !op.In[0].Type.DType.IsArithmetic() {
		return op.In[0].Def
	}
	return nil
}

// body turns the members of a region into expressions. The caller handles special members, scalar constants become
// numbers, and values from outside become operands in order of first use.
type body struct {
	r        *region
	special  func(op *ir.Op) *ir.Expr // nil for ordinary members
	operands []*ir.Value
	index    map[*ir.Value]int
	done     map[*ir.Value]*ir.Expr
}

func newBody(r *region, special func(op *ir.Op) *ir.Expr) *body {
	return &body{r: r, special: special, index: map[*ir.Value]int{}, done: map[*ir.Value]*ir.Expr{}}
}

func (b *body) expr(v *ir.Value) *ir.Expr {
	if e, ok := b.done[v]; ok {
		return e
	}
	e := b.make(v)
	b.done[v] = e
	return e
}

func (b *body) make(v *ir.Value) *ir.Expr {
	if n, ok := number(v); ok && v.Type.Rank() == 0 {
		return ir.ConstExpr(v.Type.DType, n)
	}
	op := v.Def
	if op == nil || !b.r.in[op] {
		return b.operand(v)
	}
	if b.special != nil {
		if e := b.special(op); e != nil {
			return e
		}
	}
	if op.Def == ir.OpConvert {
		if op.Result().Type.DType == ir.FromScalar(op.In[0].Type.DType.Scalar()) {
			return b.expr(op.In[0]) // reading a storage format converts it
		}
		return ir.Cast(op.Result().Type.DType, b.expr(op.In[0]))
	}
	args := make([]*ir.Expr, len(op.In))
	for i, x := range op.In {
		args[i] = b.expr(x)
	}
	return ir.Call(op.Def, args...)
}

func (b *body) operand(v *ir.Value) *ir.Expr {
	v = unconverted(v)
	i, ok := b.index[v]
	if !ok {
		i = len(b.operands)
		b.index[v] = i
		b.operands = append(b.operands, v)
	}
	return ir.Operand(i)
}

// keep removes the members that no expression covers. They become sinks of their own later, with everything that only
// they need.
func (b *body) keep() {
	in := map[*ir.Op]bool{b.r.sink: true}
	for v := range b.done {
		if _, operand := b.index[unconverted(v)]; !operand && v.Def != nil && b.r.in[v.Def] {
			in[v.Def] = true
		}
	}
	b.r.in = in
}

// positions numbers the operations of f.
func positions(f *ir.Func) map[*ir.Op]int {
	order := make(map[*ir.Op]int, len(f.Ops))
	for i, op := range f.Ops {
		order[op] = i
	}
	return order
}

// fusion says what a pass over regions fuses. Its functions look at no more of a sink than its operation and shape.
type fusion struct {
	sink func(op *ir.Op) bool       // may end a region
	also func(sink, op *ir.Op) bool // admits operations to a region besides those that compute element by element
	// core tells the operations of which a region must have one to be fused; nil for none.
	core func(sink, op *ir.Op) bool
	// build adds the operation that replaces a region, and returns its result, or nil.
	build func(r *region) *ir.Value
}

// fuseRegions tries every operation as a sink, last first, so that regions are as large as possible. Members of fused
// regions are not tried again.
func fuseRegions(f *ir.Func, budget *Budget, fusion fusion) int {
	order, uses := positions(f), f.Uses()
	taken := map[*ir.Op]bool{}
	// A member's own region lies within the region of its sink. Without a core there, it has none either where the
	// shape is the same.
	barren := map[*ir.Op]bool{}
	with := map[*ir.Value]*ir.Value{}
	for _, sink := range slices.Backward(slices.Clone(f.Ops)) {
		if taken[sink] || barren[sink] || !fusion.sink(sink) || len(uses.Of(sink.Result())) == 0 {
			continue
		}
		r := grow(sink, order, uses, func(op *ir.Op) bool { return !taken[op] && fusion.also(sink, op) })
		if fusion.core != nil && !slices.ContainsFunc(r.ops, func(op *ir.Op) bool { return fusion.core(sink, op) }) {
			for _, op := range r.ops {
				if slices.Equal(op.Result().Type.Shape, sink.Result().Type.Shape) {
					barren[op] = true
				}
			}
			continue
		}
		if v := fusion.build(r); v != nil && budget.Take(sink) {
			with[sink.Result()] = v
			for op := range r.in {
				taken[op] = true
			}
		}
	}
	f.Replace(with)
	f.Sort()
	f.RemoveDead()
	return len(with)
}
