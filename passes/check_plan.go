package passes

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"pgc/ir"
)

// CheckPlan verifies the buffers of a planned function, independently of the planner: every value lies inside its
// memory, views read the right elements of their operands, no two buffers of the arena overlap while both are alive,
// results have their own memory, and nothing reads a state where it is being overwritten.
func CheckPlan(f *ir.Func) error {
	c := &planChecker{f: f, uses: f.Uses(), held: map[*ir.Value]*held{}}
	for i, op := range f.Ops {
		c.op(i, op)
	}
	for _, p := range f.Params {
		if p.Buf == nil {
			c.report("%%%s has no place", p.Name)
			continue
		}
		c.within("%"+p.Name, p)
	}
	c.results()
	for i, a := range c.list {
		for _, b := range c.list[:i] {
			if a.from <= b.to && b.from <= a.to && a.lo < b.hi && b.lo < a.hi {
				c.report("%s and %s overlap in the arena while both are in use", a.op, b.op)
			}
		}
	}
	return errors.Join(c.errs...)
}

// held is the arena memory of a value and the operations between which it is alive.
type held struct {
	op       *ir.Op
	lo, hi   int64
	room     int64 // for elements, in bytes as element offsets count them
	from, to int
}

type planChecker struct {
	f    *ir.Func
	uses ir.Uses
	held map[*ir.Value]*held
	list []*held
	errs []error
}

func (c *planChecker) report(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("@%s: "+format, append([]any{c.f.Name}, args...)...))
}

func (c *planChecker) op(i int, op *ir.Op) {
	for _, v := range op.In {
		if h := c.held[v]; h != nil {
			h.to = i
		}
	}
	if slices.ContainsFunc(op.Results, func(v *ir.Value) bool { return v.Buf == nil }) {
		c.report("%s has no place", op)
		return
	}
	for _, v := range op.Results {
		switch state := ir.Overwritten(v); {
		case state != nil:
			c.update(op, state, v)
		case isView(op):
			c.view(op)
			c.held[v] = c.held[op.In[0]]
		default:
			c.hold(i, op, v)
		}
		c.within(op, v)
	}
}

// hold records the arena buffer that an operation writes a result to.
func (c *planChecker) hold(i int, op *ir.Op, v *ir.Value) {
	b := v.Buf
	if b.Space != ir.Arena {
		return
	}
	if b.Offset%alignment != 0 {
		c.report("%s begins at %d, which is no multiple of %d", op, b.Offset, alignment)
	}
	h := &held{op: op, lo: b.Offset, hi: b.Offset + c.f.Module.Bytes(v.Type), room: c.capacity(v.Type), from: i, to: i}
	c.held[v] = h
	c.list = append(c.list, h)
}

// view checks that a view lies in its operand's memory and reads the right elements. A view of a value that a kernel
// writes directly into a state lies there as well.
func (c *planChecker) view(op *ir.Op) {
	in, out := op.In[0].Buf, op.Result().Buf
	if out.Space != in.Space || out.Param != in.Param || !slices.Equal(out.Terms, c.terms(op)) {
		if out.Space != ir.States {
			c.report("%s lies in %s, what it views in %s", op, out.Space, in.Space)
		}
		return
	}
	from, to := c.bounds(op.In[0].Type), c.bounds(op.Result().Type)
	if len(out.Strides) != len(to) {
		c.report("%s has the strides %v, expected one for each dimension", op, out.Strides)
		return
	}
	size := op.Result().Type.DType.MemoryBytes()
	source := make([]int, len(from))
	for at := range samples(to) {
		viewed(source, op, at, from, to)
		if reads, lies := address(out, at, size), address(in, source, size); reads != lies {
			c.report("%s reads its element %v at %d with the strides %v, expected %d, the place of element %v of its operand",
				op, at, reads, out.Strides, lies, source)
			return
		}
	}
}

// terms returns the symbolic terms that the address of a view must have: those of the operand, and for a dynamic_slice
// its start.
func (c *planChecker) terms(op *ir.Op) []ir.Term {
	in := op.In[0].Buf
	if op.Def == ir.OpDynamicSlice {
		if d, _ := scalarDim(op.In[1]); !d.IsConst() {
			stride := in.Strides[op.Attrs.(ir.DynamicSliceAttrs).Axis] * op.Result().Type.DType.MemoryBytes()
			return append(slices.Clone(in.Terms), ir.Term{Sym: d.Sym, Stride: stride})
		}
	}
	return in.Terms
}

// bounds returns the shape of t with every symbol at its bound.
func (c *planChecker) bounds(t ir.Type) []int {
	shape := make([]int, t.Rank())
	for i, d := range t.Shape {
		shape[i] = c.f.Module.MaxDim(d)
	}
	return shape
}

// samples yields indices of a shape: all of them if they are few, else the last and some more. An index is overwritten by
// the next.
func samples(shape []int) iter.Seq[[]int] {
	const most, step = 2048, 7919 // a prime step has no common pattern with the dimensions
	total := 1
	for _, n := range shape {
		total *= n
	}
	return func(yield func([]int) bool) {
		index := make([]int, len(shape))
		for i := range min(total, most) {
			at := i
			if total > most {
				at = (total - 1 + i*step) % total
			}
			unflatten(index, at, shape)
			if !yield(index) {
				return
			}
		}
	}
}

