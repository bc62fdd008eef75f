package generate

import (
	"context"
	"time"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
)

// Speculation counts what guessing tokens gave: drafts are steps that verified guesses.
type Speculation struct {
	Drafts, DraftTokens, AcceptedTokens int
}

// Bounds of what a draft is looked up by: so many of the last tokens must have stood together before.
const shortestMatch, longestMatch = 2, 4

// lookup guesses n tokens behind h: those that followed, from index text on, where the last few tokens of h have stood
// before, the most of them, and the latest such place. Where that place ends with h, its tokens repeat. match is how
// many tokens of h stood there; there is no guess where they are fewer than shortestMatch. It is prompt lookup decoding
// (Saxena 2023), from the answer as well as from the prompt.
func lookup(h []int32, text, n int) (guess []int32, match int) {
	last, at := len(h)-1, 0
	match = shortestMatch - 1
	for j := last - 1; j >= text && match < longestMatch; j-- {
		l := 0
		for l < longestMatch && j-l >= text && h[j-l] == h[last-l] {
			l++
		}
		if l > match {
			at, match = j, l
		}
	}
	if match < shortestMatch {
		return nil, 0
	}
	guess = make([]int32, n)
	for i := range guess {
		if k := at + 1 + i; k <= last {
			guess[i] = h[k]
		} else {
			guess[i] = guess[k-last-1]
		}
	}
	return guess, match
}

// hopes are the expected numbers of accepted tokens of drafts, by match.
type hopes [longestMatch + 1]float64

// firstHopes are those of an untried sequence: that of two tokens is measured on the held-out prompts of the demo, the
// others are cautious guesses. Every draft moves the hope of its match by hopeWeight towards what was accepted; every
// one that is not tried lets it grow, so that where all are wrong, one in some hundred steps is spent on finding out.
var firstHopes = hopes{2: 1.1, 3: 2, 4: 3.5}

const hopeWeight, hopeGrowth = 0.5, 1.0 / 128

// speculation guesses for one sequence.
type speculation struct {
	Speculation
	text  int // where the prompt's text begins
	hopes hopes
}

func (s *Session) newSpeculation(ids []int32) *speculation {
	text := len(ids)
	for text > 0 && int(ids[text-1]) != s.Model.Image {
		text--
	}
	return &speculation{text: text, hopes: firstHopes}
}

// costs are the times of the two kinds of steps in this session: what a draft must be worth follows from them, on every
// machine and for every storage of the weights.
type costs struct{ step, verify mean }

// ratio is how many steps cost as much as one that verifies; unknown is the answer before both were run.
func (c costs) ratio(unknown int) float64 {
	if c.step == 0 || c.verify == 0 {
		return float64(unknown)
	}
	return float64(c.verify / c.step)
}

// mean is a mean in which the latest values weigh most; 0 before the first.
type mean float64

func (m *mean) add(v float64) {
	if *m == 0 {
		*m = mean(v)
	}
	*m += mean((v - float64(*m)) / 8)
}

// draft guesses the tokens behind the one that waits, or returns none where a plain step is expected to be better.
func (s *Session) draft(q *sequence) (guess []int32, match int) {
	p := q.speculation
	n := min(entry.VerifyRows-1, q.most()-len(q.seen)-2)
	if p == nil || n < 1 || len(q.seen)+entry.VerifyRows > s.Model.MaxTokens {
		return nil, 0
	}
	if guess, match = lookup(append(q.seen, q.waiting[0]), p.text, n); guess == nil {
		return nil, 0
	}
	// A step of all batch slots, which verifying is as well, pays from MinBatch sequences on.
	if hope := &p.hopes[match]; 1+*hope < s.costs.ratio(s.Engine.Program.MinBatch) {
		*hope += hopeGrowth
		return nil, 0
	}
	return guess, match
}

// stepVerify runs the decoder over the token that waits and those that are guessed behind it, and takes as many as are
// right, and the one behind them: the tokens that steps would have taken one by one.
func (s *Session) stepVerify(ctx context.Context, q *sequence, guess []int32, match int) error {
	ids := append([]int32{q.waiting[0]}, guess...)
	if err := s.runFollowing(ctx, q, s.fn.adapted[q.r.Adapter].verify, ids, entry.VerifyRows); err != nil {
		return err
	}
	if err := engine.Get(s.fn.nextBatch, 0, ids); err != nil {
		return err
	}
	accepted := 0
	for row := 0; ; row++ {
		q.see(1)
		if !q.settles(ids[row]) {
			if err := s.fn.logitsBatch.Run(ctx); err != nil {
				return err
			}
			if err := s.sample(q, s.fn.logitsBatch.out, row); err != nil {
				return err
			}
		} else {
			q.take(ids[row], 0, nil)
		}
		if q.done || row == len(guess) || q.waiting[0] != guess[row] {
			break
		}
		accepted++
	}
	p := q.speculation
	p.Drafts++
	p.DraftTokens += len(guess)
	p.AcceptedTokens += accepted
	p.hopes[match] += hopeWeight * (float64(accepted) - p.hopes[match])
	return nil
}

// stepGreedy takes a greedy sequence without a grammar a token further, or several where guesses are right.
func (s *Session) stepGreedy(ctx context.Context, q *sequence) error {
	start := time.Now()
	if guess, match := s.draft(q); guess != nil {
		defer func() { s.costs.verify.add(time.Since(start).Seconds()) }()
		return s.stepVerify(ctx, q, guess, match)
	}
	defer func() { s.costs.step.add(time.Since(start).Seconds()) }()
	if s.queues() {
		return s.stepAhead(ctx, q)
	}
	return s.stepAlone(ctx, q, s.fn.adapted[q.r.Adapter].step)
}
