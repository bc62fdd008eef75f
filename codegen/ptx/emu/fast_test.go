package emu

import (
	"math/rand/v2"
	"testing"
)

// The sums that are rounded twice are those that are rounded once, from equal exponents to distant ones.
func TestFusedBrains(t *testing.T) {
	rng, quick := rand.New(rand.NewPCG(7, 8)), 0
	for i := range 2_000_000 {
		a, b, c := rng.Uint64()&0xffff, rng.Uint64()&0xffff, rng.Uint64()&0xffff
		if i%4 > 0 { // exponents that meet
			e := int(a>>7&0xff) + int(b>>7&0xff) - 127 + rng.IntN(40) - 20
			c = c&0x807f | uint64(min(max(e, 0), 254))<<7
		}
		if i%16 == 1 { // ties are likely
			a, b = a&0xfff0, b&0xfff0
		}
		want := brain(oddSum(brainOf(a)*brainOf(b), brainOf(c)), nearest)
		if got := fmaBrain(a, b, c); got != want {
			t.Fatalf("%#x·%#x + %#x = %#x, expected %#x", a, b, c, got, want)
		}
		if got, ok := quickBrain(uint32(a)<<16, uint32(b)<<16, uint32(c)<<16); ok && uint64(got>>16) != want {
			t.Fatalf("%#x·%#x + %#x = %#x in float32, expected %#x", a, b, c, got>>16, want)
		} else if ok {
			quick++
		}
	}
	if quick < 1_000_000 {
		t.Errorf("%d of 2,000,000 sums show in float32, expected most", quick)
	}
}
