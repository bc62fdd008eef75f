package generate

import (
	"cmp"
	"context"
	"slices"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
)

// led reports whether a grammar leads the sequence to its next token and nothing else is told of that: one that must
// come is not chosen, and of others only the logits of those that may come are computed. What scores ask is answered later.
func (q *sequence) led() bool { return q.matcher != nil && !q.r.Logprobs }

// stepWaiting runs the decoder over all tokens that wait and chooses the next one. Behind the last token of an answer it
// runs as far as scores ask.
func (s *Session) stepWaiting(ctx context.Context, q *sequence) error {
	for n := q.unseen(); n > 0; n = q.unseen() {
		if err := s.runRows(ctx, q, n); err != nil {
			return err
		}
	}
	switch {
	case q.ended:
		return nil
	case q.led():
		return s.chooseKept(ctx, q)
	}
	return s.choose(ctx, q, false)
}

// runRows runs the decoder over the first of the tokens that wait, most at most, some at once where there are several.
func (s *Session) runRows(ctx context.Context, q *sequence, most int) error {
	f, past := &s.fn.adapted[q.r.Adapter], len(q.seen)
	n := min(most, entry.DecodeRows)
	if n == 1 || past+entry.DecodeRows > s.Model.MaxTokens {
		if err := s.run(ctx, q, f.decode); err != nil {
			return err
		}
		return s.keep(q, s.fn.last, 0, past)
	}
	f.rows.Set(entry.SymRow, n-1)
	if err := s.runFollowing(ctx, q, f.rows, q.waiting[:n], entry.DecodeRows); err != nil {
		return err
	}
	q.see(n)
	for row := range n {
		if err := s.keep(q, s.fn.lastBatch, row, past+row); err != nil {
			return err
		}
	}
	return nil
}

// runFollowing runs a function of so many tokens of a sequence: ids, and behind them any.
func (s *Session) runFollowing(ctx context.Context, q *sequence, f rows, ids []int32, rows int) error {
	s.ahead = ahead{}
	past := len(q.seen)
	positions := make([]int32, rows)
	for i := range positions {
		positions[i] = int32(past + i)
	}
	if err := engine.Put(f.next, 0, append(slices.Clip(ids), make([]int32, rows-len(ids))...)); err != nil {
		return err
	}
	if err := engine.Put(f.positions, 0, positions); err != nil {
		return err
	}
	f.Set(entry.SymSlot, q.slot)
	f.Set(entry.SymPast, past)
	f.Set(entry.SymKeys, past+rows)
	if err := f.Run(ctx); err != nil {
		return err
	}
	s.wrote(past+rows, q.slot)
	return nil
}

// chooseKept chooses the next token of a sequence that a grammar leads, and keeps what scores ask of it.
func (s *Session) chooseKept(ctx context.Context, q *sequence) error {
	if err := s.chooseLed(ctx, q); err != nil {
		return err
	}
	return s.keep(q, s.fn.last, 0, len(q.seen)-1)
}

// chooseLed takes one of the tokens that may come behind the last one that the executor saw.
func (s *Session) chooseLed(ctx context.Context, q *sequence) error {
	ids, parts := s.partsOf(q)
	if parts == nil {
		return s.choose(ctx, q, false)
	}
	for _, p := range parts {
		f := s.fn.parts[p.of]
		f.Set(entry.SymPanel, p.panel)
		if err := f.Run(ctx); err != nil {
			return err
		}
		if err := engine.Get(f.out, 0, s.row[p.panel*entry.PanelRows:][:f.size]); err != nil {
			return err
		}
	}
	return s.takeOf(q, ids, s.row)
}

// takeOf takes one of the tokens ids by their logits; the others hold anything.
func (s *Session) takeOf(q *sequence, ids []int32, logits []float32) error {
	for _, id := range ids {
		if logits[id] != logits[id] {
			return numberError(int(id), len(q.seen))
		}
	}
	q.take(s.pick(q, logits), 0, nil)
	return nil
}

// part is a part of the logits: the number of the function that computes it, and its first panel.
type part struct{ of, panel int }

// More tokens than mostIDs, or more parts than mostParts, are all logits instead. A part that would have few tokens is a
// small one.
const mostIDs, mostParts, fewIDs = 2048, 24, 64

// partsOf returns the tokens that may come next in a sequence, in order, and the parts of the logits that have theirs, or
// nil where all logits are as good or an adapter changes the head, of which parts are the model's alone.
func (s *Session) partsOf(q *sequence) (ids []int32, parts []part) {
	if len(s.fn.parts) == 0 || s.fn.adapted[q.r.Adapter].ownHead {
		return nil, nil
	}
	for id := range q.matcher.Next() {
		if ids = append(ids, id); len(ids) > mostIDs {
			return nil, nil
		}
	}
	slices.Sort(ids)
	panels := s.Model.VocabSize / entry.PanelRows
	for rest := ids; len(rest) > 0; {
		for i, f := range s.fn.parts {
			first := min(int(rest[0])/entry.PanelRows, panels-f.size/entry.PanelRows)
			n, _ := slices.BinarySearch(rest, int32(first*entry.PanelRows+f.size))
			if n > fewIDs || i == len(s.fn.parts)-1 {
				parts, rest = append(parts, part{i, first}), rest[n:]
				break
			}
		}
		if len(parts) > mostParts {
			return nil, nil
		}
	}
	return ids, parts
}

// led are sequences of a batch that grammars lead, and what their choices need.
type led struct {
	ids   map[*sequence][]int32
	parts map[*sequence][]part
	all   []part // of all sequences, in order
}

// ledOf collects what sequences need that are about to choose, or reports false where all logits are as good.
func (s *Session) ledOf(choosing []*sequence) (l led, ok bool) {
	l = led{map[*sequence][]int32{}, map[*sequence][]part{}, nil}
	for _, q := range choosing {
		if !q.led() {
			return l, false
		}
		ids, parts := s.partsOf(q)
		if parts == nil {
			return l, false
		}
		l.ids[q], l.parts[q], l.all = ids, parts, append(l.all, parts...)
	}
	slices.SortFunc(l.all, func(a, b part) int { return cmp.Or(cmp.Compare(a.of, b.of), cmp.Compare(a.panel, b.panel)) })
	l.all = slices.Compact(l.all)
	return l, len(l.all) <= mostParts
}
