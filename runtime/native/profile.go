package native

import (
	"context"
	"errors"
	"time"

	"pgc/runtime/program"
)

// Span is when a launch ran, counted from the start of the first one.
type Span struct{ Start, End time.Duration }

// Share is what one thread did of one launch.
type Share struct {
	Span                // from the beginning of its first task to the end of its last
	Busy  time.Duration // in tasks
	Tasks int
}

// Profile is when the launches of a table ran, and which thread did what of each.
type Profile struct {
	Launches []Span    // from the beginning of the first task to the end of the last; empty without tasks
	Threads  [][]Share // by thread and launch
}

// Profile runs launches of a table like Run and says what went on.
func (p *Pool) Profile(ctx context.Context, t *Table, from, end int) (*Profile, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctl == nil {
		return nil, errors.New("the thread pool is closed")
	}
	stride := max(64, (end-from)*program.TraceBytes)
	traces, err := Reserve(int64(stride * len(p.workers)))
	if err != nil {
		return nil, err
	}
	defer traces.Close()
	*p.i64(program.CtlTrace), *p.i64(program.CtlTraces) = int64(traces.Addr()), int64(stride)
	*p.i32(program.CtlStamp) = 1
	spares := p.spares // have no trace
	if spares != nil {
		spares.allow(0)
		p.spares = nil
	}
	err = p.runTable(ctx, t, from, end)
	p.spares = spares
	*p.i32(program.CtlStamp) = 0
	*p.i64(program.CtlTrace) = 0
	if err != nil {
		return nil, err
	}
	return profile(traces, stride, end-from, len(p.workers), p.ticks()), nil
}

// profile reads the traces of the last run, of so many launches, given the duration of a tick in nanoseconds.
func profile(traces *Memory, stride, launches, threads int, tick float64) *Profile {
	at := func(thread, launch, field int) int64 {
		return *(*int64)(traces.at(thread*stride + launch*program.TraceBytes + field))
	}
	starts, ends := make([]int64, launches), make([]int64, launches)
	var first int64
	for i := range launches {
		for thread := range threads {
			start := at(thread, i, program.TraceStart)
			if start == 0 {
				continue
			}
			if starts[i] == 0 || start < starts[i] {
				starts[i] = start
			}
			ends[i] = max(ends[i], at(thread, i, program.TraceEnd))
		}
		if starts[i] != 0 && (first == 0 || starts[i] < first) {
			first = starts[i]
		}
	}
	span := func(start, end int64) Span {
		if start == 0 {
			return Span{}
		}
		return Span{time.Duration(float64(start-first) * tick), time.Duration(float64(end-first) * tick)}
	}
	out := &Profile{Launches: make([]Span, launches)}
	for i := range out.Launches {
		out.Launches[i] = span(starts[i], ends[i])
	}
	for thread := range threads {
		shares := make([]Share, launches)
		for i := range shares {
			shares[i] = Share{span(at(thread, i, program.TraceStart), at(thread, i, program.TraceEnd)),
				time.Duration(float64(at(thread, i, program.TraceTicks)) * tick), int(at(thread, i, program.TraceTasks))}
		}
		out.Threads = append(out.Threads, shares)
	}
	return out
}
