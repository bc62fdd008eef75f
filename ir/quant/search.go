package quant

// cuts are the shares of a group's range, below and above, that a search starts without. Clipping the few outermost
// values makes the steps between all others finer.
var cuts = [][2]float32{{0, 0}, {.05, .05}, {.1, .1}, {.15, .15}, {.2, .2}, {.3, .3}, {.12, 0}, {0, .12}}

// steps is how often a search improves scale and min from each start.
const steps = 4

// search4 is Asymmetric4 with a search: scale and min are fitted from several ranges narrower than that of the values.
// The error of value i counts weight[i] times, or once.
func search4(x, weight []float32, q []uint8) (scale, min float32) {
	lo, hi := bounds(x)
	span := hi/15 - lo/15
	var room [maxGroup]uint8
	trial := room[:len(x)]
	best := -1.0
	for _, c := range cuts {
		s, m := clamped(span*(1-c[0]-c[1])), clamped(lo+float32(15*c[0]*span))
		last := -1.0
		for range steps {
			got := assign(x, weight, trial, s, m)
			if got.squared != got.squared {
				return float32(got.squared), m
			}
			if best < 0 || got.squared < best {
				best, scale, min = got.squared, s, m
				copy(q, trial)
			}
			if best == 0 || last >= 0 && !(got.squared < last) {
				break
			}
			last = got.squared
			s, m = got.fit(s, m)
		}
	}
	return scale, min
}
