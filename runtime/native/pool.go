package native

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"pgc/runtime/program"
)

// MaxThreads bounds the threads of a Pool.
const MaxThreads = 1024

// A worker that waits for the others to complete a launch spins for about 200 µs before it sleeps in the kernel: as
// long as going to sleep and being woken takes. With more threads than run at once it sleeps at once. Threads are bound
// to a socket at most, not to processors: a bound thread whose processor another program takes holds its task, and with it everyone, for
// whole time slices, while the system moves an unbound one.
const spinMicros = 200

// Pool is a set of native threads that run launch tables with the executable's own worker loop. Its methods may be
// called from any goroutine; runs happen one at a time.
type Pool struct {
	mu      sync.Mutex
	ctl     *Memory // program.Ctl…; nil when closed
	scratch *Memory
	workers []*thread
	extra   []*thread // spare workers
	spares  *spares   // when they help; nil for never
	entry   uintptr   // the worker loop
	near    []int     // processors that the threads keep to; nil for all
	epoch   uint32    // of the last job
	next    int64     // the number of the next launch
	watched *watch    // the last Run's context; nil if that could not be canceled
	tick    float64   // nanoseconds of a tick of the clock; 0 as long as nothing was profiled
	code    []byte
}

// Start maps scratch memory and starts the threads. code is mapped executable, entry the offset in it of the worker
// loop (program.Program.WorkerOffset); scratchBytes is what each thread needs (ScratchBytes). The pool must be closed
// before code is unmapped.
func Start(code []byte, entry int64, threads int, scratchBytes int64) (*Pool, error) {
	if threads < 1 || threads > MaxThreads {
		return nil, fmt.Errorf("cannot use %d threads, expected 1 to %d", threads, MaxThreads)
	}
	if entry < 0 || entry >= int64(len(code)) || scratchBytes < 0 {
		return nil, fmt.Errorf("worker loop at %d in %d bytes of code, %d bytes of scratch memory", entry, len(code), scratchBytes)
	}
	stride := (scratchBytes + int64(pageBytes) - 1) / int64(pageBytes) * int64(pageBytes)
	explain(code)
	p := &Pool{code: code, next: 1, entry: addr(code) + uintptr(entry), near: home(threads)}
	var err error
	if p.ctl, err = Reserve(int64(program.CtlBytes + threads*program.ShareBytes)); err != nil {
		return nil, err
	}
	if p.scratch, err = Reserve(stride * int64(2*threads)); err != nil { // of spare workers as well
		p.ctl.Close()
		return nil, err
	}
	*p.i64(program.CtlScratch) = int64(p.scratch.Addr())
	*p.i64(program.CtlStride) = stride
	*p.i64(program.CtlThreads) = int64(threads)
	*p.i64(program.CtlState) = program.StateClosed
	if threads <= atOnce() {
		*p.i64(program.CtlSpin) = clockRate() / 1e6 * spinMicros
	}
	for i := range threads {
		w, err := p.launch(i)
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("thread %d of %d: %w", i+1, threads, err)
		}
		p.workers = append(p.workers, w)
	}
	return p, nil
}

// launch starts the thread of a worker.
func (p *Pool) launch(i int) (*thread, error) {
	w, err := start(p.entry, p.ctl.Addr(), uintptr(i), uintptr(i)+1, 0)
	if err == nil && p.near != nil {
		w.keepTo(p.near)
	}
	return w, err
}

// Run executes the launches from first to end-1 of a bound table in order and returns when all are complete. The
// calling goroutine sleeps in a system call meanwhile. What the kernels compute does not depend on the number of
// threads.
//
// When ctx is done, Run returns its error as soon as every worker has ended the task it is in: no kernel runs any more,
// memory that the launches write holds anything, and the pool is ready for the next Run. Run allocates nothing unless
// ctx is another one than the last time.
func (p *Pool) Run(ctx context.Context, t *Table, first, end int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runTable(ctx, t, first, end)
}

