package engine

import (
	"context"
	"fmt"

	"pgc/runtime/program"
)

// Parts is a run of a function that is made in parts: some launches, or some tasks of one, then others. Functions that Engine.Apart has
// given an arena of their own may run in between; no other may, and the function's symbols and inputs must stay.
type Parts struct {
	f    *Func
	cost []int64 // of each launch
	tail int     // the launches from here on are one part
	at   int     // the next launch
	task int64   // its next task
	of   int64   // of so many, where it runs by tasks
}

// Parts begins a run of the function with the values that its symbols have.
func (f *Func) Parts() *Parts {
	p := &Parts{f: f, cost: make([]int64, len(f.fn.Launches)), tail: f.tail()}
	for i := range f.fn.Launches {
		p.cost[i] = costOf(&f.fn.Launches[i], f.call.Symbols)
	}
	return p
}

// A byte that a launch moves takes about as long as so many floating-point operations.
const opsPerByte = 8

func costOf(l *program.Launch, symbols []int64) int64 {
	return l.Flops.Eval(symbols) + opsPerByte*l.Bytes.Eval(symbols)
}

// Done reports whether all of the function has run.
func (p *Parts) Done() bool { return p.at == len(p.cost) }

// Run executes launches that cost about so much together, in a measure that only compares, and returns what they cost. Where one
// costs more, it is some of its tasks, one for each thread at least, if the executor is a Divider. The last launches, behind which a
// state holds what other functions write, too, are one part. An error is as Func.Run's, and ends the run.
func (p *Parts) Run(ctx context.Context, most int64) (cost int64, err error) {
	if d, ok := p.f.e.Executor.(Divider); ok && p.at < p.tail && (p.task > 0 || p.cost[p.at] > most) {
		return p.tasks(ctx, d, most)
	}
	end := p.at
	for end < len(p.cost) && (end == p.at || end > p.tail || cost+p.cost[end] <= most) {
		cost += p.cost[end]
		end++
	}
	call := p.f.call
	if p.at > 0 || end < len(p.cost) {
		call.First, call.End = p.at, end
	}
	p.at = end
	return cost, p.f.e.run(ctx, &call)
}

// tasks executes tasks of the next launch that cost about so much together.
func (p *Parts) tasks(ctx context.Context, d Divider, most int64) (cost int64, err error) {
	call := p.f.call
	call.First, call.End = p.at, p.at+1
	if p.task == 0 {
		if p.of, err = d.Tasks(&call, p.at); err != nil {
			return 0, err
		}
	}
	each := max(1, p.cost[p.at]/max(1, p.of))
	n := min(p.of-p.task, max(int64(p.f.e.threads), most/each))
	call.FirstTask, call.EndTask = p.task, p.task+n
	if p.task += n; p.task == p.of {
		p.at, p.task = p.at+1, 0
	}
	return n * each, p.f.e.run(ctx, &call)
}

// Apart gives functions an arena of their own, which they share, so that they may run between the parts of a run of
// another function, and stay apart. enough is asked first whether the arena's bytes can be had.
func (e *Engine) Apart(list []*Func, enough func(bytes int64) error) error {
	numbers := make([]int, len(list))
	for i, f := range list {
		numbers[i] = f.call.Func
	}
	if err := enough(ArenaBytes(e.Program, numbers)); err != nil {
		return err
	}
	if err := e.Executor.Apart(numbers); err != nil {
		return fmt.Errorf("an arena for functions between the parts of others: %w", err)
	}
	e.apart = make([]bool, len(e.Program.States))
	for _, f := range list {
		for _, l := range f.fn.Launches {
			for _, a := range l.Args {
				if a.Space == program.SpaceState {
					e.apart[a.Index] = true
				}
			}
		}
	}
	return nil
}

// ArenaBytes is the memory that an arena of functions takes.
func ArenaBytes(p *program.Program, funcs []int) (n int64) {
	for _, i := range funcs {
		n = max(n, p.Funcs[i].ArenaBytes)
	}
	return n
}

// tail returns the first launch of the function that works on a state which functions with an arena of their own use, too:
// what it leaves there must be read before those run again. Batch slots are each sequence's own.
func (f *Func) tail() int {
	for i, l := range f.fn.Launches {
		for _, a := range l.Args {
			if a.Space == program.SpaceState && f.e.apart != nil && f.e.apart[a.Index] && !f.e.Program.States[a.Index].PerSlot {
				return i
			}
		}
	}
	return len(f.fn.Launches)
}
