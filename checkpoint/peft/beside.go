package peft

import (
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
	A, B lazy.Tensor // the factors [rank, columns] and [rows, rank] of a product, as they are stored; of a table [rows, rank] and [columns, rank]
	Some lazy.Tensor // the rows of Tokens
	Type ir.DType    // of a weight of its own, which it has without a rounding
	low  *lowRank
	own  []step
}

// Beside sorts an adapter's tensors like Apply, for keeping them beside the weights: LoRA of matrices and of the table of
// token embeddings as the factors of a product, rows of trained tokens as rows, everything else as weights of its own. What
// has the base's values is left out. A head that is the table keeps apart what the adapter does to the two, as in training;
// where it does one thing to both, the head's change says whose it is and has no tensors.
func (a *Adapter) Beside(h Host) (map[string]*Beside, error) {
	c, of, err := a.collect(h)
	if err != nil {
		return nil, err
	}
	for key, r := range c.replaced { // peft saves the base's embedding and head beside their LoRA
		if by := stored(&r.tensor); r.inPlace && equal(by.Tensor, h.Base(key)) {
			w := of[key]
			w.loaded = nil
			of[key] = w
		}
	}
	var changes Changes
	if h.Tied {
		changes.tied(a, h, c, of, true)
	}
	all := map[string]*Beside{}
	for key, w := range of {
		if b := beside(h, key, w); b != nil {
			all[key] = b
		}
	}
	if b := all[h.Embedding]; h.Tied && !changes.Untied && b != nil {
		head := &Beside{Change: b.Change}
		head.At = h.Embedding
		all[h.Head] = head
	}
	return all, nil
}

// beside is what is done to one weight, nil for nothing.
func beside(h Host, key string, w weightSteps) *Beside {
	b := &Beside{own: w.loaded, Type: ir.F32}
	switch low, tokens := w.low, w.tokens; {
	case low != nil && low.embedding && key != h.Embedding, low != nil && !low.embedding && len(w.loaded) > 0:
		b.own = slices.Concat(w.loaded, w.merged) // a small table, or another matrix: products go on with the base's sums alone
	case low != nil:
		b.low, b.A, b.B = low, low.a.Tensor, low.b.Tensor
		if low.embedding {
			b.A = transposed(low.a)
		}
		b.Rank, b.Scale, b.Rows = low.a.rows(), float64(low.scale), low.magnitude != nil
	case tokens != nil:
		b.Some, b.Tokens = tokens.by.Tensor, slices.Repeat([]int{-1}, tokens.by.rows())
		for id, row := range tokens.at {
			b.Tokens[row] = id
		}
	default:
		b.own = slices.Concat(w.loaded, w.merged)
	}
	if len(b.own) == 1 && len(w.loaded) == 1 {
		b.Type = w.dtype
	}
	if b.Own = len(b.own) > 0; b.Own || b.Rank > 0 || b.Tokens != nil {
		return b
	}
	return nil
}

// equal reports whether two tensors of one shape have the same values.
func equal(a, b lazy.Tensor) bool {
	const most = 1 << 16
	x, y := make([]float32, most), make([]float32, most)
	for at, end := 0, a.Elements(); at < end; at += most {
		n := min(most, end-at)
		a.Decode(x[:n], at)
		b.Decode(y[:n], at)
		if !slices.Equal(x[:n], y[:n]) {
			return false
		}
	}
	return true
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

// Scales reads by what the rows of the sum are multiplied, of a table the columns, as float32. The first call passes over the
// weight.
func (b *Beside) Scales(base lazy.Tensor, dtype ir.DType) func(to []byte, from int64) {
	scales := sync.OnceValue(func() []byte {
		return floats.Append(nil, b.low.product().normed(b.Whole(base, dtype).reader(), b.low.magnitude.whole(), b.low.embedding), ir.F32)
	})
	return func(to []byte, from int64) { copy(to, scales()[from:]) }
}
