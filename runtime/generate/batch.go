package generate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"pgc/runtime/engine"
)

// ahead is how many requests may be answered before an older one is, whose answer theirs then wait for.
const ahead = 64

// Batch answers n requests, several at a time: request gives the next one, which is asked for once and in order, or why there is none, and
// answer gets the answers, or why there is none, in the same order. A prompt runs alone; from then on a step of the decoder takes a token
// of every sequence there is. Answers have the bits of Generate. An error of answer or of ctx ends it.
func (s *Session) Batch(ctx context.Context, n int, request func(i int) (Request, error), answer func(i int, a *Answer, err error) error) error {
	most := min(s.sequences(), n)
	if most > 1 && s.Engine.Copies(s.sequences()) != nil { // no room for more than one cache
		most = 1
	}
	b := &batch{s: s, ctx: ctx, slots: make([]*sequence, most), at: make([]int, most), done: map[int]result{}}
	for b.answered < n {
		if err := b.admit(n, request, answer); err != nil {
			return err
		}
		if err := b.step(); err != nil {
			return err
		}
		if err := b.flush(answer); err != nil {
			return err
		}
	}
	return nil
}

// sequences is how many sequences the functions for a batch work on.
func (s *Session) sequences() int { return s.Engine.Program.Copies }

type result struct {
	a   *Answer
	err error
}

// batch is a run of Batch.
type batch struct {
	s        *Session
	ctx      context.Context
	slots    []*sequence // by copy of the cache; nil where there is none
	at       []int       // which requests they are
	live     int
	next     int // request to ask for
	waiting  *Request
	answered int
	done     map[int]result // of requests behind the first that is not answered
}

// admit begins requests while there is room. One that its prompt settles, or that cannot be answered, does not wait for the next one's prompt.
func (b *batch) admit(n int, request func(i int) (Request, error), answer func(i int, a *Answer, err error) error) error {
	for b.next < n && b.live < len(b.slots) && b.next < b.answered+ahead {
		if b.waiting == nil {
			r, err := request(b.next)
			if err != nil {
				b.end(b.next, nil, err)
				b.next++
				if err := b.flush(answer); err != nil {
					return err
				}
				continue
			}
			b.waiting = &r
		}
		q, err := b.begin(*b.waiting)
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if errors.As(err, new(scarce)) && b.live > 0 {
			return nil // those that are there will leave some
		}
		switch {
		case err != nil:
			b.end(b.next, nil, err)
		case q.done:
			b.end(b.next, q.finish(), nil)
		default:
			b.slots[q.copy], b.at[q.copy] = q, b.next
			b.live++
		}
		b.waiting = nil
		b.next++
		if err := b.flush(answer); err != nil {
			return err
		}
	}
	return nil
}

// begin begins a request in a free copy of the cache.
func (b *batch) begin(r Request) (*sequence, error) {
	p, err := b.s.layout(&r)
	if err != nil {
		return nil, err
	}
	others, free := int64(0), 0
	for i, q := range b.slots {
		if q != nil { // what it has already counts as taken
			others += b.s.cache(q.most() - len(q.seen))
		}
		if q == nil {
			free = i
		}
	}
	if err := b.s.enough(p, &r, others); err != nil {
		return nil, err
	}
	return b.s.begin(b.ctx, r, p, free)
}

func (b *batch) end(i int, a *Answer, err error) { b.done[i] = result{a, err} }

// flush hands over the answers that no older request keeps waiting.
func (b *batch) flush(answer func(i int, a *Answer, err error) error) error {
	for {
		r, ok := b.done[b.answered]
		if !ok {
			return nil
		}
		delete(b.done, b.answered)
		if err := answer(b.answered, r.a, r.err); err != nil {
			return err
		}
		b.answered++
	}
}

// step takes every sequence a token further.
func (b *batch) step() error {
	failed := map[int]error{}
	if b.live >= b.s.worthwhile() {
		if err := b.together(failed); err != nil {
			return err
		}
	} else {
		for i, q := range b.slots {
			if q != nil {
				failed[i] = b.s.step(b.ctx, q)
			}
		}
	}
	if err := b.ctx.Err(); err != nil {
		return err
	}
	for i, q := range b.slots {
		switch {
		case q == nil:
			continue
		case failed[i] != nil:
			b.end(b.at[i], nil, failed[i])
		case q.done:
			b.end(b.at[i], q.finish(), nil)
		default:
			continue
		}
		b.slots[i] = nil
		b.live--
	}
	return nil
}

// worthwhile is from how many sequences on a step for all takes less time than a step for each. It computes eight rows however many
// there are: on two threads of Zen 5 in 4 bits that takes 1.1 to 1.4 times as long as one row with AVX-512-VNNI, and 2.5 to 3.2 times with
// AVX2, whose products, and not the memory, are the limit then.
func (s *Session) worthwhile() int {
	if slices.Contains(s.Engine.Program.Target.Features, "avx512vnni") {
		return 2
	}
	return 4
}

// together does that for all in one run.
func (b *batch) together(failed map[int]error) error {
	s := b.s
	ids, positions := make([]int32, len(s.pasts)), make([]int32, len(s.pasts))
	greedy := true
	for i, q := range b.slots {
		if q != nil {
			ids[i], positions[i] = q.next, int32(len(q.seen))
			q.seen = append(q.seen, q.next)
			greedy = greedy && q.greedy()
		}
	}
	f := s.functions.decodeBatch
	if greedy {
		f = s.functions.stepBatch
	}
	for i, past := range s.pasts {
		f.Set(past, int(positions[i]))
	}
	if err := engine.Put(s.nextBatch, 0, ids); err != nil {
		return err
	}
	if err := engine.Put(f.positions, 0, positions); err != nil {
		return err
	}
	if err := f.Run(b.ctx); err != nil {
		return err
	}
	if greedy {
		if err := engine.Get(s.nextBatch, 0, ids); err != nil || b.settled(ids) {
			return err
		}
	}
	if err := s.logitsBatch.Run(b.ctx); err != nil {
		return err
	}
	for i, q := range b.slots {
		if q != nil {
			failed[i] = s.sample(q, s.logitsBatch.out, i)
		}
	}
	return nil
}

// settled takes the likeliest tokens if these are what all sequences choose.
func (b *batch) settled(ids []int32) bool {
	for i, q := range b.slots {
		if q != nil && !q.sampler.Settles(ids[i]) {
			return false
		}
	}
	for i, q := range b.slots {
		if q != nil {
			q.take(ids[i], 0)
		}
	}
	return true
}

// pastOf is the symbol of decode_batch that counts the tokens before that of a sequence.
func pastOf(i int) string { return fmt.Sprintf("past%d", i) }
