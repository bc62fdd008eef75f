package lower

import (
	"pgc/ir"
	"pgc/runtime/program"
)

// Layouts says how the weights are packed that products read.
type Layouts struct {
	choose func(d program.DType, bf16 bool) program.Layout
	read   map[string]program.Layout // of what a product reads, by key
}

// LayoutsOf finds the weights of a module that products read; choose gives the kind and the packing of k of a storage
// format, for products with rows of bfloat16 or others. A matrix that any product reads whole is packed for lookups,
// too; where products with both kinds of rows read it, lookups take that of other rows.
func LayoutsOf(m *ir.Module, choose func(d program.DType, bf16 bool) program.Layout) Layouts {
	l := Layouts{choose, map[string]program.Layout{}}
	for _, f := range m.Funcs {
		for _, op := range f.Ops {
			if op.Def != ir.OpMatmul {
				continue
			}
			a := ir.ViewMatmul(op)
			for _, w := range a.Weights {
				p := weight(w)
				if p == nil || w.Type.Rank() != 2 && !p.Type.DType.IsQuantized() {
					continue
				}
				if l.read[p.Key] != l.of(p, false) {
					l.read[p.Key] = l.of(p, a.Factor == ir.BF16)
				}
			}
		}
	}
	return l
}

// of is the layout of a weight for products with rows of bfloat16 or others.
func (l Layouts) of(w *ir.Value, bf16 bool) program.Layout {
	return l.choose(program.DType(w.Type.DType.String()), bf16)
}

// lookup is the layout of a table, if it is packed.
func (l Layouts) lookup(w *ir.Value) (program.Layout, bool) {
	if layout, ok := l.read[w.Key]; ok {
		return layout, true
	}
	return l.of(w, false), w.Type.DType.IsQuantized()
}
