package engine

import (
	"context"
	"slices"
	"time"

	"pgc/runtime/program"
)

// Executor holds the memory of a program (inputs, outputs, states, intermediate values) and runs its functions. Nobody
// else holds pointers into that memory: Put and Get copy, and what functions hand on to each other they leave in
// states, which outlive a run. One goroutine uses an Executor at a time.
type Executor interface {
	// Put copies data into memory, from the byte at offset on.
	Put(m Memory, offset int64, data []byte) error
	// Get copies memory into data, from the byte at offset on. It returns once earlier runs are complete.
	Get(m Memory, offset int64, data []byte) error
	// Run executes a call. When ctx is done it returns ctx's error within the time of a task; outputs, and the states
	// that the function updates, hold anything then. Run keeps nothing of c.
	Run(ctx context.Context, c *Call) error
	// Profile runs a call and reports its launches, in order.
	Profile(ctx context.Context, c *Call) ([]Timing, error)
	// Apart gives functions an arena of their own, which they share: runs of others in parts keep what is in theirs. It is
	// called once at most.
	Apart(funcs []int) error
	// Slots reserves memory for the states of the first n batch slots; the first slot is there always. What the slots
	// hold stays.
	Slots(n int) error
	// Close gives all memory back. It may be called twice.
	Close() error
}

// Divider is an Executor that runs launches by tasks, each of which has the same bits whatever runs beside it.
type Divider interface {
	// Tasks returns how many tasks a launch of a call has.
	Tasks(c *Call, launch int) (int64, error)
}

// Queue is an Executor whose calls need not be waited for.
type Queue interface {
	// Queue starts a call behind those before it, and behind it a copy of the first n bytes of memory, which wait returns
	// once they are there, or ctx's error if ctx ends first. Some few calls may be queued at a time.
	Queue(c *Call, m Memory, n int) (wait func(ctx context.Context) ([]byte, error), err error)
}

// Memory names a piece of an executor's memory: an input or output of a function, a state, or the arena, in which a run
// keeps intermediate values. Each input and output has memory of its own, at its largest size.
type Memory struct {
	Space program.Space // SpaceInput, SpaceOutput, SpaceState or SpaceArena
	Func  int           // number of the function, for an input or output
	Index int           // number of the input, output or state; the batch slots of a state follow each other
}

// Call says what to run.
type Call struct {
	Func    int     // number of the function in the program
	Symbols []int64 // one value for each of the program's symbols
	// The launches First to End-1 run; if End is 0, all do.
	First, End int
	// Of one launch the tasks FirstTask to EndTask-1 run, where EndTask is not 0. The executor must be a Divider then.
	FirstTask, EndTask int64
}

// Timing is when one launch ran, counted from the start of the first, and what it did.
type Timing struct {
	Kernel       string
	LHS, RHS     program.DType // of its products, as program.Kernel has them
	Value        string
	Start        float64 // seconds
	Seconds      float64
	Flops, Bytes int64
	Threads      []Share // each thread's share of it; nil where the executor cannot tell
}

// Share is what one thread did of one launch. Times count from the start of the run's first launch.
type Share struct {
	Start, End time.Duration // of its first task, of its last
	Busy       time.Duration // in tasks
	Tasks      int
}

// SlotsOf returns the symbols that choose a batch slot which a function works on, and whether it works on all slots: an
// address in a state of slots that no symbol moves by whole slots is that of all.
func SlotsOf(p *program.Program, f *program.Func) (symbols []int, all bool) {
	for i := range f.Launches {
		for _, a := range f.Launches[i].Args {
			if a.Space != program.SpaceState || !p.States[a.Index].PerSlot {
				continue
			}
			at := slices.IndexFunc(a.Terms, func(t program.Term) bool { return t.Stride == p.States[a.Index].Bytes })
			if at < 0 {
				all = true
			} else if s := a.Terms[at].Sym; !slices.Contains(symbols, s) {
				symbols = append(symbols, s)
			}
		}
	}
	return symbols, all
}
