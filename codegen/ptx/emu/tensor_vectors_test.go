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
	tables := []*factorTable{pairForms[bf16].factors(), pairForms[f16].factors()}
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
		zeros := uint32(0) // rows of A
		switch step % 9 {
		case 0, 3, 6:
			zeros = rng.Uint32() & rng.Uint32()
		case 8:
			zeros = math.MaxUint32
		}
		for i := range 16 {
			for k := range []int{16, 8}[step/10%2] {
				if zeros>>i&1 == 0 {
					tile.setA(i, k, table[number()])
				}
				tile.setB(k, i&7, table[number()])
			}
		}
		// c is about as large as the products, or anything.
		for i := range tile.c {
			for j := range tile.c[i] {
				e := int32(tile.aExponents[i][0][0]) + int32(tile.bExponents[0][j][0]) + int32(rng.IntN(33)-16) + 127
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

// Vectors take registers apart and put them together as the loops do, for every number that is finite.
func TestFragmentsByVectors(t *testing.T) {
	if !vectors {
		t.Skip("this machine has no AVX2")
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for name, form := range map[string]*pairForm{"bf16": pairForms[bf16], "f16": pairForms[f16]} {
		for first := 0; first < 1<<16; first += 384 {
			w := &warp{}
			var slab [14]lanes
			for i := range slab {
				w.r = append(w.r, &slab[i])
				for lane := range slab[i] {
					slab[i][lane] = uint64(rng.Uint32())
				}
			}
			for i := range 384 { // in all: every number
				v := uint64(first + i)
				if form.factors()[v&0xffff].exponent == notFinite {
					v = 0
				}
				word := &slab[i/2/warpSize][i/2%warpSize]
				*word = *word&^(0xffff<<(i%2*16)) | v&0xffff<<(i%2*16)
			}
			var got, want floatTile
			a, b := []reg{0, 1, 2, 3}, []reg{4, 5}
			want.loadPairs(form.factors(), w, a, b)
			r := fragments{[4]*lanes(w.r[:4]), [2]*lanes(w.r[4:6]), [4]*lanes(w.r[6:10]), [4]*lanes(w.r[10:])}
			loadAVX2(&got, &r, &form.split)
			for i := range 4 {
				for lane, v := range slab[6+i] {
					want.c[lane/4+i/2*8][lane%4*2+i%2] = uint32(v)
				}
			}
			if got != want {
				t.Fatalf("%s from %#x: other tiles", name, first)
			}
			got.d = got.c
			storeAVX2(&got, &r)
			if [4]lanes(slab[10:]) != [4]lanes(slab[6:10]) {
				t.Fatalf("%s: results %x, expected %x", name, slab[10:], slab[6:10])
			}
		}
	}
}
