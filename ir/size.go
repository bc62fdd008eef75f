package ir

import (
	"fmt"
	"math"
	"math/bits"

	"pgc/ir/quant"
)

// ElementLimit is the greatest number of elements of a value, with every symbol at its bound and dimensions of 0
// counted as 1. An element takes at most eight bytes, so that every value has addresses in 47 bits, and every product
// of some of its dimensions, and every stride, fits an int64. Functions that multiply dimensions rely on it: Verify and
// NewOp refuse greater values.
const ElementLimit = 1 << 44

// MemoryLimit is the greatest number of bytes that a function's memory may have: what 47 bits address.
const MemoryLimit = 1 << 47

// times multiplies two numbers that are not negative. A product too great for an int64 is math.MaxInt64.
func times(a, b int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi != 0 || lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(lo)
}

// Elements returns the number of elements of a shape with every symbol at its bound.
func (m *Module) Elements(shape []Dim) int64 {
	n := int64(1)
	for _, d := range shape {
		n = times(n, int64(m.MaxDim(d)))
	}
	return n
}

// Bytes returns the size of a dense value of type t in the memory of a running program, with every symbol at its bound.
func (m *Module) Bytes(t Type) int64 {
	n, rows := t.DType.MemoryBytes(), t.Shape
	if _, group := t.DType.Group(); group > 0 {
		rows = t.Shape[:t.Rank()-1]
		n = quant.RowLayout(int64(t.Last().N), int64(group)).Bytes
	}
	return times(n, m.Elements(rows))
}

// DenseStrides returns the strides, in elements, of a row-major tensor with every symbol at its bound.
func (m *Module) DenseStrides(shape []Dim) []int64 {
	strides := make([]int64, len(shape))
	n := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n = times(n, int64(m.MaxDim(shape[i])))
	}
	return strides
}

// checkElements returns an error for a shape of more than ElementLimit elements. bound returns the maximum of
// a dimension.
func checkElements(shape []Dim, bound func(Dim) int) error {
	n := int64(1)
	for _, d := range shape {
		n = times(n, int64(max(1, bound(d))))
	}
	if n > ElementLimit {
		return fmt.Errorf("shape %s has over %d elements with every symbol at its bound, expected at most that", FormatDims(shape), int64(ElementLimit))
	}
	return nil
}
