// Package engine runs the functions of a program on an executor, which owns the memory that they work on. The
// processor's executor binds launch lists to memory outside Go's heap and hands them to the thread pool.
//
// It knows nothing of models.
package engine

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"

	"pgc/runtime/cpufeature"
	"pgc/runtime/native"
	"pgc/runtime/program"
)

// Engine is a program ready to run. One goroutine uses it at a time.
type Engine struct {
	Program *program.Program
	Executor
	threads int
	most    int // threads with spare ones
	funcs   []Func
	busy    atomic.Bool // while a function runs
	apart   []bool      // the states that functions with an arena of their own work on; nil where there are none
}

// Func is a function of the program, and the values of the symbols for its next run.
type Func struct {
	e    *Engine
	fn   *program.Func
	call Call
}

// CheckSupport says why code for a target cannot run on this machine, or returns nil.
func CheckSupport(t program.Target) error {
	if err := CheckPlatform(t); err != nil {
		return err
	}
	return cpufeature.Check(t.Features)
}

// CheckPlatform is CheckSupport without a question to the CPU or to the system: what executes the code may emulate
// instructions.
func CheckPlatform(t program.Target) error {
	if t.Kind != program.CPU {
		return fmt.Errorf("it is code of kind %v, this runtime executes kind %v", t.Kind, program.CPU)
	}
	if t.Arch != runtime.GOARCH {
		return fmt.Errorf("it is code for %s, this machine is %s", t.Arch, runtime.GOARCH)
	}
	return nil
}

// New prepares a program for this machine's processor. Its code must be mapped executable and its weights mapped, until
// the engine is closed. Memory is reserved at its largest and taken from the system as it is first touched.
func New(p *program.Program, code []byte, weights []byte, threads int) (*Engine, error) {
	x, err := newCPU(p, code, weights, threads)
	if err != nil {
		return nil, err
	}
	return On(x, p, threads), nil
}

// Open prepares the program of an executable for the named instruction set, or for "" the best that this machine runs.
// The executable must stay open until the engine is closed.
func Open(image *program.Executable, isa string, threads int) (*Engine, error) {
	p, err := image.Choose(isa, CheckSupport)
	if err != nil {
		return nil, fmt.Errorf("%w: compile with --cpu for this machine", err)
	}
	code, err := image.Code(p)
	if err != nil {
		return nil, err
	}
	return New(p, code, image.Weights, threads)
}

// On prepares a program that an executor has loaded, whose calls use so many threads. Closing the engine closes the
// executor.
func On(x Executor, p *program.Program, threads int) *Engine {
	e := &Engine{Program: p, Executor: x, threads: threads, most: threads, funcs: make([]Func, len(p.Funcs))}
	for i := range p.Funcs {
		e.funcs[i] = Func{e: e, fn: &p.Funcs[i], call: Call{Func: i, Symbols: make([]int64, len(p.Symbols))}}
	}
	return e
}

// Busy reports whether a function runs. It may be called from any goroutine.
func (e *Engine) Busy() bool { return e.busy.Load() }

// OnGPU reports whether the functions run on a GPU, which has memory of its own.
func (e *Engine) OnGPU() bool { return e.Program.Target.Kind == program.PTX }

// Threads returns the number of threads that compute.
func (e *Engine) Threads() int { return e.threads }

// Reinforce lets spare threads help while other programs take processors (native.Pool.Reinforce).
func (e *Engine) Reinforce() {
	if x, ok := e.Executor.(*cpu); ok {
		x.pool.Reinforce()
		e.most = native.MostThreads(e.threads)
	}
}

// MostThreads returns the number of threads that compute at most, spare ones included.
func (e *Engine) MostThreads() int { return e.most }

// Has reports whether the program has a function.
func (e *Engine) Has(name string) bool {
	return slices.ContainsFunc(e.funcs, func(f Func) bool { return f.fn.Name == name })
}

