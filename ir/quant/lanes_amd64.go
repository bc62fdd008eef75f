package quant

import "golang.org/x/sys/cpu"

// vectors says that this machine runs the loops of lanes_amd64.s. Their results are those of the loops in Go, bit for
// bit.
var vectors = cpu.X86.HasAVX2

// All take n > 0 values, a multiple of 8.

//go:noescape
func assignAVX2(x, weight *float32, q *byte, n int, min, inverse float32, s *lanes)

//go:noescape
func boundsAVX2(x *float32, n int, lo, hi *[8]float32)

//go:noescape
func topAVX2(x *float32, n int, top *[8]uint32)

//go:noescape
func roundAVX2(x *float32, q *byte, n int, inverse float32)
