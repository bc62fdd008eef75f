package passes

import (
	"fmt"
	"strings"

	"pgc/ir"
)

// cse eliminates common subexpressions: it merges equal operations on equal operands, so that positions, masks and
// rotary angles are computed once for all layers.
func cse(f *ir.Func, budget *Budget) int {
	seen := map[string]*ir.Op{}
	with := map[*ir.Value]*ir.Value{}
	resolve := func(v *ir.Value) *ir.Value {
		if w, ok := with[v]; ok {
			return w
		}
		return v
	}
	n := 0
	for _, op := range f.Ops {
		var key strings.Builder
		key.WriteString(op.Def.Name)
		key.WriteString(ir.FormatAttrs(op.Def, op.Attrs))
		for _, v := range op.In {
			fmt.Fprintf(&key, " %d", resolve(v).ID)
		}
		if first, ok := seen[key.String()]; ok && budget.Take(op) {
			for i, v := range op.Results {
				with[v] = first.Results[i]
			}
			n++
		} else {
			seen[key.String()] = op
		}
	}
	f.Replace(with)
	f.RemoveDead()
	return n
}

// dce eliminates dead code: operations and weights without users.
func dce(f *ir.Func, _ *Budget) int { return f.RemoveDead() + f.RemoveUnusedParams() }
