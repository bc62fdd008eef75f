package passes

import (
	"strconv"

	"pgc/ir"
)

// cse eliminates common subexpressions: it merges equal operations on equal operands, so that positions, masks and
// rotary angles are computed once for all layers.
func cse(f *ir.Func, budget *Budget) int {
	seen, key := map[string]*ir.Op{}, []byte(nil)
	with := map[*ir.Value]*ir.Value{}
	resolve := func(v *ir.Value) *ir.Value {
		if w, ok := with[v]; ok {
			return w
		}
		return v
	}
	n := 0
	for _, op := range f.Ops {
		key = append(append(key[:0], op.Def.Name...), ir.FormatAttrs(op.Def, op.Attrs)...)
		for _, v := range op.In {
			key = strconv.AppendInt(append(key, ' '), int64(resolve(v).ID), 10)
		}
		if first, ok := seen[string(key)]; ok && budget.Take(op) {
			for i, v := range op.Results {
				with[v] = first.Results[i]
			}
			n++
		} else {
			seen[string(key)] = op
		}
	}
	f.Replace(with)
	f.RemoveDead()
	return n
}

// dce eliminates dead code: operations and weights without users.
func dce(f *ir.Func, _ *Budget) int { return f.RemoveDead() + f.RemoveUnusedParams() }
