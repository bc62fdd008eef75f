package native

import (
	"slices"
	"sync/atomic"
	"time"

	"pgc/runtime/program"
)

// spares are a pool's spare workers: threads beyond those that it was started with. They are started when they are first
// asked for.
type spares struct {
	p     *Pool
	most  int // how many there may be
	every time.Duration
	need  func(idle bool) bool
}

// ReinforceWhen lets up to as many spare workers as the pool has workers help them from now on while need says so. It is
// asked when a job begins, idle then saying that none ran since the last call, every so often while it runs, and when it
// has ended, one call at a time. A pool can be reinforced once.
func (p *Pool) ReinforceWhen(every time.Duration, need func(idle bool) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctl != nil && p.spares == nil {
		p.spares = &spares{p, mostSpares(len(p.workers)), every, need}
	}
}

// mostSpares is how many spare workers a pool may have.
func mostSpares(workers int) int { return min(workers, MaxThreads-workers) }

// look asks whether spare workers should help.
func (s *spares) look(idle bool) {
	n := int32(0)
	if s.need(idle) {
		n = s.start()
	}
	s.allow(n)
}

// allow says how many spare workers may be in jobs and wakes them.
func (s *spares) allow(n int32) {
	word := s.p.i32(program.CtlSpares)
	if atomic.LoadInt32(word) == n {
		return
	}
	if atomic.SwapInt32(word, n) < n {
		futexWake(word, s.most)
	}
}

// start starts the spare workers that are not there yet and returns how many are.
func (s *spares) start() int32 {
	for len(s.p.extra) < s.most {
		w, err := s.p.launch(len(s.p.workers) + len(s.p.extra))
		if err != nil { // a limit: as many as it leaves
			s.most = len(s.p.extra)
			break
		}
		s.p.extra = append(s.p.extra, w)
	}
	return int32(len(s.p.extra))
}

// threads lists the workers and the spare ones.
func (p *Pool) threads() []*thread { return slices.Concat(p.workers, p.extra) }
