package sched

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// underPressure runs f while goroutines collect garbage, allocate, and storm the process with the signal Go preempts
// with. It fails the test if f takes longer than a minute.
func underPressure(t *testing.T, f func()) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	var stop atomic.Bool
	var wg sync.WaitGroup
	for _, disturb := range []func(){
		runtime.GC,
		func() { sink.Store(make([]byte, 1<<16)) },
		func() { syscall.Kill(os.Getpid(), syscall.SIGURG); time.Sleep(50 * time.Microsecond) },
	} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for !stop.Load() {
				disturb()
			}
		}()
	}
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("no end within a minute: the worker loop hangs")
	}
	stop.Store(true)
	wg.Wait()
}

var sink atomic.Value

// TestStress runs thousands of jobs on pools from one thread to more threads than cores, under garbage collections and
// signals.
func TestStress(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8} {
		const runs, launches, tasks = 1500, 7, 5
		p := memory(t, 8*tasks)
		pool := startPool(t, threads, 64)
		var list []launch
		for range launches {
			list = append(list, launch{"burn", tasks, []any{p, 50}})
		}
		tab := table(t, list...)
		begin := time.Now()
		underPressure(t, func() {
			for range runs {
				if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for i, n := range words(p) {
			if n != runs*launches {
				t.Fatalf("%d threads: task %d ran %d times, expected %d", threads, i, n, runs*launches)
			}
		}
		t.Logf("%d threads: %d runs of %d launches in %v", threads, runs, launches, time.Since(begin))
		pool.Close()
	}
}

// TestSpares lets spare workers come and go at random moments, within jobs and between them, some of which are canceled.
func TestSpares(t *testing.T) {
	for _, threads := range []int{1, 2, 3} {
		const runs, launches, tasks = 300, 50, 37
		p, place := memory(t, 8*tasks), memory(t, 8*tasks)
		pool := startPool(t, threads, 64)
		asked, helped := 0, 0
		rng := rand.New(rand.NewPCG(3, uint64(threads)))
		pool.ReinforceWhen(30*time.Microsecond, func(bool) bool {
			asked++
			return rng.IntN(2) == 0
		})
		list := []launch{{"touch", tasks, []any{place, 64}}}
		for range launches {
			list = append(list, launch{"burn", tasks, []any{p, 300}})
		}
		tab := table(t, list...)
		places := map[int64]bool{}
		underPressure(t, func() {
			for i := range runs {
				ctx, cancel := context.WithCancel(context.Background())
				if i%5 == 0 {
					time.AfterFunc(100*time.Microsecond, cancel)
				}
				before := words(p)
				err := pool.Run(ctx, tab, 0, tab.Launches())
				cancel()
				least := int64(launches)
				if errors.Is(err, context.Canceled) && i%5 == 0 {
					least = 0
				} else if err != nil {
					t.Error(err)
					return
				}
				checkRan(t, before, words(p), least, launches)
				for _, at := range words(place) {
					places[at] = true
				}
				if t.Failed() {
					return
				}
			}
		})
		delete(places, 0)
		helped = len(places) - threads
		t.Logf("%d threads: asked %d times, scratch of %d workers, so %d spare ones", threads, asked, len(places), helped)
		if helped < 1 || helped > threads {
			t.Errorf("%d threads: %d spare workers, expected 1 to %d", threads, helped, threads)
		}
		pool.Close()
	}
}

// TestTwoPools runs two pools at once, each with more threads than half the cores.
func TestTwoPools(t *testing.T) {
	underPressure(t, func() {
		var wg sync.WaitGroup
		for range 2 {
			p := memory(t, 8*9)
			pool := startPool(t, 2, 64)
			tab := table(t, launch{"count", 9, []any{p}}, launch{"burn", 3, []any{p, 500}})
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range 500 {
					if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
						t.Error(err)
						return
					}
				}
				if w := words(p); w[0] != 1000 || w[8] != 500 {
					t.Errorf("counts %v, expected 1000 for tasks 0 to 2 and 500 for the rest", w)
				}
			}()
		}
		wg.Wait()
	})
}

