package generate

import (
	"context"
	"math"
	"slices"
	"time"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/grammar"
	"pgc/runtime/sample"
)

// sequence is an unfinished answer. Its keys and values are in a batch slot.
type sequence struct {
	s       *Session
	r       Request
	a       *Answer
	slot    int
	prefix  int
	seen    []int32 // the prompt and what came after it, as far as functions have seen it
	waiting []int32 // the tokens behind those: one, and those that had to follow it
	sampler *sample.Sampler
	matcher *grammar.Matcher // nil without a grammar
	out     *output
	top     []sample.Alternative // to the token that comes next, if asked for
	began   time.Time            // when its prompt was done
	asked   []asked              // what scores still ask
	ended   bool                 // no token follows
	done    bool                 // and nothing is asked any more

	speculation *speculation // nil where nothing is guessed
}

// first chooses the first token.
func (s *Session) first(ctx context.Context, q *sequence) error {
	if q.led() {
		return s.chooseKept(ctx, q)
	}
	if q.greedy() {
		if err := s.fn.adapted[q.r.Adapter].greedy.Run(ctx); err != nil {
			return err
		}
	}
	return s.choose(ctx, q, q.greedy())
}

// greedy reports whether the sequence takes the likeliest token if that settles the choice.
func (q *sequence) greedy() bool {
	return q.sampler.Greedy() && !q.r.Logprobs && !(q.matcher != nil && q.r.Scores)
}

// settles reports whether the sequence takes the likeliest token, whose logit is no NaN if there is one.
func (q *sequence) settles(best int32) bool {
	return q.sampler.Settles(best) && (q.matcher == nil || q.matcher.Allows(best))
}

// step runs the decoder over the last tokens of a sequence and chooses another one.
func (s *Session) step(ctx context.Context, q *sequence) error {
	switch {
	case q.matcher != nil:
		return s.stepWaiting(ctx, q)
	case !q.greedy():
		return s.stepAlone(ctx, q, s.fn.adapted[q.r.Adapter].decode)
	}
	return s.stepGreedy(ctx, q)
}

// stepAlone is step with a function, decode or step, that is waited for.
func (s *Session) stepAlone(ctx context.Context, q *sequence, f *engine.Func) error {
	if err := s.run(ctx, q, f); err != nil {
		return err
	}
	return s.choose(ctx, q, f == s.fn.adapted[q.r.Adapter].step)
}

// run runs a function, decode or step, over the first of the tokens that wait.
func (s *Session) run(ctx context.Context, q *sequence, f *engine.Func) error {
	s.ahead = ahead{}
	if err := s.put(q.waiting[0]); err != nil {
		return err
	}
	f.Set(entry.SymSlot, q.slot)
	f.Set(entry.SymPrefix, q.prefix)
	f.Set(entry.SymPast, len(q.seen))
	q.see(1)
	f.Set(entry.SymKeys, len(q.seen))
	return f.Run(ctx)
}

// see notes that a function sees the first n of the tokens that wait.
func (q *sequence) see(n int) {
	q.seen = append(q.seen, q.waiting[:n]...)
	q.waiting = q.waiting[n:]
}

// choose takes the token behind the last one that the executor saw, which it has chosen itself if chosen says so. It has
// logits written only if the index of the greatest does not settle the choice.
func (s *Session) choose(ctx context.Context, q *sequence, chosen bool) error {
	if chosen {
		id, err := s.token()
		if err != nil {
			return err
		}
		if q.settles(id) {
			q.take(id, 0, nil)
			return nil
		}
	}
	logits := s.fn.adapted[q.r.Adapter].logits
	if err := s.score(ctx, logits, []*sequence{q}); err != nil {
		return err
	}
	return s.sample(q, logits, 0)
}

