package peft

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"pgc/checkpoint/lazy"
	"pgc/ir"
	"pgc/ir/floats"
	"pgc/models"
)

// Beside is what an adapter does to one weight when it is kept beside the model.
type Beside struct {
	models.Change
	A, B lazy.Tensor // the factors [rank, columns] and [rows, rank] of a product, as they are stored
	Type ir.DType    // of a weight of its own, which it has without a rounding
	low  *lowRank
	own  []step
}

// Beside sorts an adapter's tensors like Apply, for keeping them beside the weights: LoRA of matrices as the factors of a
// product, everything else as weights of its own. Of the table of token embeddings it is a product of the rows that are
// looked up; in no other way may the table change, and the head may not.
func (a *Adapter) Beside(h Host) (map[string]*Beside, error) {
	_, of, err := a.collect(h)
	if err != nil {
		return nil, err
	}
	all := map[string]*Beside{}
	for _, key := range slices.Sorted(maps.Keys(of)) {
		w := of[key]
		table := key == h.Embedding && w.low != nil && w.low.embedding && w.low.magnitude == nil && len(w.loaded)+len(w.merged) == 1
		if key == h.Head || key == h.Embedding && !table {
			return nil, fmt.Errorf("%s changes %s, which an adapter that is kept beside the model may only by LoRA of the embedding: expected LoRA of other layers (--adapter %s without a name merges it)", a.Dir, key, a.Dir)
		}
		b := &Beside{own: w.loaded, Type: ir.F32}
		if len(w.loaded) == 1 && len(w.merged) == 0 {
			b.Type = w.dtype
		}
		if table {
			b.A, b.B, b.Rank, b.Scale = transposed(w.low.a), w.low.b.Tensor, w.low.a.rows(), float64(w.low.scale)
			b.own = nil
		} else if w.low != nil && !w.low.embedding {
			b.low, b.A, b.B = w.low, w.low.a.Tensor, w.low.b.Tensor
			b.Rank, b.Scale, b.Rows = w.low.a.rows(), float64(w.low.scale), w.low.magnitude != nil
		} else {
			b.own = slices.Concat(w.loaded, w.merged)
		}
		if b.Own = len(b.own) > 0; b.Own || b.Rank > 0 {
			all[key] = b
		}
	}
	return all, nil
}

// transposed is a matrix with rows and columns exchanged.
func transposed(m matrix) lazy.Tensor {
	all := sync.OnceValue(m.whole)
	rows := m.rows()
	return lazy.Tensor{DType: m.DType, Shape: []int{m.cols, rows}, Values: func(x []float32, at int) {
		for i := range x {
			x[i] = all()[(at+i)%rows*m.cols+(at+i)/rows]
		}
	}}
}

// Whole is the weight that replaces the base's.
func (b *Beside) Whole(base lazy.Tensor, dtype ir.DType) *Merged {
	return &Merged{base: matrixOf(base), dtype: dtype, steps: b.own}
}

// Scales reads by what the rows of the sum are multiplied, as float32. The first call passes over the weight.
func (b *Beside) Scales(base lazy.Tensor, dtype ir.DType) func(to []byte, from int64) {
	scales := sync.OnceValue(func() []byte {
		l := b.low
		p := &product{rank: l.a.rows(), columns: l.a.cols, left: l.b.whole(), right: l.a.whole(), scale: l.scale, rounded: ir.F32}
		return floats.Append(nil, p.normed(b.Whole(base, dtype).reader(), l.magnitude.whole(), false), ir.F32)
	})
	return func(to []byte, from int64) { copy(to, scales()[from:]) }
}
