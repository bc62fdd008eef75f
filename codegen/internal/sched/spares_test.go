package sched

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"
)

// TestSparesEnd closes pools while spare workers start, come and go, in the middle of runs of several goroutines, some of
// which are canceled, and of profiles: every call returns, what has run has run once, and no thread is left.
func TestSparesEnd(t *testing.T) {
	threads := func() int {
		list, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Skip("no /proc to count threads in")
		}
		return len(list)
	}
	const launches, tasks = 20, 11
	underPressure(t, func() {
		for round := range 45 {
			rng := rand.New(rand.NewPCG(7, uint64(round)))
			p := memory(t, 8*tasks)
			pool := startPool(t, 1+round%3, 64)
			coin := rand.New(rand.NewPCG(8, uint64(round))) // asked by one call at a time
			pool.ReinforceWhen(time.Duration(1+rng.IntN(60))*time.Microsecond, func(bool) bool { return coin.IntN(2) == 0 })
			var list []launch
			for range launches {
				list = append(list, launch{"burn", tasks, []any{p, 100}})
			}
			tab := table(t, list...)
			var mu sync.Mutex // a table is bound to memory that one run uses
			whole := int64(0)
			canceled := false
			var wg sync.WaitGroup
			for g := range 3 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(round), uint64(g)))
					for range 10 {
						ctx, cancel := context.WithCancel(context.Background())
						stop := rng.IntN(3) == 0
						if stop {
							time.AfterFunc(time.Duration(rng.IntN(300))*time.Microsecond, cancel)
						}
						mu.Lock()
						var err error
						if g == 0 && rng.IntN(3) == 0 {
							_, err = pool.Profile(ctx, tab, 0, tab.Launches())
						} else {
							err = pool.Run(ctx, tab, 0, tab.Launches())
						}
						cancel()
						switch {
						case err == nil:
							whole++
						case stop && errors.Is(err, context.Canceled):
							canceled = true
						case err.Error() == "the thread pool is closed":
						default:
							t.Error(err)
						}
						mu.Unlock()
					}
				})
			}
			time.Sleep(time.Duration(rng.IntN(4000)) * time.Microsecond)
			pool.Close()
			wg.Wait()
			for i, n := range words(p) {
				if n < whole*launches || !canceled && n != whole*launches {
					t.Errorf("task %d ran %d times in %d whole runs of %d launches, some canceled: %v", i, n, whole, launches, canceled)
					return
				}
			}
		}
	})
	// Go's own threads stay; each pool had two to six.
	if n := threads(); n > 40 {
		t.Errorf("%d threads are left after 45 pools have been closed", n)
	}
}
