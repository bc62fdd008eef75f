package generate

import "slices"

// queue holds jobs that wait: first those that end what was begun, then those of the clients in turn, of each in the
// order in which they came.
type queue struct {
	ending []*Job
	lines  []*line // of the clients that wait; the first one's turn is next
	count  int     // of all jobs
}

// line is the jobs of a client, one at least.
type line struct {
	client string
	jobs   []*Job
}

// push adds a job behind those of its client. A client that has none in the queue comes behind all others.
func (q *queue) push(j *Job) {
	q.count++
	if j.ends {
		q.ending = append(q.ending, j)
		return
	}
	i := q.of(j)
	if i < 0 {
		i, q.lines = len(q.lines), append(q.lines, &line{client: j.client})
	}
	q.lines[i].jobs = append(q.lines[i].jobs, j)
}

// next returns the job whose turn it is, or nil. Only one that ends what was begun comes before it while it waits.
func (q *queue) next() *Job {
	if len(q.ending) > 0 {
		return q.ending[0]
	}
	if len(q.lines) == 0 {
		return nil
	}
	return q.lines[0].jobs[0]
}

// remove takes a job out and reports whether it was there. Behind the job whose turn it was it is the next client's.
func (q *queue) remove(j *Job) bool {
	if at := slices.Index(q.ending, j); at >= 0 {
		q.ending = slices.Delete(q.ending, at, at+1)
		q.count--
		return true
	}
	i := q.of(j)
	if i < 0 {
		return false
	}
	l := q.lines[i]
	at := slices.Index(l.jobs, j)
	if at < 0 {
		return false
	}
	q.count--
	l.jobs = slices.Delete(l.jobs, at, at+1)
	if i == 0 && at == 0 || len(l.jobs) == 0 {
		q.lines = slices.Delete(q.lines, i, i+1)
		if len(l.jobs) > 0 {
			q.lines = append(q.lines, l)
		}
	}
	return true
}

// of returns the place of the line of a job's client, or -1.
func (q *queue) of(j *Job) int {
	return slices.IndexFunc(q.lines, func(l *line) bool { return l.client == j.client })
}
