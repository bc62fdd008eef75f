package generate

import (
	"testing"
	"time"
)

// Few sequences step together where that takes less time, which is seen once and then again from time to time.
func TestPaces(t *testing.T) {
	const one, steps = 10 * time.Millisecond, 1000
	for _, c := range []struct {
		n      int
		all    time.Duration
		queued bool
		least  int // steps together, of all
		most   int
	}{{1, one, false, 0, 0}, {2, 11 * time.Millisecond, false, 950, 999}, {3, 25 * time.Millisecond, false, 950, 999}, {2, 25 * time.Millisecond, false, 1, 50},
		{2, 11 * time.Millisecond, true, 0, 0}, {4, 100 * time.Millisecond, false, steps, steps}, {8, 11 * time.Millisecond, true, steps, steps}} {
		var p paces
		together := 0
		for range steps {
			all := p.together(c.n, 4, c.queued)
			if took := c.all; all {
				together++
				p.note(c.n, true, took)
			} else {
				p.note(c.n, false, time.Duration(c.n)*one)
			}
		}
		if together < c.least || together > c.most {
			t.Errorf("%+v: %d of %d steps together", c, together, steps)
		}
	}
	p := paces{one: one, all: 11 * time.Millisecond}
	for range 3 * seeAgain { // other work slows down what is together
		if p.together(2, 4, false) {
			p.note(2, true, 40*time.Millisecond)
		} else {
			p.note(2, false, 2*one)
		}
	}
	if p.turns = 0; p.together(2, 4, false) {
		t.Error("two step together though it takes longer now")
	}
}
