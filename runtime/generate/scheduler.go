package generate

import (
	"context"
	"errors"
	"sync"
	"time"

	"pgc/runtime/grammar"
	"pgc/runtime/rgb"
	"pgc/runtime/tokenizer"
)

// ErrClosed is the error of requests that a scheduler no longer answers.
var ErrClosed = errors.New("the model is closed")

// Scheduler shares a session between many callers. It keeps the sequences of several requests in batch slots, takes all
// of them a token further in one step where that is faster, and lets requests join and leave between steps. An answer
// has the bits of a run of its own. Its methods may be called from any goroutine. Work happens on a goroutine of the
// scheduler's own, which exists while there is some.
type Scheduler struct {
	s     *Session
	ctx   context.Context // done once the scheduler is closed
	close context.CancelCauseFunc

	mu      sync.Mutex
	queue   queue
	running int           // jobs that have left the queue and are not finished
	idle    chan struct{} // closed when the running goroutine ends; nil while none runs
}

// Load is how busy a scheduler is: jobs that it works on, jobs that wait for it, and the sequences that it takes further
// at the same time at most.
type Load struct{ Running, Waiting, Slots int }

// Job is a request that a scheduler has accepted.
type Job struct {
	ctx     context.Context
	release func()
	client  string    // whose turn in the queue it takes
	ends    bool      // whether it ends what was begun, and so comes before all others
	since   time.Time // when it came into the queue
	waited  time.Duration
	request Request
	run     func(ctx context.Context, slot int) error // work other than a request, which needs a slot for itself
	prompt  *prompt                                   // while it is under way
	seq     *sequence                                 // behind it
	answer  *Answer
	err     error
	done    chan struct{}
}

// NewScheduler returns a scheduler of the session, which nobody else may use from then on.
func NewScheduler(s *Session) *Scheduler {
	d := &Scheduler{s: s}
	d.ctx, d.close = context.WithCancelCause(context.Background())
	return d
}

// Grammar returns the grammar of a task's answers.
func (d *Scheduler) Grammar(t grammar.Task) (*grammar.Grammar, error) { return d.s.Grammar(t) }

// Fit resizes an image to the size that the model sees.
func (d *Scheduler) Fit(p *rgb.Image) *rgb.Image { return d.s.Fit(p) }

// Layout is the prompt of a text about some images, as the session's Layout makes it.
func (d *Scheduler) Layout(images int, text string) (tokenizer.Prompt, error) {
	return d.s.Layout(images, text, nil, false)
}

// Fits says why a prompt about some images cannot be run whatever the machine, or returns nil.
func (d *Scheduler) Fits(images int, text string, parseSpecials bool) error {
	p, err := d.s.Layout(images, text, nil, parseSpecials)
	if err != nil {
		return err
	}
	return d.s.fits(p, images)
}

// Submit queues a request. It never blocks.
func (d *Scheduler) Submit(ctx context.Context, r Request) *Job {
	return d.enqueue(ctx, &Job{client: r.Client, request: r})
}

// Do runs work that uses the session directly, with a batch slot that no sequence is in, and returns its error. No step
// runs meanwhile. It takes the client's turn.
func (d *Scheduler) Do(ctx context.Context, client string, work func(ctx context.Context, s *Session, slot int) error) error {
	j := d.enqueue(ctx, &Job{client: client, run: func(ctx context.Context, slot int) error { return work(ctx, d.s, slot) }})
	_, err := j.Wait()
	return err
}

// End is Do for work that a request which has been answered still needs: it comes before all that waits, and has no batch slot.
func (d *Scheduler) End(ctx context.Context, work func(ctx context.Context, s *Session) error) error {
	j := d.enqueue(ctx, &Job{ends: true, run: func(ctx context.Context, _ int) error { return work(ctx, d.s) }})
	_, err := j.Wait()
	return err
}

// Wait returns the answer once it is complete, or why there is none.
func (j *Job) Wait() (*Answer, error) {
	<-j.done
	return j.answer, j.err
}

// Done is closed when Wait would not block.
func (j *Job) Done() <-chan struct{} { return j.done }

// Fail ends all requests with an error, which is that of later ones, too.
func (d *Scheduler) Fail(cause error) { d.close(cause) }

// Close ends all requests with ErrClosed and returns when nothing runs any more.
func (d *Scheduler) Close() {
	d.mu.Lock()
	d.close(ErrClosed)
	idle := d.idle
	d.mu.Unlock()
	if idle != nil {
		<-idle
	}
	d.s.Close()
}

// Load tells how busy the scheduler is now.
func (d *Scheduler) Load() Load {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Load{Running: d.running, Waiting: d.queue.count(), Slots: max(1, d.s.sequences())}
}

func (d *Scheduler) enqueue(ctx context.Context, j *Job) *Job {
	j.done, j.since = make(chan struct{}), time.Now()
	own, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(d.ctx, func() { cancel(context.Cause(d.ctx)) })
	j.ctx = own
	stay := context.AfterFunc(own, func() { d.leave(j) })
	j.release = func() { unlink(); stay(); cancel(nil) }
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		j.finish(nil, context.Cause(d.ctx))
		return j
	}
	d.queue.push(j)
	if d.idle == nil {
		d.idle = make(chan struct{})
		go d.work(d.idle)
	}
	return j
}

// complete ends a job that has used the weights, once these are known to be whole: nothing leaves the scheduler
// before that came from damaged ones.
func (d *Scheduler) complete(j *Job, a *Answer, err error) {
	if d.s.Whole != nil && j.ctx.Err() == nil {
		if damage := d.s.Whole(j.ctx); damage != nil {
			a, err = nil, damage
		}
	}
	d.end(j, a, err)
}

// end finishes a job that has left the queue.
func (d *Scheduler) end(j *Job, a *Answer, err error) {
	d.mu.Lock()
	d.running--
	d.mu.Unlock()
	if a != nil {
		a.Queue = j.waited
	}
	j.finish(a, err)
}

// finish hands the result to whoever waits. An error after the caller's context ended is the context's.
func (j *Job) finish(a *Answer, err error) {
	if err != nil && j.ctx.Err() != nil {
		err = context.Cause(j.ctx)
	}
	j.answer, j.err = a, err
	j.release()
	close(j.done)
}

// work admits jobs and takes their sequences further until there is nothing left to do.
func (d *Scheduler) work(idle chan struct{}) {
	defer close(idle)
	b := &batch{d: d, s: d.s, ctx: d.ctx, slots: make([]*Job, 1, d.s.sequences())}
	for {
		b.prompts()
		if b.live() == 0 && b.begun == nil {
			d.mu.Lock()
			if d.queue.count() == 0 {
				d.idle = nil
				d.mu.Unlock()
				return
			}
			d.mu.Unlock()
			continue
		}
		b.step()
	}
}

// next returns the job whose turn it is, which stays in the queue, or nil.
func (d *Scheduler) next() *Job {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue.next()
}

// leave ends a job whose context is done, if it still waits in the queue.
func (d *Scheduler) leave(j *Job) {
	if d.take(j) {
		d.end(j, nil, j.ctx.Err())
	}
}

// take removes a job from the queue. It reports whether the job was there: its caller may have left.
func (d *Scheduler) take(j *Job) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.queue.remove(j) {
		return false
	}
	d.running++
	j.waited = time.Since(j.since)
	return true
}
