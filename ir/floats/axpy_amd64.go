package floats

import "golang.org/x/sys/cpu"

// vectors says that this machine runs the loop of axpy_amd64.s.
var vectors = cpu.X86.HasAVX2 && cpu.X86.HasFMA

// addProductFMA takes n > 0 elements, a multiple of 8.
//
//go:noescape
func addProductFMA(d, a *float32, n int, l float32)
