package generate

import (
	"context"
	"slices"
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
// others are cautious guesses. Every draft moves the hope of its match by hopeWeight towards what was accepted, and so does
// every guess that is not verified but followed, as tokens come, at no cost.
var firstHopes = hopes{2: 1.1, 3: 2, 4: 3.5}

const hopeWeight = 0.5

// mayLose is the part of an answer's time that verifying may cost beyond what it saves.
const mayLose = 0.02

// speculation guesses for one sequence.
type speculation struct {
	Speculation
	text  int // where the prompt's text begins
	hopes hopes
	lost  float64 // seconds that verifying took beyond the steps that it saved

	followed     []int32 // a guess that is compared with the tokens that come; nil for none
	behind       int     // how many tokens come before it
	match, right int     // how many tokens its place agreed with, and how many of it were right so far
}

// learn notes that of a guess whose place agreed with match tokens so many were right.
func (p *speculation) learn(match, right int) {
	p.hopes[match] += hopeWeight * (float64(right) - p.hopes[match])
}

// follow compares a guess with the token that came behind so many. It reports whether that ends it. Tokens may have come
// in steps of a batch meanwhile, which compare nothing: the guess then tells nothing.
func (p *speculation) follow(id int32, behind int) bool {
	if p.followed == nil {
		return false
	}
	if behind != p.behind+p.right {
		p.followed, p.right = nil, 0
		return false
	}
	fits := p.followed[p.right] == id
	if fits {
		p.right++
	}
	if fits && p.right < len(p.followed) {
		return false
	}
	p.learn(p.match, p.right)
	p.followed, p.right = nil, 0
	return true
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
type costs struct{ step, verify usual }

// ratio is how many steps cost as much as one that verifies; unknown is the answer before both were run.
func (c costs) ratio(unknown int) float64 {
	if c.step == 0 || c.verify == 0 {
		return float64(unknown)
	}
	return float64(c.verify / c.step)
}

// usual is about the least that something takes: it falls at once and rises by a tenth at most, since what took longer
// may have been held up by others. 0 before the first.
type usual float64

func (u *usual) add(seconds float64) {
	if *u == 0 || seconds < 1.1*float64(*u) {
		*u = usual(seconds)
	} else {
		*u *= 1.1
	}
}

// draft guesses the tokens behind the one that waits, or returns none where a plain step is expected to be better.
func (s *Session) draft(q *sequence) (guess []int32, match int) {
	p := q.speculation
	n := min(entry.VerifyRows-1, q.most()-len(q.seen)-2)
	if p == nil || p.followed != nil || n < 1 || len(q.seen)+entry.VerifyRows > s.Model.MaxTokens {
		return nil, 0
	}
	if guess, match = lookup(append(q.seen, q.waiting[0]), p.text, n); guess == nil {
		return nil, 0
	}
	// A step of all batch slots, which verifying is as well, pays from MinBatch sequences on.
	ratio, step := s.costs.ratio(s.Engine.Program.MinBatch), float64(s.costs.step)
	answer := (q.a.Encode + q.a.Prefill + time.Since(q.began)).Seconds()
	if step == 0 || 1+p.hopes[match] < ratio || p.lost+(ratio-1)*step > mayLose*answer {
		p.followed, p.behind, p.match = guess, len(q.seen)+1, match
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
			logits, err := s.fn.headOf(slices.Repeat([]int32{int32(q.r.Adapter)}, s.sequences()))
			if err != nil {
				return err
			}
			if err := s.score(ctx, logits, make([]*sequence, s.sequences())); err != nil {
				return err
			}
			if err := s.sample(q, logits, row); err != nil {
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
	p.learn(match, accepted)
	return nil
}

// stepGreedy takes a greedy sequence without a grammar a token further, or several where guesses are right.
func (s *Session) stepGreedy(ctx context.Context, q *sequence) error {
	start, c, p := time.Now(), &s.costs, q.speculation
	if guess, match := s.draft(q); guess != nil {
		before := len(q.a.Tokens)
		err := s.stepVerify(ctx, q, guess, match)
		if c.verify == 0 { // the first run also meets pages that nothing has read yet
			c.verify = usual(c.ratio(s.Engine.Program.MinBatch)) * c.step
		}
		c.verify.add(time.Since(start).Seconds())
		p.lost += float64(c.verify) - float64(len(q.a.Tokens)-before)*float64(c.step)
		return err
	}
	run := s.stepAhead
	if !s.queues() {
		run = func(ctx context.Context, q *sequence) error {
			return s.stepAlone(ctx, q, s.fn.adapted[q.r.Adapter].step)
		}
	}
	if err := run(ctx, q); err != nil {
		return err
	}
	c.step.add(time.Since(start).Seconds())
	if p != nil && p.follow(q.waiting[0], len(q.seen)) {
		c.verify *= 0.95 // it may have become cheaper: it is tried again some time
	}
	return nil
}
