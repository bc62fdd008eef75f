package ir

import "pgc/ir/quant"

// DenseStrides returns the strides, in elements, of a row-major tensor with every symbol at its bound.
func (m *Module) DenseStrides(shape []Dim) []int64 {
	strides := make([]int64, len(shape))
	n := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n *= int64(m.MaxDim(shape[i]))
	}
	return strides
}

// MemoryBytes returns the size of one element of d in the memory of a running program, where booleans take four bytes. For quantized
// formats, which have no such size, it is 1: addresses count elements.
func (d DType) MemoryBytes() int64 {
	switch {
	case d == Bool:
		return 4
	case d.IsQuantized():
		return 1
	}
	return int64(d.Bytes())
}

// Bytes returns the size of a dense value of type t in the memory of a running program, with every symbol at its bound.
func (m *Module) Bytes(t Type) int64 {
	n, rows := t.DType.MemoryBytes(), t.Shape
	if _, group := t.DType.Group(); group > 0 {
		rows = t.Shape[:t.Rank()-1]
		n = quant.RowLayout(int64(t.Last().N), int64(group)).Bytes
	}
	for _, d := range rows {
		n *= int64(m.MaxDim(d))
	}
	return n
}
