package pgc

import (
	"context"
	"errors"
	"iter"
	"sync"
)

// ahead is the number of answers that may wait for an older one.
const ahead = 64

// Task is work that a batch does: a Request, a DetectRequest, or an EmbedRequest of one image or query.
type Task interface {
	// start checks the task, decodes its images, and has its answer generated, which finish waits for. A patient task gives
	// way to others' prompts.
	start(ctx context.Context, m *Model, patient bool) (finish func() (Result, error), err error)
}

// Result is the answer to a Request, to a DetectRequest, or to an EmbedRequest.
type Result struct {
	Answer    *Answer
	Detection *Detection
	Embedding *Tensor
	Number    int // of the task in its batch, from 0
}

// Batch answers requests, several at a time, and yields the answers in the requests' order. An error belongs to its
// request alone; the others go on. Images that consecutive requests share are decoded and encoded once.
//
// Batch reads requests on a goroutine of its own, a few more than it works on at a time, so answers come while the next
// request is still awaited. When the loop over the answers ends early or ctx is done, what is under way ends, and
// requests is not resumed again.
func (m *Model) Batch(ctx context.Context, requests iter.Seq[Request]) iter.Seq2[*Answer, error] {
	return func(yield func(*Answer, error) bool) {
		for got, err := range m.Tasks(ctx, tasks(requests)) {
			if !yield(got.Answer, err) {
				return
			}
		}
	}
}

// tasks returns requests as tasks; nil stays nil.
func tasks[R Task](requests iter.Seq[R]) iter.Seq[Task] {
	if requests == nil {
		return nil
	}
	return func(yield func(Task) bool) {
		for r := range requests {
			if !yield(r) {
				return
			}
		}
	}
}

// Tasks is Batch for tasks of all kinds.
func (m *Model) Tasks(ctx context.Context, requests iter.Seq[Task]) iter.Seq2[Result, error] {
	return m.tasks(ctx, requests, func(_ context.Context, order <-chan *pending) <-chan *pending { return order })
}

// TasksAsReady is Tasks that yields results as they are ready: Number says to which task one belongs.
func (m *Model) TasksAsReady(ctx context.Context, requests iter.Seq[Task]) iter.Seq2[Result, error] {
	return m.tasks(ctx, requests, asReady)
}

// asReady passes on what comes when it is done, a bounded number at a time.
func asReady(ctx context.Context, order <-chan *pending) <-chan *pending {
	out, room := make(chan *pending), make(chan struct{}, ahead)
	go func() {
		defer close(out)
		var all sync.WaitGroup
		defer all.Wait()
		for p := range order {
			room <- struct{}{}
			all.Go(func() {
				p.wait()
				select {
				case out <- p:
				case <-ctx.Done():
				}
				<-room
			})
		}
	}()
	return out
}

// tasks does the tasks; arrange says in which order their results come.
func (m *Model) tasks(ctx context.Context, requests iter.Seq[Task], arrange func(context.Context, <-chan *pending) <-chan *pending) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		if m.exe == nil {
			yield(Result{}, ErrClosed)
			return
		}
		if requests == nil {
			yield(Result{}, errors.New("the requests of a batch are nil, expected a sequence"))
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		order := make(chan *pending, ahead)
		results := arrange(ctx, order)
		defer func() { // nothing of this batch runs once the loop has ended
			cancel()
			for {
				select {
				case p, more := <-results:
					if !more {
						return
					}
					p.wait()
				default:
					return
				}
			}
		}()
		go m.feed(ctx, requests, order)
		for {
			select {
			case p, more := <-results:
				if !more {
					if err := ctx.Err(); err != nil {
						yield(Result{}, err)
					}
					return
				}
				if p.wait(); !yield(p.result, p.err) {
					return
				}
			case <-ctx.Done():
				yield(Result{}, ctx.Err())
				return
			}
		}
	}
}

// pending is a request of a batch whose answer comes, or why it cannot be answered. Both may be read after wait.
type pending struct {
	done   chan struct{} // closed when there is one of them
	result Result        // with its number from the beginning
	err    error
}

func (p *pending) wait() { <-p.done }

// begin starts a task.
func begin(ctx context.Context, m *Model, t Task) (finish func() (Result, error), err error) {
	if t == nil {
		return nil, errors.New("a task of a batch is nil, expected a Request, a DetectRequest or an EmbedRequest")
	}
	return t.start(ctx, m, true)
}

// start implements Task.
func (r Request) start(ctx context.Context, m *Model, patient bool) (finish func() (Result, error), err error) {
	q, err := m.request(ctx, r)
	if err != nil {
		return nil, err
	}
	q.Patient = patient
	j := m.scheduler.Submit(ctx, q.Request)
	return func() (Result, error) {
		a, err := m.result(ctx, &q, j)
		return Result{Answer: a}, err
	}, nil
}

// feed starts the tasks, one more than there are batch slots at a time, and closes order behind the last one.
func (m *Model) feed(ctx context.Context, requests iter.Seq[Task], order chan<- *pending) {
	defer close(order)
	room := make(chan struct{}, m.Slots()+1)
	number := 0
	for r := range requests {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		p := &pending{done: make(chan struct{}), result: Result{Number: number}}
		number++
		finish, err := begin(ctx, m, r)
		if err != nil {
			<-room
			p.err = err
			close(p.done)
		} else {
			go func() {
				r, err := finish()
				r.Number = p.result.Number
				p.result, p.err = r, err
				<-room
				close(p.done)
			}()
		}
		select {
		case order <- p:
		case <-ctx.Done():
			p.wait()
		}
		if ctx.Err() != nil { // of two cases that are ready select takes either
			return
		}
	}
}
