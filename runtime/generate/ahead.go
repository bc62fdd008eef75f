package generate

import (
	"context"
	"encoding/binary"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
)

// ahead is steps of a sequence that an executor has been given before their tokens are known: each takes the token that
// the one before left in the state next. The host learns the ids one after the other, and need not be asked in between.
// Whatever else uses the executor ends the row: its steps were done, but none follows them.
type ahead struct {
	of    *sequence // nil for none
	steps []func(context.Context) ([]byte, error)
}

// stepsAhead is how many steps are queued: while the host reads one's id, the executor is at the next.
const stepsAhead = 2

// queues reports whether the executor takes calls ahead.
func (s *Session) queues() bool {
	_, ok := s.Engine.Executor.(engine.Queue)
	return ok
}

// stepAhead takes a greedy sequence a token further. Steps behind the end of the answer, or behind a token that is not to
// be taken, are for nothing: what they leave in the KV cache is written again before it is read.
func (s *Session) stepAhead(ctx context.Context, q *sequence) error {
	if s.ahead.of != q {
		if err := s.put(q.waiting[0]); err != nil {
			return err
		}
		s.ahead = ahead{of: q}
	}
	functions := &s.fn.adapted[q.r.Adapter]
	f := functions.step
	f.Set(entry.SymSlot, q.slot)
	f.Set(entry.SymPrefix, q.prefix)
	for n := len(s.ahead.steps); n < stepsAhead && len(q.seen)+n < s.Model.MaxTokens && len(q.a.Tokens)+n < q.r.MaxNewTokens; n++ {
		f.Set(entry.SymPast, len(q.seen)+n)
		f.Set(entry.SymKeys, len(q.seen)+n+1)
		wait, err := f.Queue(s.fn.next, 4)
		if err != nil {
			return err
		}
		s.ahead.steps = append(s.ahead.steps, wait)
	}
	id, err := s.ahead.steps[0](ctx)
	if err != nil {
		return err
	}
	s.ahead.steps = s.ahead.steps[1:]
	if token := int32(binary.LittleEndian.Uint32(id)); q.settles(token) {
		q.see(1)
		q.take(token, 0, nil)
		return nil
	}
	return s.stepAlone(ctx, q, functions.decode) // again, for its logits
}

// put gives the executor the token of the next step.
func (s *Session) put(id int32) error {
	s.id[0] = id
	return engine.Put(s.fn.next, 0, s.id[:])
}
