// Package sample chooses the next token from logits with transformers' definitions and order: repetition penalty,
// temperature, top-k, top-p, then the draw (generation/logits_process.py). It imports nothing of the project.
package sample

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Config is how tokens are chosen. The zero Temperature is greedy.
type Config struct {
	Temperature       float64
	TopK              int     // 0 is off
	TopP              float64 // 0 and 1 are off
	RepetitionPenalty float64 // 0 and 1 are off
	Seed              uint64
}

// Sampler chooses tokens of one sequence.
type Sampler struct {
	cfg        Config
	suppressed []int32
	rng        *rand.Rand
	scores     []float64
	order      []int32
}

// New returns a sampler over a vocabulary; suppressed ids are never chosen. Draws follow a PCG generator seeded with
// Seed: the same seed gives the same tokens on every machine.
func New(cfg Config, vocab int, suppressed []int32) *Sampler {
	s := &Sampler{cfg: cfg, suppressed: suppressed, rng: rand.New(rand.NewPCG(cfg.Seed, 0x9e3779b97f4a7c15))}
	s.scores = make([]float64, vocab)
	return s
}

// Next chooses a token from logits [vocabulary]; seen are the ids of the prompt and of what was generated. It also
// returns the token's log-probability under the unwarped distribution over the tokens that are not suppressed.
func (s *Sampler) Next(logits []float32, seen []int32) (id int32, logprob float64) {
	for _, id := range s.suppressed {
		logits[id] = float32(math.Inf(-1))
	}
	if p := s.cfg.RepetitionPenalty; s.cfg.Temperature == 0 && (p == 0 || p == 1) {
		best := argmax(logits)
		return best, logprobOf(logits, best)
	}
	for i, v := range logits {
		s.scores[i] = float64(v)
	}
	s.penalize(seen)
	id = s.choose()
	return id, logprobOf(logits, id)
}

// argmax returns the first of the greatest.
func argmax(logits []float32) int32 {
	best := 0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	return int32(best)
}

func logprobOf(logits []float32, id int32) float64 {
	top := float64(logits[argmax(logits)])
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - top)
	}
	return float64(logits[id]) - top - math.Log(sum)
}

// penalize divides positive and multiplies negative scores of seen tokens by the penalty, once each.
func (s *Sampler) penalize(seen []int32) {
	p := s.cfg.RepetitionPenalty
	if p == 0 || p == 1 {
		return
	}
	done := map[int32]bool{}
	for _, id := range seen {
		if id < 0 || int(id) >= len(s.scores) || done[id] {
			continue
		}
		done[id] = true
		if s.scores[id] < 0 {
			s.scores[id] *= p
		} else {
			s.scores[id] /= p
		}
	}
}

func (s *Sampler) choose() int32 {
	best := int32(0)
	for i, v := range s.scores {
		if v > s.scores[best] {
			best = int32(i)
		}
	}
	if s.cfg.Temperature == 0 {
		return best
	}
	s.order = s.order[:0]
	for i, v := range s.scores {
		s.scores[i] = v / s.cfg.Temperature
		if !math.IsInf(v, -1) {
			s.order = append(s.order, int32(i))
		}
	}
	slices.SortStableFunc(s.order, func(a, b int32) int {
		switch x, y := s.scores[a], s.scores[b]; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	kept := s.order
	if k := s.cfg.TopK; k > 0 && k < len(kept) {
		// Ties with the k-th score stay, as in TopKLogitsWarper.
		limit := s.scores[kept[k-1]]
		for k < len(kept) && s.scores[kept[k]] == limit {
			k++
		}
		kept = kept[:k]
	}
	probs := make([]float64, len(kept))
	sum := 0.0
	for i, id := range kept {
		probs[i] = math.Exp(s.scores[id] - s.scores[kept[0]])
		sum += probs[i]
	}
	if p := s.cfg.TopP; p > 0 && p < 1 {
		// Keep the least number of tokens whose probability reaches p, at least one.
		at, n := 0.0, 0
		for n < len(kept) && at < p*sum {
			at += probs[n]
			n++
		}
		n = max(n, 1)
		kept, probs, sum = kept[:n], probs[:n], at
	}
	draw := s.rng.Float64() * sum
	for i, q := range probs {
		if draw -= q; draw < 0 {
			return kept[i]
		}
	}
	return kept[len(kept)-1]
}
