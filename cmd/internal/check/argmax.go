package check

import (
	"fmt"

	"pgc/ir"
	"pgc/ir/eval"
)

// isArgmax reports whether op returns indices of maxima.
func isArgmax(op *ir.Op) bool {
	a, product := op.Attrs.(ir.MatmulAttrs)
	return op.Def == ir.OpArgmax || product && a.Argmax
}

// compareArgmax compares indices by the elements there: where two elements are nearly equal, rounding decides which is
// the maximum.
func (l *loaded) compareArgmax(op *ir.Op, in []*eval.Tensor, got, want *eval.Tensor, syms map[string]int) (worst float64, miss, err error) {
	values := in[0]
	if a, ok := op.Attrs.(ir.MatmulAttrs); ok {
		a.Argmax = false
		all, err := ir.NewOp(ir.OpMatmul, a, op.In...)
		if err != nil {
			return 0, nil, err
		}
		if values, err = l.one(all, syms, in...); err != nil {
			return 0, nil, err
		}
	}
	n := values.Shape[len(values.Shape)-1]
	there := func(at *eval.Tensor) *eval.Tensor {
		t := eval.New(ir.F32, at.Shape...)
		for i, place := range at.Data {
			if place < 0 || int(place) >= n {
				miss = fmt.Errorf("place %g of %d", place, n)
				return nil
			}
			t.Data[i] = values.Data[i*n+int(place)]
		}
		return t
	}
	x, y := there(got), there(want)
	if miss != nil {
		return 0, miss, nil
	}
	worst, miss = eval.Compare(x, y, op.Def.Tol)
	return worst, miss, nil
}
