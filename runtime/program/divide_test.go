package program

import (
	"fmt"
	"testing"
)

// TestDivide divides a product of 266 rows by 64 units of columns, and two parts of one row, for some numbers of threads.
func TestDivide(t *testing.T) {
	rows := Launch{Tasks: Mul(CeilDiv(C(64), Sym(1)), CeilDiv(Sym(0), Mul(C(24), Sym(2)))), Grains: []int64{4, 12}}
	parts := Launch{Tasks: Add(CeilDiv(C(128), Sym(1)), CeilDiv(C(16), Min(Sym(1), C(2)))), Grains: []int64{8}}
	for _, c := range []struct {
		l       *Launch
		threads int
		want    string
	}{
		{&rows, 1, "16 tasks, grains [4 12]"}, {&rows, 2, "16 tasks, grains [4 12]"}, {&rows, 4, "32 tasks, grains [2 12]"},
		{&rows, 12, "128 tasks, grains [1 11]"}, {&rows, 48, "128 tasks, grains [1 11]"}, {&rows, 96, "192 tasks, grains [1 5]"},
		{&rows, 192, "384 tasks, grains [1 2]"}, {&rows, 1024, "768 tasks, grains [1 1]"},
		{&parts, 1, "24 tasks, grains [8]"}, {&parts, 4, "34 tasks, grains [5]"}, {&parts, 96, "144 tasks, grains [1]"},
	} {
		values := []int64{266, 7, 7}[:1+len(c.l.Grains)]
		n := c.l.Divide(values, c.threads)
		if got := fmt.Sprintf("%d tasks, grains %v", n, values[1:]); got != c.want || n != c.l.Tasks.Eval(values) {
			t.Errorf("%v, %d threads: %s, expected %s", c.l.Tasks, c.threads, got, c.want)
		}
	}
	if rows.Fixed(1) || !parts.Fixed(1) {
		t.Error("what depends on a symbol is fixed, or what does not is not")
	}
}
