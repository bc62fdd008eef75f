package bench

import "slices"

// A race times candidates in turn, so that a busy machine disturbs all alike, and judges them by their least times, which
// load only lengthens. A candidate has several laps: it wins where the sum of its laps, each in units of the first
// candidate's, is least.

const (
	warmUp  = 10   // rounds before any candidate is dropped
	lost    = 1.20 // times the best after warmUp rounds
	behind  = 1.04 // after twice as many and more
	clearly = 0.98 // of the first candidate's time, which another must not exceed to replace it
	rounds  = 500  // at most
)

// lap holds the times of one lap of a candidate, in seconds.
type lap []float64

func (l lap) least() float64  { return slices.Min(l) }
func (l lap) median() float64 { s := slices.Sorted(slices.Values(l)); return s[len(s)/2] }

// result is what a race found out about a candidate.
type result struct {
	laps  []lap
	score float64 // relative to the first candidate, by least times
}

// race times n candidates of some laps each for so many seconds, and returns the number of the best and all results.
// Candidate 0 is what there is: another replaces it only if it is clearly faster, by least times and by medians.
func race(n, laps int, seconds float64, time func(candidate, lap int) (float64, error)) (best int, all []result, err error) {
	all = make([]result, n)
	alive := make([]bool, n)
	for i := range all {
		all[i].laps, alive[i] = make([]lap, laps), true
	}
	spent := 0.0
	for round := 0; round < rounds && (round < 2*warmUp || spent < seconds); round++ {
		for i := range all {
			if !alive[i] {
				continue
			}
			for l := range laps {
				t, err := time(i, l)
				if err != nil {
					return 0, nil, err
				}
				all[i].laps[l] = append(all[i].laps[l], t)
				spent += t
			}
		}
		least := 0.0
		for i := range all {
			if !alive[i] {
				continue
			}
			if all[i].score = score(all[i], all[0], lap.least); least == 0 || all[i].score < least {
				best, least = i, all[i].score
			}
		}
		limit := lost
		if round+1 >= 2*warmUp {
			limit = behind
		}
		for i := range all {
			if alive[i] && i > 0 && round+1 >= warmUp && all[i].score > limit*least {
				alive[i] = false
			}
		}
	}
	if score(all[best], all[0], lap.median) > clearly || all[best].score > clearly {
		best = 0
	}
	return best, all, nil
}

// score is the mean over laps of r's time in units of that of `of`.
func score(r, of result, time func(lap) float64) float64 {
	sum := 0.0
	for i := range r.laps {
		sum += time(r.laps[i]) / time(of.laps[i])
	}
	return sum / float64(len(r.laps))
}