// Func returns a function by name, or an error naming it.
func (e *Engine) Func(name string) (*Func, error) {
	i := slices.IndexFunc(e.funcs, func(f Func) bool { return f.fn.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("the program has no function %s", name)
	}
	return &e.funcs[i], nil
}

// Name is the function's.
func (f *Func) Name() string { return f.fn.Name }

// Set gives a symbol its value for the runs that follow; a name that the program lacks is ignored, as a symbol that no
// function uses.
func (f *Func) Set(symbol string, v int) {
	if i := f.e.Program.SymbolIndex(symbol); i >= 0 {
		f.call.Symbols[i] = int64(v)
	}
}

// Run executes the function. When ctx is done it returns ctx's error within the time of a task; outputs, and the states
// that the function updates, hold anything then.
func (f *Func) Run(ctx context.Context) error {
	return f.e.run(ctx, &f.call)
}

func (e *Engine) run(ctx context.Context, c *Call) error {
	e.busy.Store(true)
	defer e.busy.Store(false)
	return e.Executor.Run(ctx, c)
}

// Queue starts the function without waiting for it, and behind it a copy of the first n bytes of a tensor, which wait
// returns. The executor must be a Queue.
func (f *Func) Queue(t Tensor, n int) (wait func(context.Context) ([]byte, error), err error) {
	return f.e.Executor.(Queue).Queue(&f.call, t.at, n)
}

// RunLaunch executes one launch of the function alone, for who looks into its intermediate values.
func (f *Func) RunLaunch(ctx context.Context, i int) error {
	one := f.call
	one.First, one.End = i, i+1
	return f.e.Executor.Run(ctx, &one)
}

// ProfileTasks runs some tasks of one launch of the function alone and reports them; if end is 0, all. The executor must be a Divider.
func (f *Func) ProfileTasks(ctx context.Context, launch int, first, end int64) (Timing, error) {
	one := f.call
	one.First, one.End, one.FirstTask, one.EndTask = launch, launch+1, first, end
	all, err := f.e.Executor.Profile(ctx, &one)
	if err != nil {
		return Timing{}, err
	}
	return all[0], nil
}

// Profile runs the function and reports every launch.
func (f *Func) Profile(ctx context.Context) ([]Timing, error) {
	return f.e.Executor.Profile(ctx, &f.call)
}

// Tensor is an input, an output or a state on the executor, or the arena. Its methods and Put and Get copy.
type Tensor struct {
	x  Executor
	at Memory
}

// Input returns an input of the function by name, or an error naming it.
func (f *Func) Input(name string) (Tensor, error) {
	return f.port(name, program.SpaceInput, f.fn.Inputs)
}

// Output returns an output of the function by name, or an error naming it.
func (f *Func) Output(name string) (Tensor, error) {
	return f.port(name, program.SpaceOutput, f.fn.Outputs)
}

func (f *Func) port(name string, space program.Space, ports []program.Port) (Tensor, error) {
	i := slices.IndexFunc(ports, func(p program.Port) bool { return p.Name == name })
	if i < 0 {
		return Tensor{}, fmt.Errorf("function %s has no %v %s", f.fn.Name, space, name)
	}
	return Tensor{f.e.Executor, Memory{Space: space, Func: f.call.Func, Index: i}}, nil
}

// State returns a state by name, or an error naming it.
func (e *Engine) State(name string) (Tensor, error) {
	i := slices.IndexFunc(e.Program.States, func(s program.State) bool { return s.Name == name })
	if i < 0 {
		return Tensor{}, fmt.Errorf("the program has no state %s", name)
	}
	return e.StateAt(i), nil
}

// StateAt returns a state by its number in the program.
func (e *Engine) StateAt(i int) Tensor {
	return Tensor{e.Executor, Memory{Space: program.SpaceState, Index: i}}
}

// Arena returns the memory of intermediate values. What it holds behind a run is for debugging only.
func (e *Engine) Arena() Tensor { return Tensor{e.Executor, Memory{Space: program.SpaceArena}} }

// PutBytes copies data to the tensor, from the byte at offset on.
func (t Tensor) PutBytes(offset int64, data []byte) error { return t.x.Put(t.at, offset, data) }

// GetBytes copies the tensor to data, from the byte at offset on.
func (t Tensor) GetBytes(offset int64, data []byte) error { return t.x.Get(t.at, offset, data) }

// Number is an element of a tensor that is not packed.
type Number interface{ float32 | int32 }

// Put copies numbers to a tensor, from element first on.
func Put[T Number](t Tensor, first int, data []T) error {
	return t.PutBytes(4*int64(first), bytesOf(data))
}

// Get copies a tensor to data, from element first on.
func Get[T Number](t Tensor, first int, data []T) error {
	return t.GetBytes(4*int64(first), bytesOf(data))
}

func bytesOf[T Number](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}
