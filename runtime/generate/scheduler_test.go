package generate

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgc/runtime/engine"
	"pgc/runtime/program"
)

// A request whose caller leaves while it waits for others ends at once, wherever it is in the queue.
func TestQueuedRequestEndsWithItsContext(t *testing.T) {
	d := NewScheduler(&Session{fn: &functions{}, Engine: &engine.Engine{Program: &program.Program{Slots: 1}}})
	started, release := make(chan struct{}), make(chan struct{})
	first := make(chan error)
	go func() {
		first <- d.Do(t.Context(), "", func(context.Context, *Session, int) error {
			close(started)
			<-release
			return nil
		})
	}()
	<-started
	waiting := d.enqueue(t.Context(), &Job{run: func(context.Context, int) error { return nil }})
	ctx, cancel := context.WithCancel(t.Context())
	j := d.Submit(ctx, Request{Client: "another"})
	if got, want := d.Load(), (Load{Running: 1, Waiting: 2, Slots: 1}); got != want {
		t.Errorf("load %v, expected %v", got, want)
	}
	cancel()
	select {
	case <-j.Done():
		if _, err := j.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, expected %v", err, context.Canceled)
		}
	case <-time.After(10 * time.Second):
		t.Error("a canceled request waits for the one that runs")
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if _, err := waiting.Wait(); err != nil {
		t.Error(err)
	}
	if got, want := d.Load(), (Load{Slots: 1}); got != want {
		t.Errorf("load %v after all, expected %v", got, want)
	}
	d.Close()
	if _, err := d.Submit(t.Context(), Request{}).Wait(); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, expected %v", err, ErrClosed)
	}
}
