package emu

import "golang.org/x/sys/cpu"

// vectors says that this machine runs tensor_amd64.s and lanes_amd64.s.
var vectors = cpu.X86.HasAVX2 && cpu.X86.HasFMA

// loadAVX2 takes A, B and C from registers, A and B of two elements of 16 bits each, C of a float32 each.
//
//go:noescape
func loadAVX2(t *floatTile, r *fragments, s *split)

// multiplyAVX2 computes t.d from the fields before it, bit for bit as fusedSum does. It returns other than 0 where it
// cannot, for a term is infinite or no number, or a sum so small that float32 may have a subnormal result.
//
//go:noescape
func multiplyAVX2(t *floatTile) int32

// storeAVX2 puts D into registers of a float32 each.
//
//go:noescape
func storeAVX2(t *floatTile, r *fragments)
