package sample

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// draw samples from the scores that the warpers leave by inverting their cumulative distribution in order of ids: it
// returns the first id whose cumulative probability exceeds a uniform number in [0, 1). best is the id of the greatest
// score.
func (s *Sampler) draw(best int32) int32 {
	if !s.warp(best) {
		return best
	}
	return s.drawn(best)
}

// uniform is a random number in [0, 1).
func uniform(rng *rand.PCG) float64 { return float64(rng.Uint64()>>11) / (1 << 53) }

// drawn is draw behind the warpers.
func (s *Sampler) drawn(best int32) int32 {
	total := s.softmax(best)
	target := uniform(s.rng) * total
	sum, last := 0.0, best
	for i, p := range s.probs {
		if p == 0 {
			continue
		}
		last = int32(i)
		if sum += p; sum > target {
			break
		}
	}
	return last
}

// warp applies temperature, top-k and top-p to the scores; removed tokens become -Inf. It reports false where the
// temperature is so low that the scores overflow and only the best is left.
func (s *Sampler) warp(best int32) bool {
	temperature := float32(s.cfg.Temperature)
	if top := s.scores[best] / temperature; temperature == 0 || math.IsInf(float64(top), 0) || top != top {
		return false
	}
	for i := range s.scores {
		s.scores[i] /= temperature
	}
	s.topK()
	s.topP(best)
	return true
}

// topK removes scores below the K-th greatest; ties with it stay (TopKLogitsWarper).
func (s *Sampler) topK() {
	k := s.cfg.TopK
	if k == 0 || k >= len(s.scores) {
		return
	}
	// heap holds the K greatest so far, the smallest of them first.
	h := append(s.heap[:0], s.scores[:k]...)
	slices.Sort(h)
	for _, v := range s.scores[k:] {
		if v <= h[0] {
			continue
		}
		i := 0
		for {
			child := 2*i + 1
			if child >= k {
				break
			}
			if child+1 < k && h[child+1] < h[child] {
				child++
			}
			if v <= h[child] {
				break
			}
			h[i] = h[child]
			i = child
		}
		h[i] = v
	}
	s.heap = h
	inf := float32(math.Inf(-1))
	for i, v := range s.scores {
		if v < h[0] {
			s.scores[i] = inf
		}
	}
}

// topP removes the unlikeliest tokens while their probabilities add up to at most 1-p, but never the last one
// (TopPLogitsWarper, min_tokens_to_keep 1). torch does not define which of equal scores go first (its sort is not
// stable); here higher ids do, so that top_p near 0 is greedy.
func (s *Sampler) topP(best int32) {
	p := s.cfg.TopP
	if p == 0 || p == 1 {
		return
	}
	total, limit, inf := s.softmax(best), float32(1-p), float32(math.Inf(-1))
	// Tokens with less than half an even share of 1-p go in any case, so only the rest needs sorting.
	negligible := (1 - p) / float64(2*s.vocab) * total
	sum := 0.0
	s.order = s.order[:0]
	for i, q := range s.probs {
		if q < negligible {
			sum += float64(float32(q / total))
			s.scores[i] = inf
		} else if q > 0 {
			s.order = append(s.order, int32(i))
		}
	}
	s.sortAscending()
	for _, id := range s.order[:len(s.order)-1] {
		// As in torch: probabilities and their sums are float32, added up in double.
		if sum += float64(float32(s.probs[id] / total)); float32(sum) > limit {
			break
		}
		s.scores[id] = inf
	}
}

// sortAscending sorts the candidates of top-p in the order in which they go.
func (s *Sampler) sortAscending() {
	slices.SortFunc(s.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(s.scores[a], s.scores[b]), cmp.Compare(b, a))
	})
}

// softmax fills probs with exp(score - best score) and returns their sum.
func (s *Sampler) softmax(best int32) (total float64) {
	if s.probs == nil {
		s.probs = make([]float64, len(s.scores))
	}
	top := float64(s.scores[best])
	for i, v := range s.scores {
		q := 0.0
		if d := float64(v) - top; d > -745 {
			q = math.Exp(d)
		}
		s.probs[i] = q
		total += q
	}
	return total
}
