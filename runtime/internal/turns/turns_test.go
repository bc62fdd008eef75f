package turns

import (
	"slices"
	"testing"
)

// Clients take turns, whoever has how many; those of one stay in order, also where some leave.
func TestClientsTakeTurns(t *testing.T) {
	var q Queue[string]
	push := func(list ...string) {
		for _, name := range list {
			q.Push(name[:1], name)
		}
	}
	var got []string
	take := func(n int) {
		for range n {
			name, _ := q.Next()
			got = append(got, name)
			if !q.Remove(name[:1], name) || q.Remove(name[:1], name) {
				t.Errorf("%s is there twice or not at all", name)
			}
		}
	}
	push("a1", "a2", "a3", "a4", "a5", "b1", "b2", "c1")
	take(4)
	push("d1", "c2")
	next, _ := q.Next()
	q.Remove("a", "a4")
	if now, ok := q.Next(); !ok || now != next {
		t.Error("the turn changes when another leaves")
	}
	q.Remove("c", "c2")
	take(q.Len())
	if want := []string{"a1", "b1", "c1", "a2", "b2", "a3", "d1", "a5"}; !slices.Equal(got, want) {
		t.Errorf("order %v, expected %v", got, want)
	}
	if _, ok := q.Next(); ok || q.Len() != 0 {
		t.Errorf("%d are left", q.Len())
	}
}
