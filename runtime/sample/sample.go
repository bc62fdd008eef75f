// Package sample chooses the next token from logits with transformers' definitions and order of processors
// (generation/utils.py, _get_logits_processor): repetition penalty, suppressed tokens, then when drawing temperature,
// top-k and top-p. It also finds stop texts in streamed text.
package sample

import (
	"math"
	"math/rand/v2"
	"slices"

	"pgc/runtime/jsonerr"
)

// Config configures sampling in the terms of transformers' GenerationConfig. The zero value is greedy.
type Config struct {
	Temperature       float64 // divides the logits before sampling; 0 is greedy, whatever TopK and TopP are
	TopK              int     // sample from the K likeliest tokens; 0 is off
	TopP              float64 // sample from the likeliest tokens that together reach this probability; 0 and 1 are off
	RepetitionPenalty float64 // over 1 makes tokens seen before less likely; 0 and 1 are off
	Seed              uint64  // of the random numbers
}

// Check returns an error that names a setting out of its range.
func (c Config) Check() error {
	finite := func(v float64) bool { return v >= 0 && !math.IsInf(v, 1) } // false for NaN
	switch {
	case !finite(c.Temperature):
		return jsonerr.Fieldf("temperature", "is %g, expected 0 (greedy) or more", c.Temperature)
	case c.TopK < 0:
		return jsonerr.Fieldf("top_k", "is %d, expected 0 (off) or more", c.TopK)
	case !(c.TopP >= 0 && c.TopP <= 1):
		return jsonerr.Fieldf("top_p", "is %g, expected 0 (off) to 1", c.TopP)
	case !finite(c.RepetitionPenalty):
		return jsonerr.Fieldf("repetition_penalty", "is %g, expected 0 (off) or more", c.RepetitionPenalty)
	}
	return nil
}

// Sampler chooses the tokens of one sequence.
type Sampler struct {
	cfg        Config
	suppressed []int32
	rng        *rand.PCG
	vocab      int
	scores     []float32 // [vocabulary]
	probs      []float64 // [vocabulary], when sampling
	order      []int32   // the candidates of top-p
	heap       []float32 // the K greatest scores
	seen       []bool    // [vocabulary], with a penalty
	short      *Sampler  // of the likeliest tokens, whose ids are
	ids        []int32   // these, in order
}

// New returns a sampler over a vocabulary. It never chooses suppressed ids: tokens that are not words, such as <image>
// and <bos>, and rows of the logits without a token. Random numbers come from PCG (math/rand/v2), seeded with (Seed,
// 0x9e3779b97f4a7c15): the same logits and seed give the same tokens everywhere.
func New(cfg Config, vocab int, suppressed []int32) *Sampler {
	return &Sampler{cfg: cfg, suppressed: suppressed, rng: rand.NewPCG(cfg.Seed, 0x9e3779b97f4a7c15),
		vocab: vocab, scores: make([]float32, vocab)}
}

// Next chooses a token from logits [vocabulary], which it does not change. seen are the ids so far, including <image>
// and <bos> of the prompt; only the penalty uses them. NaN logits count as suppressed.
func (s *Sampler) Next(logits []float32, seen []int32) int32 {
	if s.Greedy() { // avoids a copy
		if best := argmax(logits); s.Settles(best) && logits[best] == logits[best] {
			return best
		}
	}
	s.load(logits)
	s.penalize(seen)
	id := argmax(s.scores)
	switch {
	case math.IsInf(float64(s.scores[id]), -1):
		return s.firstAllowed()
	case s.cfg.Temperature > 0:
		return s.draw(id)
	}
	return id
}

// Greedy reports whether Next chooses the token with the greatest logit.
func (s *Sampler) Greedy() bool {
	return s.cfg.Temperature == 0 && (s.cfg.RepetitionPenalty == 0 || s.cfg.RepetitionPenalty == 1)
}

// Settles reports whether Next would choose best, the first of the greatest logits, so that the other logits are not
// needed: sampling is greedy without a penalty, and best is not suppressed. best is -1 where there is none.
func (s *Sampler) Settles(best int32) bool {
	return s.Greedy() && best >= 0 && int(best) < len(s.scores) && !slices.Contains(s.suppressed, best)
}

