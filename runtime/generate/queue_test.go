package generate

import (
	"slices"
	"testing"
)

// Clients take turns, whoever has how many jobs; the jobs of one stay in order, also where some leave.
func TestClientsTakeTurns(t *testing.T) {
	var q queue
	names := map[*Job]string{}
	jobs := map[string]*Job{}
	push := func(list ...string) {
		for _, name := range list {
			j := &Job{client: name[:1]}
			names[j], jobs[name] = name, j
			q.push(j)
		}
	}
	var got []string
	take := func(n int) {
		for range n {
			j := q.next()
			got = append(got, names[j])
			if !q.remove(j) || q.remove(j) {
				t.Errorf("%s is there twice or not at all", names[j])
			}
		}
	}
	push("a1", "a2", "a3", "a4", "a5", "b1", "b2", "c1")
	take(4)
	push("d1", "c2")
	end := &Job{ends: true}
	q.push(end)
	if q.next() != end || !q.remove(end) || q.remove(end) {
		t.Error("what ends a request is not first, or there twice")
	}
	next := q.next()
	if q.remove(jobs["a4"]); q.next() != next {
		t.Error("the turn changes when another job leaves")
	}
	q.remove(jobs["c2"])
	take(q.count)
	if want := []string{"a1", "b1", "c1", "a2", "b2", "a3", "d1", "a5"}; !slices.Equal(got, want) {
		t.Errorf("order %v, expected %v", got, want)
	}
	if q.next() != nil || q.count != 0 {
		t.Errorf("%d jobs are left", q.count)
	}
}
