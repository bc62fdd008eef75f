package sched

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgc/runtime/native"
	"pgc/runtime/program"
)

// TestOnce counts every task of launches with 0 to many tasks on 1 to 8 threads.
func TestOnce(t *testing.T) {
	for threads := 1; threads <= 8; threads++ {
		pool := startPool(t, threads, 64)
		for _, tasks := range []int64{0, 1, 2, 3, 7, 64, 1000} {
			const launches, runs = 20, 20
			p := memory(t, 8*max(tasks, 1))
			var list []launch
			for range launches {
				list = append(list, launch{"count", tasks, []any{p}})
			}
			tab := table(t, list...)
			for range runs {
				if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
					t.Fatal(err)
				}
			}
			for i, n := range words(p)[:tasks] {
				if n != launches*runs {
					t.Fatalf("%d threads, %d tasks: task %d ran %d times, expected %d", threads, tasks, i, n, launches*runs)
				}
			}
		}
		pool.Close()
	}
}

// TestManyWorkers counts every task on as many threads as servers have, most of which come late here.
func TestManyWorkers(t *testing.T) {
	for _, threads := range []int{64, 96, 192} {
		pool := startPool(t, threads, 64)
		for _, tasks := range []int64{1, 95, 96, 192, 400, 5000} {
			const launches, runs = 10, 10
			p := memory(t, 8*tasks)
			tab := table(t, slices.Repeat([]launch{{"burn", tasks, []any{p, 100}}}, launches)...)
			for range runs {
				if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
					t.Fatal(err)
				}
			}
			for i, n := range words(p) {
				if n != launches*runs {
					t.Fatalf("%d threads, %d tasks: task %d ran %d times, expected %d", threads, tasks, i, n, launches*runs)
				}
			}
		}
		pool.Close()
	}
}

// TestNumbersStartAgain runs jobs on both sides of the last number that a launch may have.
func TestNumbersStartAgain(t *testing.T) {
	const tasks, launches, runs = 50, 7, 10
	p := memory(t, 8*tasks)
	pool := startPool(t, 3, 64)
	tab := table(t, slices.Repeat([]launch{{"burn", tasks, []any{p, 1000}}}, launches)...)
	next := reflect.ValueOf(pool).Elem().FieldByName("next")
	*(*int64)(unsafe.Pointer(next.UnsafeAddr())) = program.MaxLaunch - 5*launches
	for range runs {
		if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
			t.Fatal(err)
		}
	}
	if n := next.Int(); n != 1+6*launches { // four jobs before, six after
		t.Errorf("the next number is %d, expected %d", n, 1+6*launches)
	}
	for i, n := range words(p) {
		if n != launches*runs {
			t.Fatalf("task %d ran %d times, expected %d", i, n, launches*runs)
		}
	}
}

// TestOrder checks that a launch sees what the one before it wrote on other threads: every element is doubled 40 times.
func TestOrder(t *testing.T) {
	const n = 1000
	x, y := memory(t, 4*(n+64)), memory(t, 4*(n+64))
	var list []launch
	for range 20 {
		list = append(list, launch{"add", (n + 63) / 64, []any{x, x, y, n}}, launch{"add", (n + 63) / 64, []any{y, y, x, n}})
	}
	tab := table(t, list...)
	for threads := 1; threads <= 8; threads++ {
		pool := startPool(t, threads, 0)
		for run := range 20 {
			for i := range n {
				floats(x)[i] = float32(i)
			}
			if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if want := float32(i) * (1 << 40); floats(x)[i] != want {
					t.Fatalf("%d threads, run %d: x[%d] = %g, expected %g", threads, run, i, floats(x)[i], want)
				}
			}
		}
		pool.Close()
	}
}

// TestBits checks that results have equal bits for any number of threads.
func TestBits(t *testing.T) {
	const n, tasks = 257, 100
	x, z := memory(t, 4*n), memory(t, 4*tasks)
	for i := range n {
		floats(x)[i] = float32(math.Sin(float64(i)))
	}
	tab := table(t, launch{"sum", tasks, []any{x, z, n}})
	var want uint32
	for threads := 1; threads <= 8; threads++ {
		pool := startPool(t, threads, 0)
		if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
			t.Fatal(err)
		}
		for i := range tasks {
			got := math.Float32bits(floats(z)[i])
			if want == 0 {
				want = got
			}
			if got != want {
				t.Fatalf("%d threads: z[%d] has bits %#x, expected %#x", threads, i, got, want)
			}
		}
		pool.Close()
	}
}

