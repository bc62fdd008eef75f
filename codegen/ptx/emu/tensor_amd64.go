package emu

import "golang.org/x/sys/cpu"

// vectors says that this machine runs the loop of tensor_amd64.s.
var vectors = cpu.X86.HasAVX2

// multiplyAVX2 computes t.d from the fields before it, bit for bit as fusedSum does. It returns other than 0 where it
// cannot, for a term is infinite or no number, or a sum so small that float32 may have a subnormal result.
//
//go:noescape
func multiplyAVX2(t *floatTile) int32
