package sample

import (
	"cmp"
	"math"
	"slices"
)

// Likeliest is the head of a row: its greatest scores, which are logits divided by the temperature in float32, in
// descending order and of equals the first, with their tokens; and the log-sum-exp of the scores of all tokens. Suppressed
// tokens are among them.
type Likeliest struct {
	Scores    []float32
	IDs       []int32
	LogSumExp float32
}

// sumError bounds the error of a log-sum-exp in float32, as a part of one more than its size.
const sumError = 1.0 / (1 << 19)

// Of sums that Next computes: totals are float64, probabilities and their sums up to a token float32.
const (
	totalError = 1e-9
	probError  = 1.0 / (1 << 21)
)

// Shortens reports whether NextOf may know the token from so many of the greatest scores.
func (s *Sampler) Shortens(n int) bool {
	penalized := s.cfg.RepetitionPenalty != 0 && s.cfg.RepetitionPenalty != 1
	return s.cfg.Temperature > 0 && !penalized && (s.cfg.TopK < n || s.cfg.TopK >= len(s.scores) || n == len(s.scores))
}

// Temperature divides the logits before sampling; 1 where it is greedy.
func (s *Sampler) Temperature() float32 {
	if s.cfg.Temperature == 0 {
		return 1
	}
	return float32(s.cfg.Temperature)
}

// NextOf returns the token that Next would choose from the whole row, and draws the same random number for it. ok is
// false where the row's head does not tell; then nothing is drawn. What is unknown are the scores of tokens that are not
// listed, none greater than the last one listed, and their sum within the errors of a sum: the token is returned where
// all that they may be leads to it.
func (s *Sampler) NextOf(l Likeliest) (id int32, ok bool) {
	n := len(l.Scores)
	if !s.Shortens(n) || n == 0 || !finite(l.Scores[0]) || !finite(l.LogSumExp) {
		return 0, false
	}
	t := s.listed(l)
	best := argmax(t.scores)
	if math.IsInf(float64(t.scores[best]), -1) {
		return 0, false
	}
	rest := s.rest(l, float64(t.scores[best]))
	if k := s.cfg.TopK; k > 0 && k < len(s.scores) {
		if t.topK(); n < len(s.scores) && t.heap[0] <= l.Scores[n-1] { // tokens that are not listed may be as likely
			return 0, false
		}
		rest = interval{}
	}
	if p := s.cfg.TopP; rest != (interval{}) && p > 0 && p < 1 {
		if !t.topPBeside(best, rest) {
			return 0, false
		}
	} else if t.topP(best); rest != (interval{}) {
		at, ok := t.drawBeside(best, rest)
		return t.ids[at], ok
	}
	return t.ids[t.drawn(best)], true
}

func finite(v float32) bool { return !math.IsInf(float64(v), 0) && v == v }

// listed is a sampler of the listed tokens, in the order of their ids. It shares the random numbers.
func (s *Sampler) listed(l Likeliest) *Sampler {
	if s.short == nil {
		s.short = &Sampler{cfg: s.cfg, rng: s.rng, vocab: s.vocab}
	}
	t, n := s.short, len(l.Scores)
	t.order = t.order[:0]
	for i := range l.IDs {
		t.order = append(t.order, int32(i))
	}
	slices.SortFunc(t.order, func(a, b int32) int { return cmp.Compare(l.IDs[a], l.IDs[b]) })
	t.scores, t.ids = slices.Grow(t.scores[:0], n)[:n], slices.Grow(t.ids[:0], n)[:n]
	if len(t.probs) != n {
		t.probs = nil
	}
	for to, from := range t.order {
		t.scores[to], t.ids[to] = l.Scores[from], l.IDs[from]
		if slices.Contains(s.suppressed, l.IDs[from]) {
			t.scores[to] = float32(math.Inf(-1))
		}
	}
	return t
}

// interval is where a number lies.
type interval struct{ least, most float64 }

// rest bounds the sum of exp(score - top) of the tokens that are neither listed nor suppressed; both bounds are 0 where
// there are none.
func (s *Sampler) rest(l Likeliest, top float64) interval {
	n := len(l.Scores)
	if n == len(s.scores) {
		return interval{}
	}
	listed := 0.0
	for _, v := range l.Scores {
		listed += math.Exp(float64(v) - top)
	}
	total := math.Exp(float64(l.LogSumExp) - top)
	e := math.Expm1(sumError * (1 + math.Abs(float64(l.LogSumExp))))
	each := math.Exp(float64(l.Scores[n-1]) - top) // at most
	least := total*(1-e) - listed - float64(len(s.suppressed))*each
	most := min(total*(1+e)-listed, float64(len(s.scores)-n)*each)
	return interval{max(0, least), max(most, math.SmallestNonzeroFloat64)}
}

// topPBeside is topP of the listed tokens, whose probability is less by the rest. It reports false unless it is certain
// that those of the rest go, and which others do.
func (s *Sampler) topPBeside(best int32, rest interval) bool {
	listed, limit := s.softmax(best), float64(float32(1-s.cfg.TopP))
	s.order = s.order[:0]
	for i, q := range s.probs {
		if q > 0 {
			s.order = append(s.order, int32(i))
		}
	}
	s.sortAscending()
	// The share of so much and the rest in all.
	goes := func(sum float64) bool { return (sum+rest.most)/(listed+rest.most)*(1+probError) <= limit }
	stays := func(sum float64) bool { return (sum+rest.least)/(listed+rest.least)*(1-probError) > limit }
	sum := 0.0
	if !goes(sum) {
		return false
	}
	for _, id := range s.order[:len(s.order)-1] {
		if sum += s.probs[id]; stays(sum) {
			break
		} else if !goes(sum) {
			return false
		}
		s.scores[id] = float32(math.Inf(-1))
	}
	return true
}

// drawBeside is drawn from the listed tokens and the rest, of which nobody knows where among them its tokens are. ok is
// false where that matters.
func (s *Sampler) drawBeside(best int32, rest interval) (at int32, ok bool) {
	listed, ahead := s.softmax(best), *s.rng
	u := uniform(&ahead)
	least, most := u*(listed+rest.least)*(1-totalError), u*(listed+rest.most)*(1+totalError)
	sum := 0.0
	for i, p := range s.probs {
		before := sum
		if sum += p; sum*(1-totalError) > most {
			if (before+rest.most)*(1+totalError) > least {
				return 0, false
			}
			*s.rng = ahead
			return int32(i), true
		}
	}
	return 0, false
}
