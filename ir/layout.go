package ir

// DenseStrides returns the strides, in elements, of a row-major tensor of that shape with every symbol at its bound.
func (m *Module) DenseStrides(shape []Dim) []int64 {
	strides := make([]int64, len(shape))
	n := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n *= int64(m.MaxDim(shape[i]))
	}
	return strides
}

// MemoryBytes is the size of one element of d in the memory of a running program: booleans take four bytes there.
func (d DType) MemoryBytes() int64 {
	if d == Bool {
		return 4
	}
	return int64(d.BlockBytes())
}