// unflatten sets index to that of element number at in row-major order.
func unflatten(index []int, at int, shape []int) {
	for i := len(shape) - 1; i >= 0; i-- {
		index[i], at = at%shape[i], at/shape[i]
	}
}

// viewed sets index to that in the operand of element at of a view, by the definition of the view's operation.
func viewed(index []int, op *ir.Op, at, from, to []int) {
	switch op.Def {
	case ir.OpTranspose:
		for i, p := range op.Attrs.(ir.TransposeAttrs).Perm {
			index[p] = at[i]
		}
	case ir.OpSlice:
		a := op.Attrs.(ir.SliceAttrs)
		copy(index, at)
		index[a.Axis] += a.Start.N
	case ir.OpDynamicSlice: // from the start on, where that is a constant
		d, _ := scalarDim(op.In[1])
		copy(index, at)
		index[op.Attrs.(ir.DynamicSliceAttrs).Axis] += d.N
	case ir.OpBroadcast:
		for i := range from {
			index[i] = 0
			if j := len(to) - len(from) + i; from[i] == to[j] {
				index[i] = at[j]
			}
		}
	case ir.OpReshape:
		n := 0
		for i, k := range at {
			n = n*to[i] + k
		}
		unflatten(index, n, from)
	}
}

// address returns the offset of an element in its memory, in bytes.
func address(b *ir.Buffer, index []int, size int64) int64 {
	at := b.Offset
	for i, k := range index {
		at += int64(k) * b.Strides[i] * size
	}
	return at
}

// within checks that every element of a value lies inside its memory. It leaves out symbolic terms, whose range callers
// check.
func (c *planChecker) within(name any, v *ir.Value) {
	b := v.Buf
	lo, hi := int64(0), int64(0)
	switch b.Space {
	case ir.Folded:
		return
	case ir.Arena:
		h := c.held[v]
		if h == nil {
			c.report("%s lies in no buffer of the arena", name)
			return
		}
		lo, hi = h.lo, h.lo+h.room
	case ir.Outputs:
		hi = c.capacity(c.f.Results[b.Result].Value.Type)
	default:
		hi = c.capacity(b.Param.Type)
	}
	if len(b.Strides) != v.Type.Rank() {
		c.report("%s has the strides %v, expected one for each dimension", name, b.Strides)
		return
	}
	last := c.bounds(v.Type)
	for i := range last {
		if last[i]--; last[i] < 0 {
			return // no elements
		}
	}
	size := v.Type.DType.MemoryBytes()
	if end := address(b, last, size) + size; b.Offset < lo || end > hi {
		c.report("%s lies from %d to %d with the strides %v, outside of its memory, %d to %d", name, b.Offset, end, b.Strides, lo, hi)
	}
}

// capacity returns the room for elements in memory of type t, in bytes as element offsets count them.
func (c *planChecker) capacity(t ir.Type) int64 {
	return c.f.Module.Elements(t.Shape) * t.DType.MemoryBytes()
}

// update checks that op writes its update, of which written is the result, straight into the state, which nothing reads
// from then on but what takes the result.
func (c *planChecker) update(op *ir.Op, state, written *ir.Value) {
	result := written
	if op.Def == ir.OpDynamicUpdateSlice {
		written = op.In[1]
	}
	if b := written.Buf; b == nil || b.Space != ir.States || b.Param != state {
		c.report("the rows of %s are not written into its state", op)
	}
	writer := op
	if op.Def == ir.OpDynamicUpdateSlice {
		for writer = op.In[1].Def; writer != nil && isView(writer); {
			writer = writer.In[0].Def
		}
	}
	old, over := map[*ir.Value]bool{state: true}, false
	for _, o := range c.f.Ops {
		reads := false
		for i, v := range o.In {
			reads = reads || old[v] && (o != op || v != state || i != ir.OverwrittenOperand(result))
		}
		over = over || o == writer
		switch {
		case reads && isView(o):
			old[o.Result()] = true
		case reads && (over || overwrites(o, state)):
			c.report("%s reads %%%s, which is overwritten in place by then", o, state.Name)
		}
	}
	for _, r := range c.f.Results {
		if old[r.Value] {
			c.report("result %s is %%%s, which is overwritten in place", r.Name, state.Name)
		}
	}
}

func (c *planChecker) results() {
	seen := map[*ir.Value]bool{}
	for i, r := range c.f.Results {
		b := r.Value.Buf
		switch {
		case b == nil:
			c.report("result %d has no place", i)
		case r.State != nil && (b.Space != ir.States || b.Param != r.State):
			c.report("the update of %%%s does not lie there", r.State.Name)
		case r.State == nil && (b.Space != ir.Outputs || b.Result != i || seen[r.Value]):
			c.report("result %s has no memory of its own", r.Name)
		}
		seen[r.Value] = true
	}
}
