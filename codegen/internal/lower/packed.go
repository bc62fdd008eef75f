package lower

import (
	"slices"

	"pgc/codegen/kernels"
	"pgc/codegen/weights"
	"pgc/ir"
	"pgc/runtime/program"
)

// Layouts says how the weights are packed that products read.
type Layouts struct {
	choose func(d program.DType, bf16 bool) program.Layout
	read   map[string]program.Layout // of what a product reads, by key
	few    map[string]bool           // matrices of few rows, which lie row by row, by key
	rows   bool                      // products read those as they lie; a device packs them first
	// columns says that products read second factors that would fill no panels column by column.
	columns bool
}

// LayoutsOf finds the weights of a module that products read; choose gives the kind and the packing of k of a storage
// format, for products with rows of bfloat16 or others. A matrix that any product reads whole is packed for lookups,
// too; where products with both kinds of rows read it, lookups take that of other rows. Row by row lie those that would fill no
// panels and are first factors of low-rank products, or whose results only stand among others'; rows says that products can read
// them so, and columns that they can read second factors column by column.
func LayoutsOf(m *ir.Module, choose func(d program.DType, bf16 bool) program.Layout, rows, columns bool) Layouts {
	l := Layouts{choose, map[string]program.Layout{}, ofFewRows(m), rows, columns}
	for _, f := range m.Funcs {
		for _, op := range f.Ops {
			if op.Def != ir.OpMatmul {
				continue
			}
			a := ir.ViewMatmul(op)
			for _, w := range a.Weights {
				p := weight(w)
				if p == nil || l.few[p.Key] || w.Type.Rank() != 2 && !p.Type.DType.IsQuantized() {
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

// ofFewRows finds the matrices of fewer rows than a packed one has at least that are first factors of low-rank products
// wherever they are read: what they give is scaled at most and multiplied again, and nothing is added to it. So lie also
// those that stand for some rows of another: what they give is put among other columns.
func ofFewRows(m *ir.Module) map[string]bool {
	is := map[string]bool{}
	for _, f := range m.Funcs {
		uses := f.Uses()
		for _, op := range f.Ops {
			if op.Def != ir.OpMatmul {
				continue
			}
			a := ir.ViewMatmul(op)
			for _, p := range a.Parts {
				again := p.Accs == 1 && len(p.Exprs) == 1 && !a.Argmax && !a.Row[0].Type.DType.IsQuantized() &&
					(inserted(uses, p.Result) || scales(p.Exprs[0]) && !slices.ContainsFunc(uses.Of(p.Result), func(u ir.Use) bool { return !multiplies(u) })) &&
					!slices.ContainsFunc(a.Second, func(s ir.Second) bool { return s.Acc == p.First })
				for _, w := range p.Weights {
					key := w.Key
					if w.Kind != ir.Weight || w.Type.Rank() != 2 || w.Type.DType.IsQuantized() || w.Type.Shape[0].N >= kernels.PanelPad {
						again = false
						if v := weight(w); v != nil {
							key = v.Key
						}
					}
					was, seen := is[key]
					is[key] = again && (was || !seen)
				}
			}
		}
	}
	return is
}

// inserted reports whether columns of a value are put among others, and it is read in no other way.
func inserted(uses ir.Uses, v *ir.Value) bool {
	return len(uses.Of(v)) > 0 && !slices.ContainsFunc(uses.Of(v), func(u ir.Use) bool {
		return u.Op == nil || u.Op.Def != ir.OpConcat && !(u.Op.Def == ir.OpSlice && inserted(uses, u.Op.Result()))
	})
}

// scales reports whether an expression multiplies and chooses by equality alone.
func scales(e *ir.Expr) bool {
	only := true
	e.Walk(func(e *ir.Expr) {
		only = only && (e.Kind != ir.ExprCall || e.Def == ir.OpMul || e.Def == ir.OpSelect || e.Def == ir.OpEq)
	})
	return only
}

// multiplies reports whether a value is used as rows that are multiplied by a matrix.
func multiplies(u ir.Use) bool {
	if u.Op == nil || u.Op.Def != ir.OpMatmul {
		return false
	}
	second := 2*len(ir.ViewMatmul(u.Op).Second) - (len(u.Op.In) - u.Index)
	return u.Index == 0 || second >= 0 && second%2 == 0
}

// of is the layout of a weight for products with rows of bfloat16 or others.
func (l Layouts) of(w *ir.Value, bf16 bool) program.Layout {
	return l.choose(program.DType(w.Type.DType.String()), bf16)
}

// product is the layout that products read a weight in.
func (l Layouts) product(w *ir.Value, bf16 bool) program.Layout {
	if l.few[w.Key] {
		return program.Layout{Kind: program.LayoutRows, KPack: 1}
	}
	return l.of(w, bf16)
}

// second is the layout of the second factor of a low-rank product: in panels, or column by column where these would be padded.
func (l Layouts) second(m weights.Matrix) program.Layout {
	padded := m.Run%kernels.PanelWidth != 0 || m.Blocks == 1 && m.Run%kernels.PanelPad != 0
	if l.columns && padded && !m.W.Type.DType.IsQuantized() {
		return program.Layout{Kind: program.LayoutColumns, KPack: 1}
	}
	return l.of(m.W, false)
}

// lookup is the layout of a table, if it is packed.
func (l Layouts) lookup(w *ir.Value) (program.Layout, bool) {
	if layout, ok := l.read[w.Key]; ok {
		return layout, true
	}
	return l.of(w, false), w.Type.DType.IsQuantized()
}
