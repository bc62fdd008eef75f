package generate

import (
	"context"
	"slices"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/sample"
)

// likeliest is what a function tells of logits besides them all, where these are in a device's memory: enough to draw most
// tokens, and a hundredth of the bytes.
type likeliest struct {
	temperatures     engine.Tensor // that the logits are divided by before
	scores, ids, sum engine.Tensor
	n                int // of a row
}

// findLikeliest returns nil where the function, of so many rows, tells no such thing. All temperatures are 1 until others
// are put.
func findLikeliest(l *engine.Lookup, f *engine.Func, rows, vocabulary int) *likeliest {
	if f == nil {
		return nil
	}
	temperatures, err := f.Input(entry.InTemperatures)
	if err != nil {
		return nil
	}
	if l.Err == nil {
		l.Err = engine.Put(temperatures, 0, slices.Repeat([]float32{1}, rows))
	}
	return &likeliest{temperatures, l.Output(f, entry.OutLikeliest), l.Output(f, entry.OutLikeliestIDs), l.Output(f, entry.OutLogSumExp),
		min(entry.MostLikely, vocabulary)}
}

// score has a function write the logits of rows, and what is told of them: the sequences are those of the rows, nil for
// rows that nobody draws from.
func (s *Session) score(ctx context.Context, f scored, rows []*sequence) error {
	if f.likeliest != nil {
		t := make([]float32, len(rows))
		for i, q := range rows {
			if t[i] = 1; q != nil {
				t[i] = q.sampler.Temperature()
			}
		}
		if err := engine.Put(f.temperatures, 0, t); err != nil {
			return err
		}
	}
	return f.Run(ctx)
}

// shortens reports whether n of the likeliest tokens may be enough to choose the next one.
func (q *sequence) shortens(n int) bool {
	return q.matcher == nil && !q.r.Logprobs && q.r.TopLogprobs == 0 && q.sampler.Shortens(n)
}

// sampleLikeliest takes a token by the likeliest ones of row i, or reports false where these do not tell it.
func (s *Session) sampleLikeliest(q *sequence, l *likeliest, i int) (bool, error) {
	if !q.shortens(l.n) {
		return false, nil
	}
	head := sample.Likeliest{Scores: slices.Grow(s.head.Scores[:0], l.n)[:l.n], IDs: slices.Grow(s.head.IDs[:0], l.n)[:l.n]}
	s.head = head
	var sum [1]float32
	if err := engine.Get(l.scores, i*l.n, head.Scores); err != nil {
		return false, err
	}
	if err := engine.Get(l.ids, i*l.n, head.IDs); err != nil {
		return false, err
	}
	if err := engine.Get(l.sum, i, sum[:]); err != nil {
		return false, err
	}
	head.LogSumExp = sum[0]
	id, ok := q.sampler.NextOf(head)
	if ok {
		q.take(id, 0, nil)
	}
	return ok, nil
}
