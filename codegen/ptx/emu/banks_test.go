package emu

import (
	"math/bits"
	"math/rand/v2"
	"testing"
)

// TestBanks compares the waits for banks with what their definition says, for words of any size anywhere.
func TestBanks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		n := []int{1, 2, 4, 8, 16}[rng.IntN(5)]
		spread := uint64(1) << rng.IntN(12)
		var addr lanes
		for i := range addr {
			addr[i] = (rng.Uint64N(spread) + 1) * uint64(n)
		}
		m := rng.Uint32() | 1
		if rng.IntN(2) == 0 {
			m = everyone
		}
		want, together := 0, min(warpSize, 128/n)
		for first := 0; first < warpSize; first += together {
			banks, worst := map[uint64]map[uint64]bool{}, 1
			for rest := m; rest != 0; rest &= rest - 1 {
				lane := bits.TrailingZeros32(rest)
				if lane < first || lane >= first+together {
					continue
				}
				for w := addr[lane] / 4; w <= (addr[lane]+uint64(n)-1)/4; w++ {
					if banks[w%32] == nil {
						banks[w%32] = map[uint64]bool{}
					}
					banks[w%32][w] = true
					worst = max(worst, len(banks[w%32]))
				}
			}
			want += worst - 1
		}
		if got := bankWaits(&addr, m, n); got != want {
			t.Fatalf("%d bytes at %v of threads %#x: %d waits, expected %d", n, addr, m, got, want)
		}
	}
}
