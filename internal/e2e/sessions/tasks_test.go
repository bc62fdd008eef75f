package sessions

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/generate"
)

// divider is a spy on an executor that runs launches by tasks, as the processor's does. The launches of some runs last so long that one
// has no room in a slice.
type divider struct {
	*spy
	slow  int // how many runs
	tasks int // runs of a part of a launch
	steps int // steps among them
}

func (d *divider) Tasks(c *engine.Call, launch int) (int64, error) {
	return d.Executor.(engine.Divider).Tasks(c, launch)
}

func (d *divider) Run(ctx context.Context, c *engine.Call) error {
	switch name := entry.Plain(d.p.Funcs[c.Func].Name); name {
	case entry.Step, entry.StepBatch, entry.Decode:
		d.steps++
	default:
		if d.slow > 0 {
			d.slow--
			launches := c.End - c.First
			if c.End == 0 {
				launches = len(d.p.Funcs[c.Func].Launches)
			}
			time.Sleep(time.Duration(launches) * 3 * time.Millisecond)
		}
	}
	if c.EndTask > 0 {
		d.tasks++
	}
	return d.spy.Run(ctx, c)
}

// While a sequence runs, prompts suffixes and attention run by tasks of their launches, with steps in between, and
// come to the same bits.
func TestTasks(t *testing.T) {
	s, x := spied(t, "pg1-odd")
	d := &divider{spy: x}
	s.Engine.Executor = d
	p, err := s.Layout(1, "detect cat", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	suffix := "a cat on a mat"
	f := generate.ForwardRequest{Images: stripes(s, 1), Prompt: "caption en", Suffix: &suffix}
	var got any
	do := func(work func(ctx context.Context, slot int) (any, error)) func(*generate.Scheduler) error {
		return func(all *generate.Scheduler) error {
			return all.Do(t.Context(), "", func(ctx context.Context, _ *generate.Session, slot int) (err error) {
				got, err = work(ctx, slot)
				return err
			})
		}
	}
	for name, work := range map[string]func(*generate.Scheduler) error{
		"a prompt": func(all *generate.Scheduler) error {
			a, err := all.Submit(t.Context(), generate.Request{Images: f.Images, Prompt: f.Prompt, MaxNewTokens: 4}).Wait()
			if err == nil {
				got = a.Tokens
			}
			return err
		},
		"a suffix": do(func(ctx context.Context, slot int) (any, error) { return s.SuffixLogprobs(ctx, f, slot) }),
		"attention": do(func(ctx context.Context, slot int) (any, error) {
			return s.Attend(ctx, f.Images, p, []int32{300, 301}, 0, slot)
		}),
	} {
		s.SetImageCache(0)
		alone := generate.NewScheduler(s)
		d.slow, d.tasks = 0, 0
		if err := work(alone); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d.tasks > 0 {
			t.Errorf("%s: %d runs of a part of a launch, though nobody waits", name, d.tasks)
		}
		want := got
		s.Encode(t.Context(), stripes(s, 9), 0) // another image than that which comes
		running := generate.Request{Images: stripes(s, 0), Prompt: "caption en", MaxNewTokens: 600, IgnoreEOS: true}
		begun, asked := make(chan struct{}), make(chan struct{})
		var once sync.Once
		running.OnToken = func(generate.Token) {
			once.Do(func() { close(begun) })
			<-asked
		}
		ctx, leave := context.WithCancel(t.Context())
		one := alone.Submit(ctx, running)
		<-begun
		go func() {
			for alone.Load().Waiting == 0 {
				time.Sleep(time.Millisecond)
			}
			close(asked)
		}()
		d.slow, d.tasks = 30, 0
		steps := d.steps
		if err := work(alone); err != nil {
			t.Fatalf("%s beside a sequence: %v", name, err)
		}
		leave()
		if one.Wait(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %.80v beside a sequence, expected %.80v", name, got, want)
		}
		if steps = d.steps - steps; d.tasks < 4 || steps < 4 {
			t.Errorf("%s: %d runs of a part of a launch and %d steps, expected both to be many", name, d.tasks, steps)
		}
	}
}