func (p *Pool) runTable(ctx context.Context, t *Table, first, end int) error {
	if p.ctl == nil {
		return errors.New("the thread pool is closed")
	}
	if !t.bound {
		return fmt.Errorf("the launches of func %s are not bound to memory", t.name)
	}
	if first < 0 || end < first || end > t.count {
		return fmt.Errorf("func %s: launches %d to %d of %d", t.name, first, end, t.count)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	t.rewind(first, end)
	return p.run(ctx, t.record(first), end-first)
}

// run opens a job over count records and waits until it is finished.
func (p *Pool) run(ctx context.Context, records uintptr, count int) error {
	*p.i64(program.CtlTable) = int64(records)
	*p.i64(program.CtlCount) = int64(count)
	if p.next+int64(count) >= program.MaxLaunch { // after months
		p.next = 1
		for i := range p.workers {
			*p.i64(program.CtlBytes + i*program.ShareBytes) = 0
		}
	}
	*p.i64(program.CtlFirst) = p.next
	*p.i64(program.CtlComplete) = p.next
	p.next += int64(count)
	w := p.watch(ctx)
	p.epoch++
	p.open(uint64(p.epoch) << 32)
	if w != nil {
		w.running(ctx, p.epoch)
	}
	p.wait()
	if atomic.LoadInt64(p.i64(program.CtlState))&program.StateCanceled != 0 {
		return ctx.Err()
	}
	return nil
}

// wait sleeps until the job is finished.
func (p *Pool) wait() {
	done, s := p.i32(program.CtlDone), p.spares
	if s != nil {
		s.look(true)
	}
	for {
		v := atomic.LoadInt32(done)
		switch {
		case uint32(v) == p.epoch:
			return
		case s == nil:
			futexWait(done, v, futexPrivate)
		default:
			futexWaitFor(done, v, s.every)
			s.look(false)
		}
	}
}

// open publishes a new state word and wakes the workers that sleep until its epoch differs.
func (p *Pool) open(state uint64) {
	atomic.StoreInt64(p.i64(program.CtlState), int64(state))
	if atomic.LoadInt32(p.i32(program.CtlSleepers)) > 0 {
		futexWake(p.i32(program.CtlState+4), len(p.workers)+len(p.extra))
	}
}

// ticks returns the duration of a tick of the clock in nanoseconds, which it measures once: the median of a few, since a busy system
// may stop this thread between its two looks at the clocks.
func (p *Pool) ticks() float64 {
	if p.tick == 0 {
		all := []float64{p.measureTick(), p.measureTick(), p.measureTick()}
		slices.Sort(all)
		p.tick = all[1]
	}
	return p.tick
}

func (p *Pool) measureTick() float64 {
	mark := func() (time.Time, int64) {
		p.run(context.Background(), 0, 0) // never canceled: no error
		return time.Now(), *p.i64(program.CtlTicks)
	}
	t0, c0 := mark()
	time.Sleep(20 * time.Millisecond)
	t1, c1 := mark()
	return float64(t1.Sub(t0)) / float64(c1-c0)
}

// Close ends the threads and frees their memory. It waits for a Run in progress and may be called twice.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctl == nil {
		return
	}
	p.watch(context.Background())
	atomic.StoreInt32(p.i32(program.CtlStop), 1)
	if p.spares != nil {
		p.spares.allow(MaxThreads)
	}
	p.epoch++
	p.open(uint64(p.epoch)<<32 | program.StateClosed)
	for _, w := range p.threads() {
		w.join()
	}
	p.ctl.Close()
	p.scratch.Close()
	p.ctl, p.scratch = nil, nil
}

func (p *Pool) i64(offset int) *int64 { return (*int64)(p.ctl.at(offset)) }
func (p *Pool) i32(offset int) *int32 { return (*int32)(p.ctl.at(offset)) }

// at returns a pointer to the byte at an offset.
func (m *Memory) at(offset int) unsafe.Pointer { return unsafe.Pointer(&m.Bytes()[offset]) }
