package generate

import "testing"

// What ends a request comes before all others, and the turn of the others stays.
func TestEndsComeFirst(t *testing.T) {
	var q queue
	a, b, end := &Job{client: "a"}, &Job{client: "b"}, &Job{ends: true, client: "a"}
	for _, j := range []*Job{a, b, end} {
		q.push(j)
	}
	for i, want := range []*Job{end, a, b} {
		if got := q.next(); got != want || q.count() != 3-i || !q.remove(got) || q.remove(got) {
			t.Errorf("job %d is another, or there twice or not at all", i)
		}
	}
	if q.next() != nil || q.count() != 0 {
		t.Errorf("%d jobs are left", q.count())
	}
}
