package ir

// MemoryBytes returns the size of one element of d in the memory of a running program, where booleans take four bytes.
// For quantized formats, which have no such size, it is 1: addresses count elements.
func (d DType) MemoryBytes() int64 {
	switch {
	case d == Bool:
		return 4
	case d.IsQuantized():
		return 1
	}
	return int64(d.Bytes())
}
