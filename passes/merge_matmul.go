package passes

import (
	"slices"

	"pgc/ir"
)

// mergeMatmul merges the matmuls of one x into a matmul with several parts. Queries, keys and values become one kernel,
// which keeps all threads busy where each alone is small.
func mergeMatmul(f *ir.Func, budget *Budget) int {
	order := positions(f)
	groups := map[*ir.Value][][]*ir.Op{} // none in a group follows another
	var xs []*ir.Value
	for _, op := range f.Ops {
		if op.Def != ir.OpMatmul || len(op.Attrs.(ir.MatmulAttrs).Prologue) > 0 || slices.ContainsFunc(op.Results, isNotF32) {
			continue
		}
		x := op.In[0]
		if len(groups[x]) == 0 {
			xs = append(xs, x)
		}
		i := slices.IndexFunc(groups[x], func(of []*ir.Op) bool { return !follows(op, of[0], order) })
		if i < 0 {
			i, groups[x] = len(groups[x]), append(groups[x], nil)
		}
		groups[x][i] = append(groups[x][i], op)
	}
	with := map[*ir.Value]*ir.Value{}
	for _, x := range xs {
		for _, ops := range groups[x] {
			if len(ops) > 1 && budget.Take(ops[0]) {
				merge(f, ops, with)
			}
		}
	}
	f.Replace(with)
	f.Sort()
	f.RemoveDead()
	return len(with)
}

// follows reports whether op depends on first, or on a later matmul of the same x. Then the two cannot be merged.
func follows(op, first *ir.Op, order map[*ir.Op]int) bool {
	seen := map[*ir.Op]bool{op: true}
	var reads func(op *ir.Op) bool
	reads = func(op *ir.Op) bool {
		for _, v := range op.In {
			d := v.Def
			if d == nil || seen[d] || order[d] < order[first] {
				continue
			}
			seen[d] = true
			if d.Def == ir.OpMatmul && d.In[0] == first.In[0] || reads(d) {
				return true
			}
		}
		return false
	}
	return reads(op)
}

func merge(f *ir.Func, ops []*ir.Op, with map[*ir.Value]*ir.Value) {
	var attrs ir.MatmulAttrs
	var weights, extra, seconds []*ir.Value
	for _, op := range ops {
		a, accs := ir.ViewMatmul(op), attrs.Accs
		for _, e := range a.Epilogue {
			attrs.Epilogue = append(attrs.Epilogue, e.Rewrite(func(leaf *ir.Expr) *ir.Expr {
				switch leaf.Kind {
				case ir.ExprAcc:
					return ir.Acc(accs + leaf.Index)
				case ir.ExprOperand:
					i := slices.Index(extra, a.Extra[leaf.Index])
					if i < 0 {
						i = len(extra)
						extra = append(extra, a.Extra[leaf.Index])
					}
					return ir.Operand(i)
				}
				return leaf
			}))
		}
		for _, s := range a.Second {
			attrs.Low, seconds = append(attrs.Low, accs+s.Acc), append(seconds, s.X, s.W)
		}
		attrs.Accs += a.Accs
		weights = append(weights, a.Weights...)
	}
	b := ir.NewBuilder(f)
	in := append(append([]*ir.Value{ops[0].In[0]}, weights...), slices.Concat(extra, seconds)...)
	results := b.Add(ir.OpMatmul, attrs, in...).Results
	for _, op := range ops {
		for i, v := range op.Results {
			with[v] = results[i]
		}
		results = results[len(op.Results):]
	}
}

func isNotF32(v *ir.Value) bool { return v.Type.DType != ir.F32 }
