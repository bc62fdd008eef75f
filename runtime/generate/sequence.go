package generate

import (
	"context"
	"slices"
	"time"

	"pgc/runtime/sample"
	"pgc/runtime/tokenizer"
)

// sequence is an answer in the making, whose keys and values are in a copy of the cache.
type sequence struct {
	s       *Session
	r       Request
	a       *Answer
	copy    int
	prefix  int
	seen    []int32 // the prompt and what came after it, but for the last token
	next    int32   // the last token, which no function has seen yet
	sampler *sample.Sampler
	out     *output
	began   time.Time // when its prompt was done
	done    bool
}

// begin encodes the pictures of a request, whose prompt is p, runs the prompt, and chooses the first token.
func (s *Session) begin(ctx context.Context, r Request, p tokenizer.Prompt, copy int) (*sequence, error) {
	q := &sequence{s: s, r: r, a: &Answer{PromptTokens: len(p.IDs), FinishReason: "length"}, copy: copy, prefix: p.Prefix, seen: slices.Clone(p.IDs)}
	var err error
	if q.a.Preprocess, q.a.Encode, err = s.Encode(ctx, r.Pictures); err != nil {
		return nil, err
	}
	start := time.Now()
	s.start(s.prefill, p, len(r.Pictures))
	s.prefill.Use(copy)
	if err := s.prefill.Run(ctx, 0); err != nil {
		return nil, err
	}
	q.sampler = sample.New(r.Sample, s.Model.VocabSize, s.Model.Suppressed)
	q.out = newOutput(s, r)
	if q.done = r.MaxNewTokens <= 0; !q.done {
		err = s.choose(ctx, q)
	}
	// The first token belongs to the prompt.
	q.began = time.Now()
	q.a.Prefill = q.began.Sub(start)
	return q, err
}

// step runs the decoder over the last token of a sequence and chooses another one.
func (s *Session) step(ctx context.Context, q *sequence) error {
	s.Engine.Ints("ids")[0] = q.next
	s.decode.Use(q.copy)
	s.decode.Set("prefix", q.prefix)
	s.decode.Set("past", len(q.seen))
	q.seen = append(q.seen, q.next)
	s.decode.Set("T", len(q.seen))
	if err := s.decode.Run(ctx, 0); err != nil {
		return err
	}
	return s.choose(ctx, q)
}

// choose takes a token behind the last one that prefill or decode saw.
func (s *Session) choose(ctx context.Context, q *sequence) error {
	id, logprob, err := s.Choose(ctx, q.sampler, q.seen, q.r.Logprobs)
	if err == nil {
		q.take(id, logprob)
	}
	return err
}

// take adds a token to the answer, and sees whether it is the last one.
func (q *sequence) take(id int32, logprob float64) {
	if q.r.Logprobs {
		q.a.Logprobs = append(q.a.Logprobs, logprob)
	}
	q.a.Tokens = append(q.a.Tokens, id)
	q.next = id
	before := q.out.text.Len()
	switch {
	case slices.Contains(q.s.Model.EOS, int(id)), q.out.add(id):
		q.a.FinishReason, q.done = "stop", true
	case len(q.seen) >= q.s.Model.MaxTokens, len(q.a.Tokens) == q.r.MaxNewTokens:
		q.done = true
	}
	if q.done {
		q.out.flush()
		q.a.Text = q.out.text.String()
		if !q.began.IsZero() {
			q.a.Decode = time.Since(q.began)
		}
	}
	if q.r.OnToken != nil {
		q.r.OnToken(Token{ID: id, Text: q.out.text.String()[before:], Logprob: logprob})
	}
}

// most is how many tokens the sequence may come to.
func (q *sequence) most() int {
	return min(q.a.PromptTokens+q.r.MaxNewTokens, q.s.Model.MaxTokens)
}
