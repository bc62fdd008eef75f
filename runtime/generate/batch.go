package generate

import (
	"context"
	"errors"
	"slices"
	"time"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/native"
)

// batch is the sequences that are in the batch slots.
type batch struct {
	d     *Scheduler
	s     *Session
	ctx   context.Context // of steps for several sequences
	slots []*Job          // nil where a slot is free; its capacity is the number of slots that the program has
	most  int             // number of slots there is memory for; 0 until a second one is needed
	begun *Job            // whose prompt is under way, for a slot that is free until then; nil for none
	took  time.Duration   // what a step takes, lately
	paces paces
}

// sequences is the number of sequences that the functions for a batch work on.
func (s *Session) sequences() int { return s.Engine.Program.Slots }

func (b *batch) live() (n int) {
	for _, j := range b.slots {
		if j != nil {
			n++
		}
	}
	return n
}

// free returns a slot without a sequence, or -1.
func (b *batch) free() int {
	if i := slices.Index(b.slots, nil); i >= 0 {
		return i
	}
	if b.most == 0 {
		b.most = cap(b.slots)
		if b.most > 1 && b.s.Engine.Slots(b.most) != nil {
			b.most = 1
		}
	}
	if len(b.slots) == b.most {
		return -1
	}
	b.slots = append(b.slots, nil)
	return len(b.slots) - 1
}

// claimsLast is how long to wait for claims of memory where nothing else can be done.
const claimsLast = 5 * time.Millisecond

// prompts begins jobs and runs their prompts, one after the other, as long as there is room and a slice of time lasts.
func (b *batch) prompts() {
	now := b.slice()
	for !now.spent() {
		for b.begun != nil && b.admit(now) { // what ends requests
		}
		if b.begun == nil && !b.admit(now) {
			return
		}
		if j := b.begun; j != nil {
			if done, err := j.prompt.further(j.ctx, now); done || err != nil {
				b.begun = nil
				b.slots[j.prompt.q.slot], j.seq, j.prompt = j, j.prompt.q, nil
				b.settle(j.seq.slot, err)
				if now.whole() { // there may be somebody now who waits for steps
					now = b.slice()
				}
			}
		}
	}
}

// admit takes the job whose turn it is out of the queue and begins its prompt; other work it does. It reports whether
// there was one that can be worked on. While a prompt is under way that is only work that ends requests. A request that
// lacks memory while others hold or claim some waits for those.
func (b *batch) admit(now *slice) bool {
	d := b.d
	j := d.next()
	if j == nil || b.begun != nil && !j.ends {
		return false
	}
	if j.ctx.Err() != nil {
		d.leave(j)
		return true
	}
	slot := nobody
	if !j.ends {
		if slot = b.free(); slot < 0 {
			return false
		}
	}
	if j.run != nil {
		if !d.take(j) {
			return true
		}
		defer now.spend(time.Now())
		if err := b.lent(j, slot); err != nil {
			d.end(j, nil, err)
		} else {
			d.complete(j, nil, nil)
		}
		return true
	}
	p, err := b.s.layout(&j.request)
	if err == nil {
		err = b.s.enough(p, j.request.MaxNewTokens, slot, b.spokenFor())
	}
	if errors.Is(err, native.ErrMemory) && b.s.pictures.bytes() > 0 { // features can be computed again
		if err = b.s.pictures.drop(); err == nil {
			err = b.s.enough(p, j.request.MaxNewTokens, slot, b.spokenFor())
		}
	}
	if errors.Is(err, native.ErrMemory) {
		if b.live() > 0 {
			return false
		}
		if native.Claimed() > 0 { // by pictures that are decoded
			select {
			case <-time.After(claimsLast):
			case <-j.ctx.Done():
			}
			return false
		}
	}
	if !d.take(j) {
		return true
	}
	if err != nil {
		j.request = Request{}
		d.end(j, nil, err)
		return true
	}
	j.prompt = b.s.prompt(j.request, p, slot)
	b.begun = j
	return true
}

// lent does work other than a request, between whose parts sequences go on and requests end.
func (b *batch) lent(j *Job, slot int) error {
	if !j.ends {
		b.begun = j
		b.s.lend = func() *slice {
			for b.admit(unlimited()) {
			}
			b.step()
			b.s.ahead = ahead{}
			return b.slice()
		}
		defer func() { b.begun, b.s.lend = nil, nil }()
	}
	return j.run(j.ctx, slot)
}

// spokenFor returns the bytes that the sequences may still take. What their slots have already, from them or from
// sequences before, is no longer available memory.
func (b *batch) spokenFor() (bytes int64) {
	for i, j := range b.slots {
		if j != nil {
			bytes += b.s.cache(max(0, j.seq.most()-b.s.used.tokens[i]))
		}
	}
	return bytes
}

// settle frees a slot whose sequence is complete or has failed. An error may be NaN, of damaged weights.
func (b *batch) settle(slot int, err error) {
	j := b.slots[slot]
	var a *Answer
	if err == nil {
		if !j.seq.done {
			return
		}
		a = j.seq.a
	}
	b.slots[slot] = nil
	j.seq, j.request = nil, Request{} // with its images
	b.d.complete(j, a, err)
}

// step takes every sequence a token further. Sequences whose callers have left make room first.
func (b *batch) step() {
	for i, j := range b.slots {
		if j != nil {
			b.settle(i, j.ctx.Err())
		}
	}
	n := b.live()
	if n == 0 {
		return
	}
	errs, start := make([]error, len(b.slots)), time.Now()
	together := b.paces.together(n, b.s.Engine.Program.MinBatch, b.s.queues())
	if together {
		if err := b.stepAll(errs); err != nil {
			for i := range errs {
				errs[i] = err
			}
		}
	} else {
		for i, j := range b.slots {
			if j != nil {
				errs[i] = b.s.step(j.ctx, j.seq)
			}
		}
	}
	b.answer(errs)
	b.paces.note(n, together, time.Since(start))
	b.took = (3*b.took + time.Since(start)) / 4
	for i, j := range b.slots {
		if j != nil {
			b.settle(i, errs[i])
		}
	}
}

