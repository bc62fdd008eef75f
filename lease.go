package pgc

import "sync"

// lease keeps what must not go while it is used: users take it and give it back, and the last one after shut releases
// it. The zero lease is shut.
type lease struct {
	mu      sync.Mutex
	open    bool
	users   int
	release func() error
}

func newLease(release func() error) lease { return lease{open: true, release: release} }

// take adds a user, or returns ErrClosed.
func (l *lease) take() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return ErrClosed
	}
	l.users++
	return nil
}

// give removes a user.
func (l *lease) give() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users--
	return l.end()
}

// shut lets nobody take the lease any more.
func (l *lease) shut() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return nil
	}
	l.open = false
	return l.end()
}

func (l *lease) end() error {
	if l.open || l.users > 0 {
		return nil
	}
	return l.release()
}
