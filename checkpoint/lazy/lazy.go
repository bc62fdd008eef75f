// Package lazy has tensors whose elements are made when they are read, so that a checkpoint in another form takes no more
// memory than one of plain floats.
package lazy

import (
	"pgc/ir"
	"pgc/ir/floats"
)

// Tensor is a tensor of floats. Its bytes lie in memory, or Values makes elements.
type Tensor struct {
	DType  ir.DType
	Shape  []int
	Data   []byte
	Values func(x []float32, at int) // fills x with the elements from at on; nil where Data has them
}

// Elements is the number of elements.
func (t Tensor) Elements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Decode fills x with the elements from at on.
func (t Tensor) Decode(x []float32, at int) {
	if t.Values != nil {
		t.Values(x, at)
		floats.Round(x, t.DType)
		return
	}
	floats.Decode(x, t.Data[at*t.DType.Bytes():], t.DType)
}

// Read fills to with the tensor's bytes from a position on.
func (t Tensor) Read(to []byte, from int64) {
	if t.Values == nil {
		copy(to, t.Data[from:])
		return
	}
	const most = 1 << 15
	size := int64(t.DType.Bytes())
	at, end := from/size, (from+int64(len(to))+size-1)/size
	x := make([]float32, min(most, end-at))
	var made []byte
	for ; at < end; at += int64(len(x)) {
		x = x[:min(int64(len(x)), end-at)]
		t.Values(x, int(at)) // Append rounds
		made = floats.Append(made[:0], x, t.DType)
		to = to[copy(to, made[max(0, from-at*size):]):]
	}
}
