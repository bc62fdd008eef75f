package pgc

import (
	"context"
	"iter"
	"sync"

	"pgc/runtime/generate"
)

// Stream answers a request token by token. The last pair holds the error if the answer could not be completed. Ending
// the loop early ends the request. Tokens come before the weights have been checked: only the end of the loop without an
// error says that they are right. A slow loop holds up no other request.
func (m *Model) Stream(ctx context.Context, r Request) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		ended := false
		_, err := m.Watch(ctx, r, func(t Token) {
			if !ended && !yield(t, nil) {
				ended = true
				cancel()
			}
		})
		if err != nil && !ended {
			yield(Token{}, err)
		}
	}
}

// Watch is Generate that calls watch with every token as it comes, before the weights have been checked. A slow watch
// holds up no other request.
func (m *Model) Watch(ctx context.Context, r Request, watch func(Token)) (*Answer, error) {
	q, err := m.request(ctx, r)
	if err != nil {
		return nil, err
	}
	list := newTokens()
	q.OnToken = func(t generate.Token) { list.push(token{Token: Token(t)}) }
	j := m.scheduler.Submit(ctx, q.Request)
	go func() { // after the last token
		<-j.Done()
		list.end()
	}()
	for {
		t, more := list.pop()
		if !more {
			return m.result(ctx, &q, j)
		}
		watch(t.Token)
	}
}

// token is a token of one of several answers, or last behind the last one.
type token struct {
	of   int
	last bool
	Token
}

// tokens is an unbounded queue between the goroutine that computes and the one that reads.
type tokens struct {
	mu    sync.Mutex
	ready *sync.Cond
	list  []token
	ended bool
}

func newTokens() *tokens {
	q := &tokens{}
	q.ready = sync.NewCond(&q.mu)
	return q
}

func (q *tokens) push(t token) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, t)
	q.ready.Signal()
}

func (q *tokens) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.ready.Signal()
}

// pop waits for the next token; more is false behind the last one.
func (q *tokens) pop() (t token, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 && !q.ended {
		q.ready.Wait()
	}
	if len(q.list) == 0 {
		return token{}, false
	}
	t = q.list[0]
	q.list = q.list[1:]
	return t, true
}
