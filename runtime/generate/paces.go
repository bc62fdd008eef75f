package generate

import "time"

// paces is how long steps take on this machine, as it is now: of one sequence, and of all batch slots together. How many sequences it
// takes for one step together to be faster depends on what the limit is, memory or products.
type paces struct {
	one, all time.Duration // 0 before the first
	turns    int           // steps of few sequences
}

// seeAgain is after how many steps of few sequences the other way is tried, since the machine may be another one by now.
const seeAgain = 64

// together reports whether n sequences take the next step together. From least on they do: the compiler knows so. Fewer do
// where it was seen to take less time, unless steps are queued, whose times say nothing.
func (p *paces) together(n, least int, queued bool) bool {
	if n < 2 || n >= least || queued {
		return n > 1 && n >= least
	}
	p.turns++
	pays := p.all > 0 && p.all < time.Duration(n)*p.one
	if p.one > 0 && (p.all == 0 || p.turns%seeAgain == 0) {
		return !pays
	}
	return pays
}

// note takes the time of a step of n sequences. Less counts at once: the first ones touch memory.
func (p *paces) note(n int, together bool, took time.Duration) {
	at := &p.all
	if !together {
		at, took = &p.one, took/time.Duration(n)
	}
	if *at == 0 || took < *at {
		*at = took
	}
	*at = (3**at + took) / 4
}
