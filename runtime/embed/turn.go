package embed

import (
	"context"
	"sync"

	"pgc/runtime/internal/turns"
)

// turn is a lock for which clients take turns.
type turn struct {
	mu    sync.Mutex
	taken bool
	queue turns.Queue[*waiter]
}

// waiter is who waits for the turn.
type waiter struct {
	client string
	come   chan struct{} // closed with the turn
}

// take waits for the client's turn, or returns ctx's error.
func (t *turn) take(ctx context.Context, client string) error {
	t.mu.Lock()
	if !t.taken {
		t.taken = true
		t.mu.Unlock()
		return nil
	}
	mine := &waiter{client, make(chan struct{})}
	t.queue.Push(client, mine)
	t.mu.Unlock()
	select {
	case <-mine.come:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	waits := t.queue.Remove(client, mine)
	t.mu.Unlock()
	if !waits { // it came meanwhile
		t.give()
	}
	return ctx.Err()
}

// give hands the turn to the next one.
func (t *turn) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	next, ok := t.queue.Next()
	if t.taken = ok; ok {
		t.queue.Remove(next.client, next)
		close(next.come)
	}
}

// load returns how many have the turn, and how many wait for it.
func (t *turn) load() (running, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken {
		running = 1
	}
	return running, t.queue.Len()
}
