package lower

import (
	"slices"

	"pgc/codegen/kernels"
	"pgc/ir"
	"pgc/ir/tile"
)

// lowerTop lowers a top: its reduction is lowered as one by itself.
func (l *lowerer) lowerTop(op *ir.Op) ([]Launch, error) {
	reduction := &ir.Op{Def: ir.OpReduceLogSumExp, In: op.In, Results: op.Results[2:]}
	launches, err := l.lowerReduction(reduction)
	if err != nil {
		return nil, err
	}
	spec := &kernels.Top{Row: launches[0].Spec.(*kernels.Row), K: int64(op.Results[0].Type.Last().N)}
	out := func(v *ir.Value, e tile.Elem) kernels.Out {
		s := slices.Clone(l.strides(v))
		for len(s) <= len(spec.Row.Outer) { // a single row
			s = slices.Insert(s, 0, 0)
		}
		return kernels.Out{Elem: e, Strides: s, Aligned: startsAligned(v)}
	}
	spec.Values, spec.Indices = out(op.Results[0], tile.F32), out(op.Results[1], tile.I32)
	return []Launch{{Spec: spec, In: op.In, Outs: op.Results, Op: op}}, nil
}
