package native

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestBusy asks whether spare workers should help on made-up machines of two processors, where a pool of two workers has a
// job of 7 ms again and again.
func TestBusy(t *testing.T) {
	type share func(threads float64) (processors float64) // that so many threads get
	among := func(loops float64) share {
		return func(threads float64) float64 { return min(threads, 2*threads/(threads+loops)) }
	}
	idle := func(threads float64) float64 { return min(2, threads) }
	for _, c := range []struct {
		name        string
		share       share
		gives       bool
		until       time.Duration // how long the machine is so; idle afterwards
		least, most float64       // of the time that they help, from the first second on
	}{
		{"idle", idle, false, time.Hour, 0, 0},
		{"four loops", among(4), false, time.Hour, 0.9, 0.99},
		{"two loops", among(2), false, time.Hour, 0.9, 0.99},
		{"one loop", among(1), false, time.Hour, 0.9, 0.99},
		{"four loops, nice", among(4), true, time.Hour, 0, 0},
		{"shared by control groups", func(threads float64) float64 { return 1 }, false, time.Hour, 0, 0.05},
		{"four loops for two seconds", among(4), false, 2 * time.Second, 0, 0.06},
	} {
		var now time.Time
		var u usage
		b := &busy{now: func() time.Time { return now }, usage: func() (usage, bool) { return u, true },
			givesWay: func() bool { return c.gives }, help: shortHelp, pause: shortPause}
		const job, between, all = 7 * time.Millisecond, 100 * time.Microsecond, 60 * time.Second
		begin := now
		var helped, worked time.Duration
		for now.Sub(begin) < all {
			help := b.need(true)
			share, threads := c.share, 2.0
			if now.Sub(begin) > c.until {
				share = idle
			}
			if help {
				threads = 4
			}
			got := time.Duration(float64(job) * share(threads))
			u.ran += got * 2 / time.Duration(threads)
			u.others += got * time.Duration(threads-2) / time.Duration(threads)
			u.waited += 2*job - got*2/time.Duration(threads)
			now = now.Add(job)
			b.need(false)
			if now.Sub(begin) > time.Second {
				worked += job
				if help {
					helped += job
				}
			}
			now = now.Add(between)
		}
		if got := helped.Seconds() / worked.Seconds(); got < c.least || got > c.most {
			t.Errorf("%s: spare workers help %.3f of the time, expected %g to %g", c.name, got, c.least, c.most)
		} else {
			t.Logf("%s: %.3f", c.name, got)
		}
	}
}

// TestUsage reads how a thread is scheduled that computes for 50 ms, beside what its clock says.
func TestUsage(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid := int32(unix.Gettid())
	self := &thread{tid: &tid}
	before, waited, ok := self.schedule()
	if !ok {
		t.Skip("the system does not say how threads are scheduled")
	}
	clock := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	begin, start := time.Now(), clock()
	for clock()-start < 50*time.Millisecond {
	}
	after, waited2, ok := self.schedule()
	const tick = 10 * time.Millisecond // what the thread does is counted at its end
	if d := after - before; !ok || d < 50*time.Millisecond-tick || d > clock()-start+tick {
		t.Errorf("the thread ran %v, expected 50 ms", d)
	}
	if d := waited2 - waited; d < 0 || d > time.Since(begin) {
		t.Errorf("the thread waited %v of %v", d, time.Since(begin))
	}
	tid = 0
	if _, _, ok := self.schedule(); ok {
		t.Error("a thread that there is not was scheduled")
	}
}
