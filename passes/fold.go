package passes

import "pgc/ir"

// foldConstants evaluates operations whose operands are all constants.
func foldConstants(f *ir.Func, budget *Budget) int {
	return rewrite(f, budget, func(b *ir.Builder, op *ir.Op, _ ir.Uses) *ir.Value {
		if c, ok := op.Fold(); ok {
			return b.Op(ir.OpConstant, c)
		}
		return nil
	})
}

// rewrite applies a rule to every operation, in order, until nothing changes. The rule returns a value that is equal to
// the operation's result, or nil.
func rewrite(f *ir.Func, budget *Budget, rule func(b *ir.Builder, op *ir.Op, uses ir.Uses) *ir.Value) int {
	n := 0
	for changed := true; changed; {
		changed = false
		with := map[*ir.Value]*ir.Value{}
		uses := f.Uses()
		for _, op := range append([]*ir.Op(nil), f.Ops...) {
			for i, v := range op.In {
				for with[v] != nil {
					v = with[v]
				}
				op.In[i] = v
			}
			if v := rule(ir.Before(f, op), op, uses); v != nil && budget.Take(op) {
				with[op.Result()] = v
				n++
				changed = true
			}
		}
		f.Replace(with)
		f.RemoveDead()
	}
	return n
}
