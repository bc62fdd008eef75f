// Package process is how a program of pgc lives and ends: the signals that end it, the limits that it needs, the files
// that it must not leave behind.
package process

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"pgc/runtime/fault"
)

// line is how long the last line may take, because whoever should read it may not. A signal within echo of the first is
// the same one: a terminal sends it to a program and to its parent, which hands it on.
const (
	line = 100 * time.Millisecond
	echo = 20 * time.Millisecond
)

// grace is how many nanoseconds work may take to end by itself after a signal.
var grace atomic.Int64

func init() { grace.Store(int64(300 * time.Millisecond)) }

// AwaitChild gives work more time to end after a signal, because it waits for a child process that runs under Run, too,
// and that it has handed the signal on to.
func AwaitChild() { grace.Store(int64(time.Second)) }

// AwaitDrain gives work more time to end after a signal, because it completes what others wait for.
func AwaitDrain(most time.Duration) { grace.Store(int64(most)) }

// Run runs work, reports its error and returns the exit status that report gives. At the first INT or TERM it cancels
// work's context. Work that does not end then, because it waits for input or for a reader of its output or computes
// where no context is looked at, is left behind: Run removes temporary files and reports context.Canceled. A second
// signal ends the process at once, with status 1.
func Run(work func(ctx context.Context) error, report func(error) int) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- fault.Guard(func() error { return work(ctx) }) }()
	select {
	case err := <-ended:
		return report(err)
	case <-signals:
	}
	first := time.Now()
	cancel()
	go func() {
		for range signals {
			if time.Since(first) > echo {
				os.Exit(1)
			}
		}
	}()
	select {
	case err := <-ended:
		return last(err, report)
	case <-time.After(time.Duration(grace.Load())):
	}
	removeTemporaries()
	return last(context.Canceled, report)
}

// last reports an error after a signal. It gives up where nobody reads what report prints.
func last(err error, report func(error) int) int {
	status := make(chan int, 1)
	go func() { status <- report(err) }()
	select {
	case s := <-status:
		return s
	case <-time.After(line):
		return 1
	}
}
