package sched

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestCancel cancels thousands of jobs at random moments, some before they begin, some when they are over. Each Run
// ends with the context's error or with the whole result, and the next one has the bits of an undisturbed run.
func TestCancel(t *testing.T) {
	const n, tasks, launches = 257, 40, 12
	x, z, p := memory(t, 4*n), memory(t, 4*tasks), memory(t, 8*tasks)
	for i := range n {
		floats(x)[i] = float32(math.Sin(float64(i)))
	}
	list := []launch{{"sum", tasks, []any{x, z, n}}}
	for range launches {
		list = append(list, launch{"burn", tasks, []any{p, 500}})
	}
	tab := table(t, list...)
	var want []float32
	for threads := 1; threads <= 8; threads++ {
		pool := startPool(t, threads, 64)
		begin := time.Now()
		if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
			t.Fatal(err)
		}
		usual := time.Since(begin)
		canceled, whole := 0, 0
		rng := rand.New(rand.NewPCG(1, uint64(threads)))
		underPressure(t, func() {
			for range 200 {
				ctx, cancel := context.WithCancel(context.Background())
				wait := time.Duration(rng.Int64N(int64(usual + usual/4 + 1)))
				go func() {
					for begin := time.Now(); time.Since(begin) < wait; {
						runtime.Gosched()
					}
					cancel()
				}()
				before := words(p)
				switch err := pool.Run(ctx, tab, 0, tab.Launches()); {
				case err == nil:
					whole++
					checkRan(t, before, words(p), launches, launches)
				case errors.Is(err, context.Canceled):
					canceled++
					checkRan(t, before, words(p), 0, launches)
				default:
					t.Error(err)
				}
				if t.Failed() {
					return
				}
				if rng.IntN(4) == 0 {
					clear(floats(z))
					before := words(p)
					if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
						t.Error(err)
						return
					}
					checkRan(t, before, words(p), launches, launches)
					if want == nil {
						want = slices.Clone(floats(z))
					}
					if !slices.Equal(floats(z), want) {
						t.Errorf("%d threads: after a cancellation results differ", threads)
						return
					}
				}
			}
		})
		t.Logf("%d threads: %d runs canceled, %d whole; one takes %v", threads, canceled, whole, usual)
		if canceled == 0 {
			t.Errorf("%d threads: no run was canceled", threads)
		}
		pool.Close()
	}
}

// checkRan checks that each task ran at least min and at most max times between two readings of its counter.
func checkRan(t *testing.T, before, after []int64, min, max int64) {
	t.Helper()
	for i := range after {
		if n := after[i] - before[i]; n < min || n > max {
			t.Errorf("task %d ran %d times, expected %d to %d", i, n, min, max)
		}
	}
}

// TestCancelIsPrompt checks that a run of seconds ends within the time of a few tasks, and that no task runs
// afterwards.
func TestCancelIsPrompt(t *testing.T) {
	const tasks = 1 << 14
	p := memory(t, 8*tasks)
	for _, threads := range []int{1, 2, 5} {
		pool := startPool(t, threads, 64)
		tab := table(t, launch{"burn", tasks, []any{p, 1_000_000}}, launch{"burn", tasks, []any{p, 1_000_000}})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		begin := time.Now()
		err := pool.Run(ctx, tab, 0, tab.Launches())
		took := time.Since(begin)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%d threads: error %v, expected that the deadline is exceeded", threads, err)
		}
		at := words(p)
		time.Sleep(20 * time.Millisecond)
		if !slices.Equal(at, words(p)) {
			t.Fatalf("%d threads: tasks run after Run has returned", threads)
		}
		t.Logf("%d threads: canceled after 50 ms, back after %v", threads, took)
		if took > 5*time.Second { // all of it takes half a minute of processor time; the machine may be busy
			t.Errorf("%d threads: Run came back after %v", threads, took)
		}
		pool.Close()
	}
}

// TestCancelEarly checks contexts that are done before a run, and one that is done between runs.
func TestCancelEarly(t *testing.T) {
	p := memory(t, 8)
	pool := startPool(t, 2, 64)
	tab := table(t, launch{"count", 1, []any{p}})
	ctx, cancel := context.WithCancel(t.Context())
	other, cancelOther := context.WithCancel(t.Context())
	defer cancelOther()
	for _, c := range []context.Context{ctx, other, ctx} {
		if err := pool.Run(c, tab, 0, tab.Launches()); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	for range 100 {
		if err := pool.Run(ctx, tab, 0, tab.Launches()); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, expected that the context is canceled", err)
		}
		if err := pool.Run(other, tab, 0, tab.Launches()); err != nil {
			t.Fatal(err)
		}
	}
	if n := words(p)[0]; n != 103 {
		t.Errorf("the task ran %d times, expected 103", n)
	}
}

// TestCancelLeavesNothing counts goroutines and threads after pools were canceled and closed, and cancels contexts
// whose pool is closed.
func TestCancelLeavesNothing(t *testing.T) {
	status := func() int {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Skip("no /proc to count threads in")
		}
		return len(tasks)
	}
	p := memory(t, 8*8)
	tab := table(t, launch{"burn", 8, []any{p, 1000}})
	goroutines, threads := runtime.NumGoroutine(), status()
	for i := range 200 {
		pool := startPool(t, 3, 64)
		ctx, cancel := context.WithCancel(context.Background())
		if i%2 == 0 {
			go cancel()
		}
		if err := pool.Run(ctx, tab, 0, tab.Launches()); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		pool.Close()
		cancel()
	}
	time.Sleep(10 * time.Millisecond)
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	if n := status(); n > threads+20 { // Go itself starts some
		t.Errorf("%d threads, %d before", n, threads)
	}
}
