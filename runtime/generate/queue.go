package generate

import (
	"slices"

	"pgc/runtime/internal/turns"
)

// queue holds jobs that wait: first those that end what was begun, then those of the clients in turn.
type queue struct {
	ending []*Job
	others turns.Queue[*Job]
}

// count is the number of all jobs.
func (q *queue) count() int { return len(q.ending) + q.others.Len() }

// push adds a job behind those of its client.
func (q *queue) push(j *Job) {
	if j.ends {
		q.ending = append(q.ending, j)
		return
	}
	q.others.Push(j.client, j)
}

// next returns the job whose turn it is, or nil. Only one that ends what was begun comes before it while it waits.
func (q *queue) next() *Job {
	if len(q.ending) > 0 {
		return q.ending[0]
	}
	j, _ := q.others.Next()
	return j
}

// remove takes a job out and reports whether it was there.
func (q *queue) remove(j *Job) bool {
	if at := slices.Index(q.ending, j); at >= 0 {
		q.ending = slices.Delete(q.ending, at, at+1)
		return true
	}
	return q.others.Remove(j.client, j)
}
