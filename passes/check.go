package passes

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"pgc/ir"
)

// checkOrder runs a pass on copies of a function whose operations stand in other valid orders: what it makes of them must be valid,
// and as many operations of every kind as in the given order.
func checkOrder(p Pass, before, after *ir.Func) error {
	want := kinds(after)
	rng := rand.New(rand.NewPCG(uint64(len(before.Ops)), 7))
	for range 2 {
		m := &ir.Module{Symbols: before.Module.Symbols}
		f := before.Clone(m)
		shuffle(f, rng)
		p.Run(f, nil)
		if err := f.Verify(); err != nil {
			return fmt.Errorf("with its operations in another order: %w", err)
		}
		if got := kinds(f); !maps.Equal(got, want) {
			return fmt.Errorf("depends on the order of operations: it makes %v, in another order %v", want, got)
		}
	}
	return nil
}

// kinds counts the operations of every kind.
func kinds(f *ir.Func) map[string]int {
	n := map[string]int{}
	for _, op := range f.Ops {
		n[op.Def.Name]++
	}
	return n
}

// shuffle puts the operations in a random order in which definitions still precede uses.
func shuffle(f *ir.Func, rng *rand.Rand) {
	waits, users := map[*ir.Op]int{}, map[*ir.Op][]*ir.Op{}
	var ready []*ir.Op
	for _, op := range f.Ops {
		for _, v := range op.In {
			if v.Def != nil {
				waits[op]++
				users[v.Def] = append(users[v.Def], op)
			}
		}
		if waits[op] == 0 {
			ready = append(ready, op)
		}
	}
	f.Ops = f.Ops[:0:0]
	for len(ready) > 0 {
		i := rng.IntN(len(ready))
		op := ready[i]
		ready = slices.Delete(ready, i, i+1)
		f.Ops = append(f.Ops, op)
		for _, u := range users[op] {
			if waits[u]--; waits[u] == 0 {
				ready = append(ready, u)
			}
		}
	}
}

// CheckPlan verifies the places of a planned function, independently of how they were chosen: that every value has one, that
// views lie where their operands do, that no two buffers of the arena overlap while both are in use, that results have memory of their
// own, and that nothing reads a state where it is being overwritten.
func CheckPlan(f *ir.Func) error {
	c := &planChecker{f: f, uses: f.Uses(), held: map[*ir.Value]*held{}}
	for i, op := range f.Ops {
		c.op(i, op)
	}
	for _, p := range f.Params {
		if p.Buf == nil {
			c.report("%%%s has no place", p.Name)
		}
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

// held is the arena memory of a value and when it must hold it.
type held struct {
	op       *ir.Op
	lo, hi   int64
	from, to int
}

type planChecker struct {
	f    *ir.Func
	uses map[*ir.Value][]ir.Use
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
	b := op.Out.Buf
	if b == nil {
		c.report("%s has no place", op)
		return
	}
	if op.Def == ir.OpDynamicUpdateSlice {
		c.update(op)
	}
	if isView(op) && !isResult(op.Out, c.uses) {
		c.view(op)
		c.held[op.Out] = c.held[op.In[0]]
		return
	}
	if b.Space != ir.Arena {
		return
	}
	from := i
	if isView(op) { // one of several results: written by the operation it is a slice of
		from = slices.Index(c.f.Ops, op.In[0].Def)
	}
	h := &held{op, b.Offset, b.Offset + c.f.Module.Bytes(op.Out.Type), from, i}
	if b.Offset%alignment != 0 {
		c.report("%s begins at %d, which is no multiple of %d", op, b.Offset, alignment)
	}
	c.held[op.Out] = h
	c.list = append(c.list, h)
}

// view checks that a view is where its operand is.
func (c *planChecker) view(op *ir.Op) {
	in, out := op.In[0].Buf, op.Out.Buf
	if out.Space != in.Space || out.Param != in.Param || out.Sym != in.Sym {
		if out.Space == ir.States { // it is written there
			return
		}
		c.report("%s lies in %s, what it views in %s", op, out.Space, in.Space)
		return
	}
	if op.Def != ir.OpReshape {
		strides, offset, ok := view(c.f.Module, op, in.Strides)
		if !ok || !slices.Equal(strides, out.Strides) || in.Offset+offset*op.Out.Type.DType.MemoryBytes() != out.Offset {
			c.report("%s has the strides %v at %d, its operand %v at %d", op, out.Strides, out.Offset, in.Strides, in.Offset)
		}
	}
}

// update checks that the rows of an update are written straight into the state, which nothing else reads.
func (c *planChecker) update(op *ir.Op) {
	state, rows := op.In[0], op.In[1]
	if rows.Buf == nil || rows.Buf.Space != ir.States || rows.Buf.Param != state {
		c.report("the rows of %s are not written into its state", op)
	}
	if n := len(c.uses[state]); n != 1 {
		c.report("%%%s is updated in place and has %d users, expected one", state.Name, n)
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
