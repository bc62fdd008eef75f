package passes

import (
	"slices"

	"pgc/ir"
)

// mergeMatmul merges the matmuls of one x into a matmul with several parts. Queries, keys and values become one kernel,
// which keeps all threads busy where each alone is small. Where some depend on others, as those that go on with a low-rank
// product of their x, the ones at equal depth are merged.
func mergeMatmul(f *ir.Func, budget *Budget) int {
	order := positions(f)
	all := map[*ir.Value]*ofOne{}
	var xs []*ir.Value
	for _, op := range f.Ops {
		if !mergeable(op) {
			continue
		}
		x := op.In[0]
		if all[x] == nil {
			xs, all[x] = append(xs, x), &ofOne{x: x, first: order[op], order: order, depths: map[*ir.Op]int{}}
		}
		all[x].add(op)
	}
	with := map[*ir.Value]*ir.Value{}
	for _, x := range xs {
		for _, ops := range all[x].groups {
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

// mergeable reports whether a matmul may be merged with others.
func mergeable(op *ir.Op) bool {
	return op.Def == ir.OpMatmul && len(op.Attrs.(ir.MatmulAttrs).Prologue) == 0 && !slices.ContainsFunc(op.Results, isNotF32)
}

// ofOne are the matmuls of one x, of which the first is at a place in the order of operations, in groups by depth: how many others
// an operation depends on, one after the other.
type ofOne struct {
	x      *ir.Value
	first  int
	order  map[*ir.Op]int
	depths map[*ir.Op]int
	groups [][]*ir.Op
}

func (o *ofOne) add(op *ir.Op) {
	depth := o.depth(op)
	for len(o.groups) <= depth {
		o.groups = append(o.groups, nil)
	}
	o.groups[depth] = append(o.groups[depth], op)
}

func (o *ofOne) depth(op *ir.Op) int {
	if d, ok := o.depths[op]; ok {
		return d
	}
	most := 0
	for _, v := range op.In {
		d := v.Def
		if d == nil || o.order[d] < o.first {
			continue
		}
		n := o.depth(d)
		if mergeable(d) && d.In[0] == o.x {
			n++
		}
		most = max(most, n)
	}
	o.depths[op] = most
	return most
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
