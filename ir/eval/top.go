package eval

import (
	"cmp"
	"math"
	"slices"

	"pgc/ir"
)

// top finds the greatest elements of each row, and its log-sum-exp.
func top(c *call) ([]*Tensor, error) {
	x := c.in[0]
	n, k := x.Shape[len(x.Shape)-1], c.shape[len(c.shape)-1]
	reduction, err := ir.NewOp(ir.OpReduceLogSumExp, nil, c.op.In...)
	if err != nil {
		return nil, err
	}
	sums, err := reduce(&call{op: reduction, in: c.in, shape: append(slices.Clone(x.Shape[:len(x.Shape)-1]), 1), syms: c.syms})
	if err != nil {
		return nil, err
	}
	values, indices := New(ir.F32, c.shape...), New(ir.I32, c.shape...)
	for r := range len(x.Data) / n {
		row := x.Data[r*n:][:n]
		for i, at := range greatest(row)[:k] {
			values.Data[r*k+i], indices.Data[r*k+i] = row[at], float64(at)
		}
	}
	return []*Tensor{values, indices, sums}, nil
}

// greatest are the indices of a row in the order of ir.OpTop.
func greatest(row []float64) []int {
	order := make([]int, len(row))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := row[a], row[b]
		switch xNaN, yNaN := math.IsNaN(x), math.IsNaN(y); {
		case xNaN && yNaN:
			return 0
		case xNaN:
			return -1
		case yNaN:
			return 1
		}
		return cmp.Compare(y, x)
	})
	return order
}
