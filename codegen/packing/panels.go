// Package packing says how packed matrices lie in memory: in panels for CPUs, whose elements may be codes in groups, and
// in fragments for GPUs.
package packing

// PanelWidth counts the matrix rows (output columns) that a packed panel interleaves; a packed matrix is padded
// with zero rows to a multiple of PanelPad. Element (n, k) of an N×K matrix lies at (n/16)·K·16 + k·16 + n%16. A matrix
// whose rows come in blocks has every block padded to whole panels.
const (
	PanelWidth = 16
	PanelPad   = 32
)

// Len returns the number of elements of a packed matrix of blocks × n rows of k.
func Len(blocks, n, k int64) int64 {
	return roundUp(blocks*roundUp(n, PanelWidth), PanelPad) * k
}

// PaddedK counts the values of k that a packed matrix has for each row: VNNI2 panels, whose words are pairs of k, pad
// an odd K with a zero.
func PaddedK(k int64, vnni2 bool) int64 {
	if vnni2 {
		return roundUp(k, 2)
	}
	return k
}

func roundUp(n, step int64) int64 { return (n + step - 1) / step * step }
