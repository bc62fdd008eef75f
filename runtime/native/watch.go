package native

import (
	"context"
	"sync"
	"sync/atomic"

	"pgc/runtime/program"
)

// watch cancels the jobs that a pool runs under one context once that is done. It stays registered with the context
// from run to run, so that a step of decoding costs nothing.
type watch struct {
	done <-chan struct{} // the context's
	stop func() bool     // of context.AfterFunc

	mu    sync.Mutex
	state *int64 // the pool's state word; nil when the pool no longer watches
	epoch uint32 // of the last job under this context
}

// watch returns the watch of ctx, which becomes the only one, or nil if ctx is never done.
func (p *Pool) watch(ctx context.Context) *watch {
	done := ctx.Done()
	if w := p.watched; w != nil {
		if w.done == done {
			return w
		}
		w.end()
		p.watched = nil
	}
	if done == nil {
		return nil
	}
	w := &watch{done: done, state: p.i64(program.CtlState)}
	w.stop = context.AfterFunc(ctx, w.cancel)
	p.watched = w
	return w
}

// running says which job is open under the context, ctx. It cancels the job if ctx is done already: cancel may have
// been called before it knew of this job.
func (w *watch) running(ctx context.Context, epoch uint32) {
	w.mu.Lock()
	w.epoch = epoch
	w.mu.Unlock()
	if ctx.Err() != nil {
		w.cancel()
	}
}

// cancel cancels the last job under the context, unless another one has been opened since.
func (w *watch) cancel() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.state != nil {
		old := atomic.LoadInt64(w.state)
		if uint32(uint64(old)>>32) != w.epoch || atomic.CompareAndSwapInt64(w.state, old, old|program.StateCanceled) {
			return
		}
	}
}

// end gives up watching: cancel does nothing from now on.
func (w *watch) end() {
	w.stop()
	w.mu.Lock()
	w.state = nil
	w.mu.Unlock()
}
