package sched

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pgc/internal/grouptest"
	"pgc/runtime/native"
)

// childVariable holds, in the environment of a child of these tests, the threads and the jobs that it runs, and whether the
// pool is reinforced.
const childVariable = "PGC_SCHED_CHILD"

// objectsVariable holds the paths of the two objects that the child runs.
const objectsVariable = "PGC_SCHED_OBJECTS"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	if err := child(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child runs jobs of 40 launches of 16 tasks of some 20 µs, prints a line after each, and at the end "done" and how many
// µs of processor time it took.
func child(out io.Writer) error {
	var threads, jobs int
	var reinforced bool
	if _, err := fmt.Sscan(os.Getenv(childVariable), &threads, &jobs, &reinforced); err != nil {
		return err
	}
	t := &benchLike{}
	defer t.close()
	const launches, tasks = 40, 16
	p := memory(t, 8*tasks)
	pool := startPool(t, threads, 64)
	tab := table(t, repeat(launches, launch{"burn", tasks, []any{p, 20_000}})...)
	if t.err != nil {
		return t.err
	}
	if reinforced {
		pool.Reinforce()
	}
	for i := range jobs {
		if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
			return err
		}
		fmt.Fprintln(out, i+1)
	}
	for i, n := range words(p) {
		if n != int64(launches*jobs) {
			return fmt.Errorf("task %d ran %d times, expected %d", i, n, launches*jobs)
		}
	}
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return err
	}
	fmt.Fprintln(out, "done", (u.Utime.Nano()+u.Stime.Nano())/1000)
	return nil
}

// benchLike is a testing.TB outside of a test.
type benchLike struct {
	testing.TB
	err     error
	cleanup []func()
}

func (t *benchLike) Helper()           {}
func (t *benchLike) Cleanup(f func())  { t.cleanup = append(t.cleanup, f) }
func (t *benchLike) Fatal(args ...any) { t.err = fmt.Errorf("%s", fmt.Sprint(args...)); panic(t.err) }
func (t *benchLike) close() {
	for i := len(t.cleanup) - 1; i >= 0; i-- {
		t.cleanup[i]()
	}
}

// startChild starts a child in a control group, or "" for none, and returns what it prints, line by line.
func startChild(t *testing.T, procs string, threads, jobs int) (*exec.Cmd, <-chan string) {
	t.Helper()
	return startReinforced(t, procs, threads, jobs, false)
}

