package native

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The system shares a busy machine by threads: beside four busy loops on two processors two threads get a third of it
// and four get half. So spare workers help while others keep the workers waiting for processors, if they bring more
// processor time. Where the system shares the machine by control groups they do not, and are tried ever more rarely.
const (
	lookEvery    = 20 * time.Millisecond
	lookAfter    = 40 * time.Millisecond  // of work without spare workers, before their need is judged
	tryFor       = 100 * time.Millisecond // of work with them, before their use is judged
	shortHelp    = 400 * time.Millisecond // of work with them, before their need is judged again; each time twice as long …
	longHelp     = 1600 * time.Millisecond
	shortPause   = 250 * time.Millisecond // after a vain try, before the next one; each time twice as long …
	longPause    = 32 * time.Second
	leastWaiting = 0.2  // of a worker's time, for spare workers to be tried
	leastGain    = 1.12 // of all workers' processor time with them, for them to stay
	watchedOnes  = 4    // workers of each kind whose times are read
)

// Reinforce lets spare workers help while other programs take the workers' processors, as many as these are. A pool of a
// process that gives way to others (nice, SCHED_IDLE), that has a quota of processor time, or that the system does not
// tell how its threads were scheduled, stays as it is. It is called before the first Run.
func (p *Pool) Reinforce() {
	if mayReinforce() {
		b := &busy{now: time.Now, usage: p.usage, givesWay: p.givesWay, help: shortHelp, pause: shortPause}
		p.ReinforceWhen(lookEvery, b.need)
	}
}

// mayReinforce reports whether spare workers may help this process at all.
func mayReinforce() bool {
	limit, _ := quota(machine{})
	return limit == 0 && unix.Access("/proc/self/schedstat", unix.R_OK) == nil
}

// MostThreads returns how many threads a pool of so many workers may have once it is reinforced.
func MostThreads(workers int) int {
	if !mayReinforce() {
		return workers
	}
	return workers + mostSpares(workers)
}

// usage is how long a pool's threads had processors, and how long its workers waited for them.
type usage struct{ ran, others, waited time.Duration }

// busy judges whether spare workers should help.
type busy struct {
	now      func() time.Time
	usage    func() (usage, bool)
	givesWay func() bool

	helping bool
	judged  bool          // while they help: whether they brought enough
	alone   float64       // processors that the workers had last without them
	from    time.Duration // the work done when this period began
	at      usage         // then

	work  time.Duration // time of jobs
	last  time.Time     // when it was counted last
	help  time.Duration // how long they help next
	pause time.Duration // how long they do not after the next vain try
	until time.Time     // they may not be tried before
}

// need is asked as ReinforceWhen says.
func (b *busy) need(idle bool) bool {
	now := b.now()
	if !idle {
		b.work += now.Sub(b.last)
	}
	b.last = now
	period := b.work - b.from
	switch {
	case !b.helping && period >= lookAfter && !now.Before(b.until):
		u := b.turn()
		b.alone = u.ran.Seconds() / period.Seconds()
		b.helping = u.waited.Seconds() > leastWaiting*(u.ran+u.waited).Seconds() && !b.givesWay()
	case b.helping && !b.judged && period >= tryFor:
		u := b.turn()
		if b.judged = (u.ran + u.others).Seconds() >= leastGain*b.alone*period.Seconds(); b.judged {
			b.pause = shortPause
			break
		}
		b.until, b.pause, b.help = now.Add(b.pause), min(2*b.pause, longPause), shortHelp
		b.helping = false
	case b.helping && b.judged && period >= b.help:
		b.turn()
		b.help, b.helping, b.judged = min(2*b.help, longHelp), false, false
	}
	return b.helping
}

// turn begins another period and returns the usage in the last one.
func (b *busy) turn() usage {
	before := b.at
	b.at, _ = b.usage()
	b.from = b.work
	return usage{b.at.ran - before.ran, b.at.others - before.others, b.at.waited - before.waited}
}

// givesWay reports whether other programs come first.
func (p *Pool) givesWay() bool {
	a, err := unix.SchedGetAttr(int(atomic.LoadInt32(p.workers[0].tid)), 0)
	return err == nil && (a.Policy != unix.SCHED_NORMAL || a.Nice > 0)
}

// usage reads how the pool's threads were scheduled: of some, scaled to all. It returns false if the system does not say.
func (p *Pool) usage() (u usage, ok bool) {
	ran, waited, ok := schedule(p.workers)
	others, _, _ := schedule(p.extra)
	return usage{ran, others, waited}, ok
}

// schedule sums how long threads ran and how long they were ready to.
func schedule(threads []*thread) (ran, waited time.Duration, ok bool) {
	watched := threads[:min(len(threads), watchedOnes)]
	for _, t := range watched {
		r, w, ok := t.schedule()
		if !ok {
			return 0, 0, false
		}
		ran, waited = ran+r, waited+w
	}
	scale := func(d time.Duration) time.Duration {
		return d * time.Duration(len(threads)) / time.Duration(max(1, len(watched)))
	}
	return scale(ran), scale(waited), true
}

// schedule reads how long the thread ran and how long it was ready to.
func (t *thread) schedule() (ran, waited time.Duration, ok bool) {
	fd, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/schedstat", atomic.LoadInt32(t.tid)), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, 0, false
	}
	defer unix.Close(fd)
	var text [64]byte // "4711 42 7"
	n, _ := unix.Read(fd, text[:])
	first, rest, _ := strings.Cut(string(text[:max(0, n)]), " ")
	second, _, ok := strings.Cut(rest, " ")
	r, err := strconv.ParseInt(first, 10, 64)
	w, err2 := strconv.ParseInt(second, 10, 64)
	return time.Duration(r), time.Duration(w), ok && err == nil && err2 == nil
}
