package generate

import (
	"context"
	"slices"
	"time"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/sample"
	"pgc/runtime/tokenizer"
)

// prompt is a request on its way into a batch slot: the encoder runs over its images, the decoder over its tokens, and the
// first token is chosen. It may be interrupted between any two parts of kernels but those behind the prompt's last hidden state.
type prompt struct {
	s      *Session
	q      *sequence
	images encoder
	layout tokenizer.Prompt
	parts  *engine.Parts // of prefill; nil until all images are encoded
	began  time.Time     // of prefill
}

// prompt begins a request, whose prompt is p, in a batch slot.
func (s *Session) prompt(r Request, p tokenizer.Prompt, slot int) *prompt {
	q := &sequence{s: s, r: r, a: &Answer{PromptTokens: len(p.IDs), FinishReason: "length"}, slot: slot, prefix: p.Prefix, seen: slices.Clone(p.IDs)}
	return &prompt{s: s, q: q, layout: p, images: encoder{s: s, images: r.Images, adapter: r.Adapter}}
}

// further runs what fits into a slice, and reports whether the sequence has its first token.
func (x *prompt) further(ctx context.Context, b *slice) (done bool, err error) {
	s, q := x.s, x.q
	if x.parts == nil {
		if done, err := x.images.further(ctx, b); !done || err != nil {
			return false, err
		}
		q.a.Preprocess, q.a.Encode = x.images.preprocessing, x.images.encoding
		x.began = time.Now()
		prefill := s.fn.adapted[q.r.Adapter].prefill
		if err := s.start(prefill, x.layout); err != nil {
			return false, err
		}
		prefill.Set(entry.SymSlot, q.slot)
		x.parts = prefill.Parts()
	}
	if b.spent() {
		return false, nil
	}
	if done, err := s.part(ctx, x.parts, b); !done || err != nil {
		return false, err
	}
	s.ran(len(x.layout.IDs), q.slot)
	return true, x.first(ctx)
}

// first chooses the first token, which belongs to the prompt.
func (x *prompt) first(ctx context.Context) (err error) {
	s, q := x.s, x.q
	s.ahead = ahead{}
	q.sampler = sample.New(q.r.Sample, s.Model.VocabSize, s.Model.SuppressTokens)
	q.out = newOutput(s, q.r)
	if q.r.Grammar != nil {
		q.matcher = q.r.Grammar.Matcher(q.most()-len(x.layout.IDs), q.r.Scores)
	}
	if s.fn.verifies() && q.matcher == nil && q.greedy() {
		q.speculation = s.newSpeculation(x.layout.IDs)
	}
	if q.done = q.r.MaxNewTokens <= 0; !q.done {
		err = s.first(ctx, q)
	}
	q.began = time.Now()
	q.a.Prefill = q.began.Sub(x.began)
	return err
}