// startReinforced is startChild with a pool that may be reinforced.
func startReinforced(t *testing.T, procs string, threads, jobs int, reinforced bool) (*exec.Cmd, <-chan string) {
	t.Helper()
	code(t) // skips where there is no llc
	objs, err := objects()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for i, obj := range objs {
		paths = append(paths, filepath.Join(t.TempDir(), fmt.Sprint(i, ".o")))
		if err := os.WriteFile(paths[i], obj, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{os.Args[0]}
	if procs != "" {
		args = append([]string{"sh", "-c", `echo $$ > "$0" && exec "$@"`, procs}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %t", childVariable, threads, jobs, reinforced),
		objectsVariable+"="+strings.Join(paths, string(os.PathListSeparator)))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := make(chan string, jobs+1)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return cmd, lines
}

// next returns the child's next line; it fails the test if none comes within a minute.
func next(t *testing.T, lines <-chan string) string {
	t.Helper()
	select {
	case line, ok := <-lines:
		if !ok {
			t.Fatal("the child ended early")
		}
		return line
	case <-time.After(time.Minute):
		t.Fatal("no job ended within a minute: the worker loop hangs")
	}
	return ""
}

// finish returns the processor time that the child took in all.
func finish(t *testing.T, lines <-chan string) time.Duration {
	t.Helper()
	for {
		if micros, ok := strings.CutPrefix(next(t, lines), "done "); ok {
			n, err := strconv.Atoi(micros)
			if err != nil {
				t.Fatal(err)
			}
			return time.Duration(n) * time.Microsecond
		}
	}
}

// TestPaused stops and continues a process in the middle of its jobs, as a machine that is paused does to all of them.
func TestPaused(t *testing.T) {
	cmd, lines := startChild(t, "", 3, 80)
	for range 40 {
		next(t, lines)
		for _, s := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	finish(t, lines)
}

// TestProcessorsGo takes processors away from all threads of a process and gives them back, as unplugging does, and makes
// it nice.
func TestProcessorsGo(t *testing.T) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Skip("no affinity here")
	}
	var each []unix.CPUSet
	for i := range len(all) * 64 {
		if all.IsSet(i) {
			var one unix.CPUSet
			one.Set(i)
			each = append(each, one)
		}
	}
	for _, threads := range []int{2, 5} {
		cmd, lines := startChild(t, "", threads, 60)
		for i := range 40 {
			next(t, lines)
			set := all
			if i%3 > 0 {
				set = each[i%len(each)]
			}
			tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", cmd.Process.Pid))
			if err != nil {
				t.Skip("no /proc to find threads in")
			}
			for _, task := range tasks {
				tid, _ := strconv.Atoi(task.Name())
				unix.SchedSetaffinity(tid, &set) // a thread may have ended meanwhile
				unix.Setpriority(unix.PRIO_PROCESS, tid, i/4)
			}
		}
		finish(t, lines)
	}
}

// TestQuota runs jobs in control groups that grant less than the threads ask for. What they take of the processor may not
// grow much beyond what the work takes: threads that are throttled hold up others, who must not spin meanwhile.
func TestQuota(t *testing.T) {
	const jobs = 8
	_, lines := startChild(t, "", 1, jobs)
	alone := finish(t, lines)
	for _, c := range []struct {
		threads int
		cpus    float64
	}{{1, 0.5}, {2, 1.5}, {2, 0.5}, {4, 1}} {
		procs := filepath.Join(grouptest.Processors(t, "", c.cpus), "cgroup.procs")
		begin := time.Now()
		_, lines := startChild(t, procs, c.threads, jobs)
		took := finish(t, lines)
		t.Logf("%d threads, %g CPUs: %v of the processor in %v; one thread takes %v", c.threads, c.cpus, took, time.Since(begin), alone)
		if took > alone*8/5 {
			t.Errorf("%d threads, %g CPUs: %v of the processor, one thread without a quota takes %v", c.threads, c.cpus, took, alone)
		}
	}
}

// TestNeighbors runs jobs beside two busy loops for each processor. Threads that the system puts aside hold up others,
// who must not spin meanwhile: what all take of the processor may not grow much beyond what the work takes.
func TestNeighbors(t *testing.T) {
	const jobs = 8
	_, lines := startChild(t, "", 1, jobs)
	alone := finish(t, lines)
	busyLoops(t, 2*runtime.NumCPU())
	for _, threads := range []int{1, runtime.NumCPU(), 2 * runtime.NumCPU()} {
		begin := time.Now()
		_, lines := startChild(t, "", threads, jobs)
		took := finish(t, lines)
		t.Logf("%d threads: %v of the processor in %v; one alone takes %v", threads, took, time.Since(begin), alone)
		if took > alone*8/5 {
			t.Errorf("%d threads beside busy loops: %v of the processor, one thread alone takes %v", threads, took, alone)
		}
	}
}

// busyLoops starts so many loops.
func busyLoops(t *testing.T, n int) {
	t.Helper()
	for range n {
		loop := exec.Command("sh", "-c", "while :; do :; done")
		if err := loop.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { loop.Process.Kill(); loop.Wait() })
	}
}

// TestReinforced runs two pools side by side, beside a busy loop for each processor: the one that is reinforced ends its jobs while the
// other has done much fewer, since the system shares the processors by threads.
func TestReinforced(t *testing.T) {
	if _, err := os.Stat("/proc/self/schedstat"); err != nil || native.CountProcessors().Quota > 0 {
		t.Skip("a quota of processor time, or a system that does not say how threads are scheduled: no pool is reinforced here")
	}
	if nice, _ := unix.Getpriority(unix.PRIO_PROCESS, 0); nice < 20 { // as the system call has it: 20 less the nice value
		t.Skip("the tests are nice, and then no pool is reinforced")
	}
	jobs := 12 * runtime.NumCPU()
	busyLoops(t, runtime.NumCPU())
	// Other tests run beside this one, so a few rounds may say nothing; where one is clear, it is enough. Two pools of one kind are
	// within a tenth of each other in five rounds.
	const rounds = 12
	for round, others := 1, 0; ; round++ {
		plain, plainLines := startReinforced(t, "", runtime.NumCPU(), jobs, false)
		_, lines := startReinforced(t, "", runtime.NumCPU(), jobs, true)
		next(t, plainLines) // both run
		next(t, lines)
		finish(t, lines)
		plain.Process.Kill()
		done := 1
		for range plainLines {
			done++
		}
		others += min(done, jobs)
		t.Logf("round %d: a reinforced pool has done %d jobs, the other %d", round, jobs, min(done, jobs))
		if share := float64(others) / float64(round*jobs); share <= 0.75 || round > 1 && share <= 0.8 || round >= 5 && share <= 0.9 {
			break
		}
		if round == rounds {
			t.Fatalf("a reinforced pool did %d jobs and the other meanwhile %d, expected at most 90 %%", rounds*jobs, others)
		}
	}
}
