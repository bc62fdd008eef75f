// Package engine runs the functions of a program: it owns the memory outside Go's heap (arena, caches, inputs, outputs),
// binds launch lists to it, and hands them to the thread pool.
//
// It imports runtime/native, runtime/program and runtime/cpufeature; it knows nothing of models.
package engine

import (
	"context"
	"fmt"
	"runtime"
	"unsafe"

	"pgc/runtime/cpufeature"
	"pgc/runtime/native"
	"pgc/runtime/program"
)

// Engine is a program ready to run. One goroutine uses it at a time.
type Engine struct {
	Program *program.Program
	pool    *native.Pool
	code    []byte
	weights uintptr
	arena   *native.Memory
	states  []*native.Memory          // copy by copy
	stateAt []uintptr                 // where they lie
	ports   map[string]*native.Memory // inputs and outputs, shared between functions by name
	funcs   map[string]*Func
	closers []func() error
}

// Func is a function of the program, bound to the engine's memory.
type Func struct {
	e     *Engine
	fn    *program.Func
	table *native.Table
	bases native.Bases
	outs  []uintptr // of whole outputs, to which Run adds offsets
	syms  []int64
}

// Lacks says why code for a target cannot run on this machine, or returns nil.
func Lacks(t program.Target) error {
	if t.Arch != runtime.GOARCH {
		return fmt.Errorf("it is code for %s, this machine is %s", t.Arch, runtime.GOARCH)
	}
	return cpufeature.Check(t.Features)
}

// New prepares a program whose code is mapped executable and whose weights are mapped. Memory is reserved at its largest
// and taken from the system as it is first touched. The engine must be closed before code and weights are unmapped.
func New(p *program.Program, code []byte, weights []byte, threads int) (*Engine, error) {
	if int64(len(weights)) < p.WeightBytes {
		return nil, fmt.Errorf("%d bytes of weights, expected %d", len(weights), p.WeightBytes)
	}
	e := &Engine{Program: p, code: code, ports: map[string]*native.Memory{}, funcs: map[string]*Func{}}
	if len(weights) > 0 {
		e.weights = native.Addr(weights)
	}
	if err := e.reserve(threads); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *Engine) reserve(threads int) error {
	p := e.Program
	arena := int64(64)
	for i := range p.Funcs {
		arena = max(arena, p.Funcs[i].ArenaBytes)
	}
	var err error
	if e.arena, err = e.memory(arena); err != nil {
		return err
	}
	if err := e.copies(min(1, p.Copies)); err != nil {
		return err
	}
	most := p.Maxima()
	for i := range p.Funcs {
		f := &p.Funcs[i]
		for _, ports := range [][]program.Port{f.Inputs, f.Outputs} {
			for j := range ports {
				n := ports[j].Bytes(most)
				if have := e.ports[ports[j].Name]; have != nil && int64(have.Len()) >= n {
					continue
				}
				if e.ports[ports[j].Name], err = e.memory(n); err != nil {
					return err
				}
			}
		}
	}
	if e.pool, err = native.Start(e.code, p.WorkerOffset, threads, p.ScratchBytes); err != nil {
		return err
	}
	for i := range p.Funcs {
		if err := e.bind(&p.Funcs[i]); err != nil {
			return err
		}
	}
	return nil
}

// copies reserves the states of the first n copies.
func (e *Engine) copies(n int) error {
	states := e.Program.States
	for i := len(e.states); i < n*len(states); i++ {
		m, err := e.memory(states[i%len(states)].Bytes)
		if err != nil {
			return err
		}
		e.states = append(e.states, m)
		e.stateAt = append(e.stateAt, m.Addr())
	}
	return nil
}

// ReserveCopies reserves memory for all copies of the states, which Func.Use and functions that name copies then may use.
func (e *Engine) ReserveCopies() error {
	if err := e.copies(e.Program.Copies); err != nil {
		return err
	}
	for _, f := range e.funcs {
		f.Use(0)
	}
	return nil
}

func (e *Engine) memory(n int64) (*native.Memory, error) {
	m, err := native.Reserve(max(n, 64))
	if err == nil {
		e.closers = append(e.closers, m.Close)
	}
	return m, err
}