// sample takes a token by row i of the logits that a function wrote.
func (s *Session) sample(q *sequence, f scored, i int) error {
	if f.likeliest != nil {
		if done, err := s.sampleLikeliest(q, f.likeliest, i); done || err != nil {
			return err
		}
	}
	if err := engine.Get(f.out, i*len(s.row), s.row); err != nil {
		return err
	}
	if err := numbers(s.row, len(q.seen)); err != nil {
		return err
	}
	id, logprob := s.pick(q, s.row), 0.0
	if q.r.Logprobs {
		logprob = q.sampler.Logprob(s.row, id)
	}
	if q.r.TopLogprobs > 0 {
		q.top = q.sampler.Top(s.row, q.r.TopLogprobs)
		for i := range q.top {
			q.top[i].ID = s.Tokenizer.Original(q.top[i].ID)
		}
	}
	q.take(id, logprob, s.row)
	return nil
}

// pick chooses a token by its logits.
func (s *Session) pick(q *sequence, logits []float32) int32 {
	switch {
	case q.matcher == nil:
		return q.sampler.Next(logits, q.seen)
	case q.sampler.Greedy():
		return q.matcher.Best(logits)
	}
	allowed := slices.Repeat([]float32{float32(math.Inf(-1))}, len(logits))
	for id := range q.matcher.Next() {
		allowed[id] = logits[id]
	}
	if id := q.sampler.Next(allowed, q.seen); q.matcher.Allows(id) {
		return id
	}
	return q.matcher.Best(logits) // all of them are minus infinity
}

// take adds a token to the answer, and sees whether it is the last one. logits are those that it was chosen by, if they
// were read.
func (q *sequence) take(id int32, logprob float64, logits []float32) {
	if q.matcher != nil {
		if question := q.matcher.Take(id); question != nil {
			q.ask(question, logits)
		}
	}
	if q.r.Logprobs {
		q.a.Logprobs = append(q.a.Logprobs, logprob)
	}
	top := q.top
	if q.top = nil; q.r.TopLogprobs > 0 {
		q.a.Top = append(q.a.Top, top)
	}
	own := q.s.Tokenizer.Original(id)
	q.a.Tokens = append(q.a.Tokens, own)
	q.waiting = append(q.waiting, id)
	q.s.wrote(len(q.seen), q.slot)
	before := q.out.text.Len()
	last := q.matcher != nil && q.matcher.Done() || !q.r.IgnoreEOS && slices.Contains(q.s.Model.EOS, int(id))
	stopped := (!last || q.r.KeepSpecials) && q.out.add(id)
	switch {
	case q.matcher != nil && q.matcher.Done():
		if q.ended = true; !q.matcher.Cut() {
			q.a.FinishReason = "stop"
		}
	case last, stopped:
		q.a.FinishReason, q.ended = "stop", true
	case q.a.PromptTokens+len(q.a.Tokens) > q.s.Model.MaxTokens, len(q.a.Tokens) == q.r.MaxNewTokens:
		q.ended = true
	}
	if q.ended {
		q.out.flush()
		q.a.Text = q.out.text.String()
		q.finish()
	}
	if q.r.OnToken != nil {
		q.r.OnToken(Token{ID: own, Text: q.out.text.String()[before:], Logprob: logprob, Top: top})
	}
	if !q.ended && q.led() {
		if next, ok := q.matcher.Forced(); ok {
			q.take(next, 0, nil)
		}
	}
}

// finish completes the answer once its last token is taken and scores ask nothing any more.
func (q *sequence) finish() {
	if !q.ended || len(q.asked) > 0 {
		return
	}
	q.done = true
	if q.matcher != nil {
		q.a.Objects = q.matcher.Objects()
	}
	if q.speculation != nil {
		q.a.Speculation = &q.speculation.Speculation
	}
	if !q.began.IsZero() {
		q.a.Decode = time.Since(q.began)
	}
}

// most returns the number of tokens that the sequence may reach.
func (q *sequence) most() int {
	return min(q.a.PromptTokens+q.r.MaxNewTokens, q.s.Model.MaxTokens)
}
