package generate

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"pgc/runtime/engine"
	"pgc/runtime/grammar"
)

// asked is what a score asks of the logits of all tokens at one place of an answer. Choosing needs the logits of few tokens,
// so the hidden state is kept until there are as many as the head is read for at once.
type asked struct {
	*grammar.Question
	at     int       // which token's hidden state makes the logits: the one before the token that was chosen
	hidden []float32 // nil until a function has seen that token
}

// ask notes what a score asks of the next token, which was chosen by logits. nil are those of no token, or of a few.
func (q *sequence) ask(question *grammar.Question, logits []float32) {
	if logits != nil {
		question.Answer(logits)
		return
	}
	q.asked = append(q.asked, asked{question, len(q.seen) + len(q.waiting) - 1, nil})
}

// unseen is the number of waiting tokens that functions are still to see: all of them, or behind the last token of an
// answer those that scores ask about.
func (q *sequence) unseen() int {
	switch {
	case !q.ended:
		return len(q.waiting)
	case len(q.asked) == 0:
		return 0
	}
	return max(0, q.asked[len(q.asked)-1].at+1-len(q.seen))
}

// askedAt is what a score asks of the token behind a place, or nil.
func (q *sequence) askedAt(at int) *asked {
	for i := range q.asked {
		if q.asked[i].at == at {
			return &q.asked[i]
		}
	}
	return nil
}

// answered forgets what is answered.
func (q *sequence) answered() {
	q.asked = slices.DeleteFunc(q.asked, func(a asked) bool { return a.Question == nil })
	q.finish()
}

// keep keeps a row of hidden states, of the token at a place of a sequence, if a score asks about it.
func (s *Session) keep(q *sequence, states engine.Tensor, row, at int) error {
	a := q.askedAt(at)
	if a == nil || a.hidden != nil {
		return nil
	}
	a.hidden = make([]float32, s.Model.HiddenSize)
	return engine.Get(states, row*len(a.hidden), a.hidden)
}

// read answers a question with row i of the logits that a function wrote.
func (s *Session) read(a *asked, out engine.Tensor, i int) error {
	if err := engine.Get(out, i*len(s.row), s.row); err != nil {
		return err
	}
	return a.take(s.row)
}

// take answers a question by logits.
func (a *asked) take(logits []float32) error {
	if err := numbers(logits, a.at+1); err != nil {
		return err
	}
	a.Answer(logits)
	a.Question = nil
	return nil
}

// kept is a hidden state that waits for the head, and the number of its sequence in a list.
type kept struct {
	*asked
	of int
}

// answer answers what scores ask of sequences as soon as the head is worth reading: for as many rows as it takes at once, or
// where a sequence waits for nothing else. It returns an error for each sequence.
func (s *Session) answer(ctx context.Context, list []*sequence) []error {
	errs := make([]error, len(list))
	for {
		var rows, later []kept
		for i, q := range list {
			if errs[i] != nil {
				continue
			}
			to := &later
			if q.ended && q.unseen() == 0 {
				to = &rows
			}
			for k := range q.asked {
				if a := &q.asked[k]; a.hidden != nil {
					*to = append(*to, kept{a, i})
				}
			}
		}
		most := s.sequences()
		if len(rows) == 0 && len(later) < most {
			return errs
		}
		rows = append(rows, later...)
		s.readHead(ctx, rows[:min(len(rows), most)], list, errs)
		for _, q := range list {
			q.answered()
		}
	}
}

// readHead reads the head for hidden states, for all at once where that is faster. errs gets the errors of their sequences.
func (s *Session) readHead(ctx context.Context, rows []kept, list []*sequence, errs []error) {
	s.ahead = ahead{}
	together := 1
	if n := len(rows); n > 1 && n >= s.Engine.Program.MinBatch {
		together = n
	}
	for group := range slices.Chunk(rows, together) {
		err := s.readGroup(ctx, group, list, errs)
		for _, k := range group {
			errs[k.of] = cmp.Or(errs[k.of], err)
		}
	}
}

// readGroup runs logits or logits_batch for hidden states.
func (s *Session) readGroup(ctx context.Context, group []kept, list []*sequence, errs []error) error {
	f, states := s.fn.adapted[list[group[0].of].r.Adapter].logits, s.fn.last
	if len(group) > 1 {
		adapters := make([]int32, s.sequences())
		for i, k := range group {
			adapters[i] = int32(list[k.of].r.Adapter)
		}
		var err error
		if f, err = s.fn.headOf(adapters); err != nil {
			return err
		}
		states = s.fn.lastBatch
	}
	for i, k := range group {
		if err := engine.Put(states, i*len(k.hidden), k.hidden); err != nil {
			return err
		}
	}
	if err := f.Run(ctx); err != nil {
		return err
	}
	threads := max(1, s.Engine.Threads())
	for first := 0; first < len(group); first += threads {
		part := group[first:min(len(group), first+threads)]
		if err := s.readPart(f.out, first, part, errs); err != nil {
			return err
		}
	}
	return nil
}

// spare is the i-th row for logits, which hold anything; those before it are there.
func (s *Session) spare(i int) []float32 {
	if i == len(s.rows) {
		s.rows = append(s.rows, make([]float32, s.Model.VocabSize))
	}
	return s.rows[i]
}

// readPart answers questions by rows of logits from the first on, each on a thread.
func (s *Session) readPart(out engine.Tensor, first int, part []kept, errs []error) error {
	for i := range part {
		if err := engine.Get(out, (first+i)*s.Model.VocabSize, s.spare(i)); err != nil {
			return err
		}
	}
	failed := make([]error, len(part))
	var all sync.WaitGroup
	for i, k := range part {
		all.Go(func() { failed[i] = k.take(s.rows[i]) })
	}
	all.Wait()
	for i, k := range part {
		errs[k.of] = cmp.Or(errs[k.of], failed[i])
	}
	return nil
}