// TestStartStop starts and ends pools, some of them before their threads have begun to run.
func TestStartStop(t *testing.T) {
	underPressure(t, func() {
		for i := range 100 {
			pool := startPool(t, 1+i%5, int64(i))
			if i%2 == 0 {
				tab := table(t, launch{"nothing", 3, nil})
				if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
					t.Error(err)
				}
			}
			pool.Close()
		}
	})
	status, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Skip("no /proc to count threads in")
	}
	t.Logf("%d threads are left", len(status))
	if len(status) > 40 {
		t.Fatalf("%d threads are left after all pools have been closed", len(status))
	}
}

// TestInterrupt delivers Ctrl-C to Go while kernels keep every core busy; it ends them.
func TestInterrupt(t *testing.T) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	const tasks = 1 << 14
	p := memory(t, 8*tasks)
	pool := startPool(t, runtime.NumCPU()+1, 64)
	tab := table(t, launch{"burn", tasks, []any{p, 1_000_000}})
	done := make(chan error, 1)
	begin := time.Now()
	go func() { done <- pool.Run(ctx, tab, 0, tab.Launches()) }()
	time.Sleep(20 * time.Millisecond)
	sent := time.Now()
	syscall.Kill(os.Getpid(), syscall.SIGINT)
	select {
	case <-ctx.Done():
		t.Logf("the signal arrived after %v", time.Since(sent))
	case err := <-done:
		if ctx.Err() == nil {
			t.Fatalf("the kernels ended after %v, before the signal arrived: %v", time.Since(begin), err)
		}
		done <- err
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, expected that the context is canceled", err)
	}
	t.Logf("the kernels ended after %v", time.Since(sent))
}

func benchmarkRun(b *testing.B, threads int, launches ...launch) {
	pool := startPool(b, threads, 64)
	tab := table(b, launches...)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
			b.Fatal(err)
		}
	}
}

func repeat(n int, l launch) []launch {
	var list []launch
	for range n {
		list = append(list, l)
	}
	return list
}

// An empty run: Go to native threads and back.
func BenchmarkEmpty1(b *testing.B) { benchmarkRun(b, 1) }
func BenchmarkEmpty2(b *testing.B) { benchmarkRun(b, 2) }

// Two hundred launches of one or two tasks that do nothing.
func Benchmark200Launches1(b *testing.B) {
	benchmarkRun(b, 1, repeat(200, launch{"nothing", 1, nil})...)
}
func Benchmark200Launches2(b *testing.B) {
	benchmarkRun(b, 2, repeat(200, launch{"nothing", 2, nil})...)
}
func Benchmark200SingleTask2(b *testing.B) {
	benchmarkRun(b, 2, repeat(200, launch{"nothing", 1, nil})...)
}
func Benchmark200Launches4(b *testing.B) {
	benchmarkRun(b, 4, repeat(200, launch{"nothing", 4, nil})...)
}

// Ten launches of 2000 tasks that do nothing: the price of a task.
func Benchmark20000Tasks2(b *testing.B) {
	benchmarkRun(b, 2, repeat(10, launch{"nothing", 2000, nil})...)
}

// Two hundred launches of two tasks of about 10 µs, against the same work on one thread: how well barriers a few
// microseconds apart scale.
func Benchmark200x2x10us(b *testing.B) {
	p := memory(b, 8*2)
	for _, threads := range []int{1, 2} {
		b.Run(strconv.Itoa(threads), func(b *testing.B) {
			benchmarkRun(b, threads, repeat(200, launch{"burn", 2, []any{p, 10_000}})...)
		})
	}
}

// The same of about 1 µs, as a small model's launches are.
func Benchmark200x2x1us(b *testing.B) {
	p := memory(b, 8*2)
	for _, threads := range []int{1, 2} {
		b.Run(strconv.Itoa(threads), func(b *testing.B) {
			benchmarkRun(b, threads, repeat(200, launch{"burn", 2, []any{p, 1_000}})...)
		})
	}
}