// Logprob returns the log-probability of a token in the softmax over all tokens that are not suppressed, before
// penalty, temperature, top-k and top-p: log_softmax of output_logits with the suppressed ids at -inf. For greedy
// decoding without a penalty it equals compute_transition_scores(…, normalize_logits=True). It is 0 where every logit
// is NaN or -Inf.
func (s *Sampler) Logprob(logits []float32, id int32) float64 {
	s.load(logits)
	total := logSumExp(s.scores)
	if math.IsInf(total, -1) {
		return 0
	}
	if p := float64(logits[id]) - total; !math.IsNaN(p) {
		return p
	}
	return 0 // an infinite logit takes all the probability
}

// Alternative is a token that might have been chosen.
type Alternative struct {
	ID      int32
	Logprob float64 // as Sampler.Logprob tells it
}

// Top returns the n likeliest tokens by their logits, the likeliest first and of equals the first; suppressed ones are
// left out.
func (s *Sampler) Top(logits []float32, n int) []Alternative {
	s.load(logits)
	total := logSumExp(s.scores)
	if n <= 0 || math.IsInf(total, 0) {
		return nil
	}
	best := make([]int32, 0, n+1)
	for id, v := range s.scores {
		if math.IsInf(float64(v), -1) || len(best) == n && v <= s.scores[best[n-1]] {
			continue
		}
		at := len(best)
		for at > 0 && v > s.scores[best[at-1]] {
			at--
		}
		best = slices.Insert(best, at, int32(id))
		best = best[:min(len(best), n)]
	}
	var list []Alternative
	for _, id := range best {
		list = append(list, Alternative{id, float64(s.scores[id]) - total})
	}
	return list
}

// firstAllowed returns the first id that is not suppressed, the choice where every logit is NaN or -Inf.
func (s *Sampler) firstAllowed() int32 {
	for id := range int32(len(s.scores)) {
		if !slices.Contains(s.suppressed, id) {
			return id
		}
	}
	return 0
}

// load copies the logits, with -Inf for NaN and for suppressed ids.
func (s *Sampler) load(logits []float32) {
	inf := float32(math.Inf(-1))
	copy(s.scores, logits)
	for i := len(logits); i < len(s.scores); i++ {
		s.scores[i] = inf
	}
	for i, v := range s.scores {
		if v != v {
			s.scores[i] = inf
		}
	}
	for _, id := range s.suppressed {
		if id >= 0 && int(id) < len(s.scores) {
			s.scores[id] = inf
		}
	}
}

// penalize divides positive and multiplies negative scores of seen tokens by the penalty, once each
// (RepetitionPenaltyLogitsProcessor).
func (s *Sampler) penalize(seen []int32) {
	if s.cfg.RepetitionPenalty == 0 || s.cfg.RepetitionPenalty == 1 {
		return
	}
	if s.seen == nil {
		s.seen = make([]bool, len(s.scores))
	}
	penalty := float32(s.cfg.RepetitionPenalty)
	for _, id := range seen {
		if id < 0 || int(id) >= len(s.scores) || s.seen[id] {
			continue
		}
		s.seen[id] = true
		if v := s.scores[id]; v < 0 {
			s.scores[id] = v * penalty
		} else {
			s.scores[id] = v / penalty
		}
	}
	for _, id := range seen {
		if id >= 0 && int(id) < len(s.scores) {
			s.seen[id] = false
		}
	}
}

// argmax returns the index of the first of the greatest, as torch.argmax, and ignores NaN.
func argmax(scores []float32) int32 {
	best, top := 0, float32(math.Inf(-1))
	for i, v := range scores {
		if v > top { // false for NaN
			best, top = i, v
		}
	}
	return int32(best)
}

// logSumExp returns log(sum(exp(scores))).
func logSumExp(scores []float32) float64 {
	top := float64(scores[argmax(scores)])
	if math.IsInf(top, 0) {
		return top
	}
	sum := 0.0
	for _, v := range scores {
		// Terms below e^-45 of the greatest change nothing, even 2^20 of them.
		if d := float64(v) - top; d > -45 {
			sum += math.Exp(d)
		}
	}
	return top + math.Log(sum)
}
