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
	Launches []Span    // from the taking of the first task to the end of the last; empty without tasks
	Threads  [][]Share // by thread and launch; nil where the program's worker loop is from before there were traces
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
	err = p.runTable(ctx, t, from, end)
	*p.i32(program.CtlStamp) = 0
	*p.i64(program.CtlTrace) = 0
	if err != nil {
		return nil, err
	}
	return t.profile(traces, stride, from, end, len(p.workers), p.tick()), nil
}

// profile reads the time stamps of the last run, of the launches from from to end-1, given the duration of a tick in
// nanoseconds.
func (t *Table) profile(traces *Memory, stride, from, end, threads int, tick float64) *Profile {
	var first int64
	for i := from; i < end; i++ {
		if s := *t.i64(i, program.RecStart); s != 0 && (first == 0 || s < first) {
			first = s
		}
	}
	span := func(start, end int64) Span {
		if start == 0 {
			return Span{}
		}
		return Span{time.Duration(float64(start-first) * tick), time.Duration(float64(end-first) * tick)}
	}
	out := &Profile{Launches: make([]Span, end-from)}
	for i := range out.Launches {
		out.Launches[i] = span(*t.i64(from+i, program.RecStart), *t.i64(from+i, program.RecEnd))
	}
	traced := false
	for thread := range threads {
		shares := make([]Share, end-from)
		for i := range shares {
			at := func(field int) int64 { return *(*int64)(traces.at(thread*stride + i*program.TraceBytes + field)) }
			shares[i] = Share{span(at(program.TraceStart), at(program.TraceEnd)),
				time.Duration(float64(at(program.TraceTicks)) * tick), int(at(program.TraceTasks))}
			traced = traced || shares[i].Tasks > 0
		}
		out.Threads = append(out.Threads, shares)
	}
	if !traced {
		out.Threads = nil
	}
	return out
}
