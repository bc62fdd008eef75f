package emu

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Vectors give the bits of fusedSum, for numbers of every kind.
func TestProductsByVectors(t *testing.T) {
	if !vectors {
		t.Skip("this machine has no AVX2")
	}
	rng := rand.New(rand.NewPCG(3, 4))
	tables := []*[1 << 16]factor{brainFactors, halfFactors}
	var tile floatTile
	taken := 0
	const steps = 20_000
	for step := range steps {
		table, width := tables[step%2], []int{1, 3, 12, 40, 255}[step/2%5]
		low := rng.IntN(256 - width + 1)
		number := func() uint32 { // exponents from low on
			b := uint32(rng.IntN(width)+low)<<7 | rng.Uint32()&0x807f
			switch {
			case step%2 == 1: // a float16
				b = uint32(rng.IntN(width)+low)%31<<10 | rng.Uint32()&0x83ff
			case rng.IntN(20) == 0:
				b &= 0x8000
			}
			return b
		}
		tile.clear()
		for i := range 16 {
			for k := range []int{16, 8}[step/10%2] {
				tile.setA(i, k, table[number()])
				tile.setB(k, i&7, table[number()])
			}
		}
		// c is about as large as the products, or anything.
		for i := range tile.c {
			for j := range tile.c[i] {
				e := tile.aExponents[i][0] + tile.bExponents[0][j] + int32(rng.IntN(33)-16) + 127
				tile.c[i][j] = uint32(max(0, min(254, e)))<<23 | rng.Uint32()&0x807fffff
				if rng.IntN(8) == 0 {
					tile.c[i][j] = rng.Uint32() & []uint32{0x80000000, math.MaxUint32}[rng.IntN(2)]
				}
			}
		}
		if multiplyAVX2(&tile) != 0 {
			continue
		}
		taken++
		got := tile.d
		vectors = false
		tile.multiply()
		vectors = true
		if got != tile.d {
			t.Fatalf("step %d: %x, expected %x", step, got, tile.d)
		}
	}
	if taken < steps/4 {
		t.Errorf("vectors computed %d of %d products", taken, steps)
	}
}
