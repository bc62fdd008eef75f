package generate

import (
	"context"

	"pgc/runtime/entry"
)

// SuffixLogprobs runs the model over images, prompt and suffix in a batch slot, and returns the log-probability of each
// token of the suffix and of the <eos> behind it.
func (s *Session) SuffixLogprobs(ctx context.Context, r ForwardRequest, slot int) ([]float32, error) {
	p, err := s.Layout(len(r.Images), r.Prompt, r.Suffix, r.ParseSpecials)
	if err != nil {
		return nil, err
	}
	if err := s.Check(p, len(r.Images), 0, slot); err != nil {
		return nil, err
	}
	s.fn.adapted[r.Adapter].forward.Set(entry.SymSlot, slot)
	if err := s.hidden(ctx, p, r.Images, r.Adapter); err != nil {
		return nil, err
	}
	s.ran(len(p.IDs), slot)
	logprobs := make([]float32, 0, len(p.IDs)-p.Prefix)
	err = s.logits(ctx, r.Adapter, p.Prefix-1, len(p.IDs)-1, func(at int, logits []float32) error {
		for vocab := s.Model.VocabSize; len(logits) > 0; at, logits = at+1, logits[vocab:] {
			logprobs = append(logprobs, float32(logSoftmax(logits[:vocab], int(p.IDs[at+1]))))
		}
		return nil
	})
	return logprobs, err
}

// Loss is the mean of what the log-probabilities of a suffix lack to 0.
func Loss(logprobs []float32) float32 {
	loss := 0.0
	for _, l := range logprobs {
		loss -= float64(l) / float64(len(logprobs))
	}
	return float32(loss)
}
