package generate

import (
	"context"
	"math"
	"slices"
	"time"

	"pgc/runtime/engine"
	"pgc/runtime/native"
)

// slice is the time that prompts may take before the sequences go on.
type slice struct {
	left time.Duration
	used bool // whether a part ran in it: one always may
}

// unlimited is a slice for whole prompts.
func unlimited() *slice { return &slice{left: math.MaxInt64} }

// whole reports whether prompts are run as a whole.
func (b *slice) whole() bool { return b.left == math.MaxInt64 }

// spend takes the time since start from a slice.
func (b *slice) spend(start time.Time) {
	b.used = true
	if !b.whole() {
		b.left -= time.Since(start)
	}
}

// spent reports whether no further part may begin.
func (b *slice) spent() bool { return b.used && b.left <= 0 }

// What a prompt may take between two steps of sequences that somebody waits for: as long as a step takes, so that both get
// half of the time, or quick, which nobody sees. Where further prompts wait, every step that few sequences share makes all of
// them wait longer: it is busySteps times as long then, or brief, in which people read no more than a word.
const (
	quick     = 2 * time.Millisecond
	busySteps = 4
	brief     = 100 * time.Millisecond
	// Nothing waits for steps, but work that ends requests, such as masks, may come.
	long = 100 * time.Millisecond
)

// slice returns the time that prompts have now. Sequences of batches wait for whole prompts, which takes the least time
// altogether.
func (b *batch) slice() *slice {
	watched := slices.ContainsFunc(b.slots, func(j *Job) bool { return j != nil && !j.request.Patient })
	switch {
	case !watched && b.s.fn.masks == nil, !b.s.divides():
		return unlimited()
	case !watched:
		return &slice{left: long}
	}
	others := b.d.Load().Waiting
	if b.begun == nil {
		others-- // its turn is now
	}
	if others > 0 {
		return &slice{left: max(busySteps*b.took, brief)}
	}
	return &slice{left: max(b.took, quick)}
}

// divides reports whether prompts can be run in parts. The memory for that is taken when it is first asked for; where there
// is too little, prompts are run as a whole.
func (s *Session) divides() bool {
	if s.apart {
		return true
	}
	s.apart = s.Engine.Apart(s.fn.ofSteps(), func(bytes int64) error {
		if s.Engine.OnGPU() { // which sees for itself
			return nil
		}
		return native.CheckMemory(bytes, "an arena of steps")
	}) == nil
	return s.apart
}

// alone runs a function from the beginning to the end. Where others share the session, they use the executor between its parts; then
// the function may not work on what steps leave for each other.
func (s *Session) alone(ctx context.Context, f *engine.Func) error {
	if s.lend == nil {
		return f.Run(ctx)
	}
	p := f.Parts()
	for !p.Done() {
		if _, err := s.part(ctx, p, s.lend()); err != nil {
			return err
		}
	}
	return nil
}

// part runs as much of a function as a slice has time for, by how long parts before took for what they cost, and reports
// whether the function is done.
func (s *Session) part(ctx context.Context, p *engine.Parts, b *slice) (done bool, err error) {
	for !p.Done() && !b.spent() {
		most := int64(math.MaxInt64)
		if !b.whole() {
			most = int64(float64(max(0, b.left)) * s.pace)
		}
		start := time.Now()
		cost, err := p.Run(ctx, most)
		if err != nil {
			return false, err
		}
		b.spend(start)
		pace := float64(cost) / float64(max(1, time.Since(start)))
		if s.pace == 0 {
			s.pace = pace
		}
		s.pace = min(pace, (s.pace+pace)/2) // what is too long once is not so again
	}
	return p.Done(), nil
}