// nobody is the position of a batch slot without a sequence: nothing is written there or read.
const nobody = -1

// answer answers what scores ask of the sequences without an error.
func (b *batch) answer(errs []error) {
	var list []*sequence
	for i, j := range b.slots {
		if j != nil && errs[i] == nil {
			list = append(list, j.seq)
		}
	}
	for i, err := range b.s.answer(b.ctx, list) {
		errs[list[i].slot] = err
	}
}

// stepAll decodes a token of every sequence in one step. errs gets the errors of single sequences. Sequences whose next
// token waits already choose none, nor do those that have their last one.
func (b *batch) stepAll(errs []error) error {
	s := b.s
	choosing := b.choosing()
	led, all := s.ledOf(choosing)
	greedy := !all && !slices.ContainsFunc(choosing, func(q *sequence) bool { return !q.greedy() })
	if err := b.decode(greedy); err != nil {
		return err
	}
	switch {
	case all:
		if err := b.chooseLed(led, errs); err != nil {
			return err
		}
		return b.keep()
	case greedy:
		ids := make([]int32, s.sequences())
		if err := engine.Get(s.fn.nextBatch, 0, ids); err != nil {
			return err
		}
		if b.settled(choosing, ids) {
			return b.keep()
		}
	}
	rows := make([]*sequence, s.sequences())
	for _, q := range choosing {
		rows[q.slot] = q
	}
	adapters, _ := b.adapters()
	logits, err := s.fn.headOf(adapters)
	if err != nil {
		return err
	}
	if err := s.score(b.ctx, logits, rows); err != nil {
		return err
	}
	for i, j := range b.slots {
		switch {
		case j == nil:
		case slices.Contains(choosing, j.seq):
			errs[i] = s.sample(j.seq, logits, i)
		default:
			if a := j.seq.askedAt(len(j.seq.seen) - 1); a != nil {
				errs[i] = s.read(a, logits.out, i)
				j.seq.answered()
			}
		}
	}
	return nil
}

// keep keeps what scores ask of the tokens that were decoded last.
func (b *batch) keep() error {
	for i, j := range b.slots {
		if j != nil {
			if err := b.s.keep(j.seq, b.s.fn.lastBatch, i, len(j.seq.seen)-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// choosing lists the sequences that choose a token in the next step.
func (b *batch) choosing() (list []*sequence) {
	for _, j := range b.slots {
		if j != nil && len(j.seq.waiting) == 1 && !j.seq.ended {
			list = append(list, j.seq)
		}
	}
	return list
}

// adapters are the numbers of the sequences' adapters, by slot, and whether there are any.
func (b *batch) adapters() (list []int32, some bool) {
	list = make([]int32, b.s.sequences())
	for i, j := range b.slots {
		if j != nil {
			list[i] = int32(j.seq.r.Adapter)
			some = some || list[i] > 0
		}
	}
	return list, some
}

// decode runs the decoder over a token of every sequence, and finds the likeliest next ones if greedy says so.
func (b *batch) decode(greedy bool) error {
	s := b.s
	ids, positions := make([]int32, s.sequences()), slices.Repeat([]int32{nobody}, s.sequences())
	adapters, adapted := b.adapters()
	keys := 0
	for i, j := range b.slots {
		if j != nil {
			q := j.seq
			ids[i], positions[i] = q.waiting[0], int32(len(q.seen))
			q.see(1)
			keys = max(keys, len(q.seen))
		}
	}
	f, g := s.fn.decodeBatch, s.fn.mixedDecode
	if greedy {
		f, g = s.fn.stepBatch, s.fn.mixedStep
	}
	if adapted {
		f = g.positioned
		if err := engine.Put(g.adapters, 0, adapters); err != nil {
			return err
		}
	}
	f.Set(entry.SymKeys, keys)
	s.ahead = ahead{}
	if err := engine.Put(s.fn.nextBatch, 0, ids); err != nil {
		return err
	}
	if err := engine.Put(f.positions, 0, positions); err != nil {
		return err
	}
	return f.Run(b.ctx)
}

// settled takes the likeliest tokens, by slot, if every sequence that chooses would choose its own.
func (b *batch) settled(choosing []*sequence, ids []int32) bool {
	if slices.ContainsFunc(choosing, func(q *sequence) bool { return !q.settles(ids[q.slot]) }) {
		return false
	}
	for _, q := range choosing {
		q.take(ids[q.slot], 0, nil)
	}
	return true
}

// chooseLed takes tokens by the logits of those that may come.
func (b *batch) chooseLed(l led, errs []error) error {
	s := b.s
	logits := map[*sequence][]float32{}
	for _, p := range l.all {
		f := s.fn.partsBatch[p.of]
		f.Set(entry.SymPanel, p.panel)
		if err := f.Run(b.ctx); err != nil {
			return err
		}
		for q, parts := range l.parts {
			if !slices.Contains(parts, p) {
				continue
			}
			if logits[q] == nil {
				logits[q] = s.spare(len(logits))
			}
			if err := engine.Get(f.out, q.slot*f.size, logits[q][p.panel*entry.PanelRows:][:f.size]); err != nil {
				return err
			}
		}
	}
	for q, ids := range l.ids {
		errs[q.slot] = s.takeOf(q, ids, logits[q])
	}
	return nil
}
