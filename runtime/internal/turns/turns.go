// Package turns holds what waits, by clients who take turns.
package turns

import "slices"

// Queue is what waits, of each client in the order in which it came. The zero Queue is empty.
type Queue[T comparable] struct {
	lines []*line[T] // of the clients that wait; the first one's turn is next
	count int
}

// line is what waits of a client, one at least.
type line[T comparable] struct {
	client string
	list   []T
}

// Len is how many wait.
func (q *Queue[T]) Len() int { return q.count }

// Push adds one behind those of its client. A client of whom none waits comes behind all others.
func (q *Queue[T]) Push(client string, v T) {
	q.count++
	i := q.of(client)
	if i < 0 {
		i, q.lines = len(q.lines), append(q.lines, &line[T]{client: client})
	}
	q.lines[i].list = append(q.lines[i].list, v)
}

// Next returns the one whose turn it is, which stays; ok is false where none waits.
func (q *Queue[T]) Next() (v T, ok bool) {
	if len(q.lines) == 0 {
		return v, false
	}
	return q.lines[0].list[0], true
}

// Remove takes one of a client's out and reports whether it was there. Behind the one whose turn it was it is the next client's.
func (q *Queue[T]) Remove(client string, v T) bool {
	i := q.of(client)
	if i < 0 {
		return false
	}
	l := q.lines[i]
	at := slices.Index(l.list, v)
	if at < 0 {
		return false
	}
	q.count--
	l.list = slices.Delete(l.list, at, at+1)
	if i == 0 && at == 0 || len(l.list) == 0 {
		q.lines = slices.Delete(q.lines, i, i+1)
		if len(l.list) > 0 {
			q.lines = append(q.lines, l)
		}
	}
	return true
}

// of returns the place of a client's line, or -1.
func (q *Queue[T]) of(client string) int {
	return slices.IndexFunc(q.lines, func(l *line[T]) bool { return l.client == client })
}