func (e *Engine) bind(fn *program.Func) error {
	table, err := native.NewTable(e.Program, fn, e.code)
	if err != nil {
		return err
	}
	e.closers = append(e.closers, table.Close)
	f := &Func{e: e, fn: fn, table: table, syms: make([]int64, len(e.Program.Symbols))}
	f.bases = native.Bases{Weights: e.weights, Arena: e.arena.Addr()}
	f.Use(0)
	for _, p := range fn.Inputs {
		f.bases.Inputs = append(f.bases.Inputs, e.ports[p.Name].Addr())
	}
	for _, p := range fn.Outputs {
		f.outs = append(f.outs, e.ports[p.Name].Addr())
	}
	f.bases.Outputs = make([]uintptr, len(f.outs))
	e.funcs[fn.Name] = f
	return nil
}

// Func returns a function by name, or an error naming it.
func (e *Engine) Func(name string) (*Func, error) {
	f, ok := e.funcs[name]
	if !ok {
		return nil, fmt.Errorf("the program has no function %s", name)
	}
	return f, nil
}

// Threads is the number of threads that compute.
func (e *Engine) Threads() int { return e.pool.Threads() }

// Floats is the memory of an f32 input or output, at its largest size.
func (e *Engine) Floats(port string) []float32 {
	b := e.ports[port].Bytes()
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

// Ints is the memory of an i32 input, at its largest size.
func (e *Engine) Ints(port string) []int32 {
	b := e.ports[port].Bytes()
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

// Arena is the memory of intermediate values.
func (e *Engine) Arena() []byte { return e.arena.Bytes() }

// State is the memory of a state, by its number in the program; the states of the second copy follow those of the first.
func (e *Engine) State(i int) []byte { return e.states[i].Bytes() }

// Port is the memory of an input or output.
func (e *Engine) Port(name string) []byte { return e.ports[name].Bytes() }

// Close stops the threads and gives the memory back.
func (e *Engine) Close() error {
	if e.pool != nil {
		e.pool.Close()
	}
	var first error
	for _, c := range e.closers {
		if err := c(); err != nil && first == nil {
			first = err
		}
	}
	e.closers = nil
	return first
}

// Set gives a symbol its value for the next Run; a name the program lacks is ignored, as a symbol no function uses.
func (f *Func) Set(symbol string, v int) {
	if i := f.e.Program.SymbolIndex(symbol); i >= 0 {
		f.syms[i] = int64(v)
	}
}

// Use makes the function work on a copy of the states, counted from 0, in the Runs that follow; the first is there always. A function that names copies itself
// counts on from it.
func (f *Func) Use(copy int) { f.bases.States = f.e.stateAt[copy*len(f.e.Program.States):] }

// Run executes the function. Outputs begin offset bytes into their memory. When ctx is done it returns ctx's error within
// the time of a task; outputs, and the states that the function updates, hold anything then.
func (f *Func) Run(ctx context.Context, offset int64) error {
	for i, o := range f.outs {
		f.bases.Outputs[i] = o + uintptr(offset)
	}
	if err := f.table.Bind(&f.bases, f.syms); err != nil {
		return err
	}
	return f.e.pool.Run(ctx, f.table)
}

// Timing is when one launch ran, counted from the start of the first, and what it did.
type Timing struct {
	Kernel       string
	Value        string
	Start        float64 // seconds
	Seconds      float64
	Flops, Bytes int64
	Threads      []native.Share // each thread's share of it; nil where the program does not tell
}

// Profile runs the function and reports every launch.
func (f *Func) Profile() ([]Timing, error) {
	copy(f.bases.Outputs, f.outs)
	if err := f.table.Bind(&f.bases, f.syms); err != nil {
		return nil, err
	}
	p, err := f.e.pool.Profile(f.table)
	if err != nil {
		return nil, err
	}
	out := make([]Timing, len(p.Launches))
	for i, s := range p.Launches {
		l := &f.fn.Launches[i]
		out[i] = Timing{Kernel: f.e.Program.Kernels[l.Kernel].Name, Value: l.Value, Start: s.Start.Seconds(), Seconds: (s.End - s.Start).Seconds(),
			Flops: l.Flops.Eval(f.syms), Bytes: l.Bytes.Eval(f.syms)}
		for _, shares := range p.Threads {
			out[i].Threads = append(out[i].Threads, shares[i])
		}
	}
	return out, nil
}