// TestScratch checks that each thread has scratch memory of its own, page aligned.
func TestScratch(t *testing.T) {
	const threads, bytes, tasks = 4, 10_000, 64
	p := memory(t, 8*tasks)
	pool := startPool(t, threads, bytes)
	tab := table(t, launch{"touch", tasks, []any{p, bytes}})
	if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	for i, a := range words(p) {
		if a == 0 || a%4096 != 0 {
			t.Fatalf("task %d got scratch memory at %#x", i, a)
		}
		for b := range seen {
			if a != b && max(a, b)-min(a, b) < bytes {
				t.Fatalf("scratch memories at %#x and %#x overlap", a, b)
			}
		}
		seen[a] = true
	}
	if len(seen) > threads {
		t.Fatalf("%d scratch memories for %d threads", len(seen), threads)
	}
}

// TestProfile checks that spans follow each other within the wall time.
func TestProfile(t *testing.T) {
	p := memory(t, 8*8)
	pool := startPool(t, 2, 64)
	tab := table(t, launch{"burn", 8, []any{p, 1_000_000}}, launch{"count", 0, nil}, launch{"burn", 1, []any{p, 1_000_000}})
	if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	profile, err := pool.Profile(context.Background(), tab, 0, tab.Launches())
	wall := time.Since(begin)
	if err != nil {
		t.Fatal(err)
	}
	spans := profile.Launches
	t.Logf("spans %v, threads %v, wall %v with calibration", spans, profile.Threads, wall)
	first, none, last := spans[0], spans[1], spans[2]
	if first.Start != 0 || first.End <= 0 || none.Start != none.End || last.Start < first.End || last.End <= last.Start || last.End > wall {
		t.Fatalf("spans %v in a run of %v", spans, wall)
	}
	if len(profile.Threads) != 2 {
		t.Fatalf("traces of %d threads, expected 2", len(profile.Threads))
	}
	for i, want := range []int{8, 0, 1} {
		tasks := 0
		for thread, shares := range profile.Threads {
			s := shares[i]
			tasks += s.Tasks
			if s.Tasks > 0 && (s.Start < spans[i].Start || s.End <= s.Start || s.Busy <= 0 || s.Busy > s.End-s.Start+time.Microsecond) || s.Tasks == 0 && s != (native.Share{}) {
				t.Errorf("launch %d, which ran %v: share of thread %d is %v", i, spans[i], thread, s)
			}
		}
		if tasks != want {
			t.Errorf("launch %d: the threads did %d tasks, expected %d", i, tasks, want)
		}
	}
}

func TestClosed(t *testing.T) {
	pool := startPool(t, 3, 0)
	tab := table(t, launch{"nothing", 1, nil})
	pool.Close()
	pool.Close()
	if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err == nil {
		t.Fatal("a closed pool runs")
	}
}

// TestSignalsBlocked checks in /proc that each worker has every signal blocked that can be.
func TestSignalsBlocked(t *testing.T) {
	if _, err := os.Stat("/proc/self/task"); err != nil {
		t.Skip("no /proc to look at threads in")
	}
	blocked := func() int {
		files, err := filepath.Glob("/proc/self/task/*/status")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range files {
			status, _ := os.ReadFile(f) // a thread may have ended meanwhile
			if strings.Contains(string(status), "SigBlk:\tfffffffffffbfeff\n") {
				n++
			}
		}
		return n
	}
	before := blocked()
	pool := startPool(t, 3, 0)
	if got := blocked() - before; got != 3 {
		t.Errorf("%d threads have all signals blocked, expected the 3 workers", got)
	}
	pool.Close()
	if got := blocked() - before; got != 0 {
		t.Errorf("%d workers are left after the pool has been closed", got)
	}
}
