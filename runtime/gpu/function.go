package gpu

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"pgc/runtime/engine"
	"pgc/runtime/program"
)

// cellBit marks a parameter that is the address of a cell (docs/PTX.md).
const cellBit = 1 << 63

// kernel is a kernel of the program on the device.
type kernel struct {
	Function
	resident int64 // blocks that the device holds at a time
}

// function is a function of the program: its launches, whose parameters are the same for every call, and the cells that
// hold those which depend on symbols.
type function struct {
	name            string
	number          int
	inputs, outputs []piece
	arena           Address
	cells           []cell
	index           map[string]int // of cells, by what they hold
	block           Address        // of the cells
	graph           Graph          // 0 until the first run
	slots           []int          // the symbols that choose batch slots
	all             bool           // whether it works on all of them
}

// cell is a parameter that depends on symbols: an argument, or a number of tasks.
type cell struct {
	arg   *program.Arg
	tasks *program.Expr
}

// newFunction finds the cells of a function.
func newFunction(p *program.Program, number int) *function {
	fn := &p.Funcs[number]
	f := &function{name: fn.Name, number: number, index: map[string]int{}}
	f.slots, f.all = engine.SlotsOf(p, fn)
	for i := range fn.Launches {
		l := &fn.Launches[i]
		for j := range l.Args {
			if a := &l.Args[j]; a.Space == program.SpaceSymbol || len(a.Terms) > 0 {
				f.cell(argKey(a), cell{arg: a})
			}
		}
		if l.Tasks.Depends() {
			f.cell(tasksKey(&l.Tasks), cell{tasks: &l.Tasks})
		}
	}
	return f
}

func argKey(a *program.Arg) string    { return fmt.Sprint("arg", *a) }
func tasksKey(e *program.Expr) string { return fmt.Sprint("tasks", *e) }

// cell adds a cell unless there is one that holds the same.
func (f *function) cell(key string, c cell) {
	if _, ok := f.index[key]; !ok {
		f.index[key], f.cells = len(f.cells), append(f.cells, c)
	}
}

// parameter is a parameter that lies in a cell.
func (f *function) parameter(key string) uint64 {
	return cellBit | uint64(f.block) + 8*uint64(f.index[key])
}

// launches returns launches first to end-1 with their parameters.
func (x *Executor) launches(f *function, first, end int) []Launch {
	var out []Launch
	bounds := x.p.Maxima()
	for i := range x.p.Funcs[f.number].Launches[first:end] {
		l := &x.p.Funcs[f.number].Launches[first+i]
		params := make([]uint64, 0, len(l.Args)+1)
		for j := range l.Args {
			if a := &l.Args[j]; a.Space == program.SpaceSymbol || len(a.Terms) > 0 {
				params = append(params, f.parameter(argKey(a)))
			} else {
				params = append(params, x.resolve(f, a, nil))
			}
		}
		tasks := uint64(l.Tasks.Eval(bounds))
		most := int64(tasks)
		if l.Tasks.Depends() {
			tasks = f.parameter(tasksKey(&l.Tasks))
		}
		out = append(out, x.launch(l.Kernel, most, append(params, tasks)))
	}
	return out
}

// launch is a kernel on a grid for so many tasks at most: as many blocks as they need, or as the device holds at a time,
// as blocks stride over the tasks.
func (x *Executor) launch(number int, tasks int64, params []uint64) Launch {
	k, described := x.kernels[number], &x.p.Kernels[number]
	each := int64(described.Threads / described.TaskThreads)
	l := Launch{Function: k.Function, Blocks: max(1, min((tasks+each-1)/each, k.resident)), Threads: described.Threads, Params: params}
	if described.DynamicShared {
		l.Shared = described.SharedBytes
	}
	return l
}

// resolve computes an argument: base + offset + the terms.
func (x *Executor) resolve(f *function, a *program.Arg, syms []int64) uint64 {
	var base Address
	switch a.Space {
	case program.SpaceWeights:
		base = x.weights
	case program.SpaceArena:
		base = f.arena
	case program.SpaceState:
		base = x.states[a.Index]
	case program.SpaceInput:
		base = f.inputs[a.Index].Address
	case program.SpaceOutput:
		base = f.outputs[a.Index].Address
	case program.SpaceSymbol:
		base = Address(syms[a.Index])
	}
	v := uint64(base) + uint64(a.Offset)
	for _, t := range a.Terms {
		v += uint64(syms[t.Sym] * t.Stride)
	}
	return v
}

// start queues a call: the values of the cells, then the launches.
func (x *Executor) start(c *engine.Call) error {
	if err := x.ready(); err != nil {
		return err
	}
	f := x.funcs[c.Func]
	if err := x.fill(f, c); err != nil {
		return err
	}
	if c.First > 0 || c.End > 0 {
		for _, l := range x.launches(f, c.First, x.end(c)) {
			if err := x.failed(x.d.LaunchKernel(x.stream, l)); err != nil {
				return err
			}
		}
		return nil
	}
	if f.graph == 0 {
		g, err := x.d.GraphCreate(x.launches(f, 0, x.end(c)), nil)
		if err != nil {
			return x.failed(err)
		}
		f.graph = g
	}
	return x.failed(x.d.GraphLaunch(f.graph, x.stream))
}

// fill queues the values of a call's cells.
func (x *Executor) fill(f *function, c *engine.Call) error {
	if err := x.checkCall(f, c.Symbols); err != nil {
		return err
	}
	if len(f.cells) == 0 {
		return nil
	}
	b, err := x.blocks.next()
	if err != nil {
		return x.failed(err)
	}
	values := b.data[:8*len(f.cells)]
	for i, cell := range f.cells {
		v := uint64(0)
		if cell.arg != nil {
			v = x.resolve(f, cell.arg, c.Symbols)
		} else {
			v = uint64(cell.tasks.Eval(c.Symbols))
		}
		binary.LittleEndian.PutUint64(values[8*i:], v)
	}
	if err := x.failed(x.d.MemcpyHtoD(x.stream, f.block, values)); err != nil {
		return err
	}
	return x.failed(b.used(x.stream))
}

// end returns the end of a call's launches.
func (x *Executor) end(c *engine.Call) int {
	if c.End == 0 {
		return len(x.p.Funcs[c.Func].Launches)
	}
	return c.End
}

// checkCall refuses symbols out of their bounds, and batch slots without memory.
func (x *Executor) checkCall(f *function, syms []int64) error {
	if len(syms) != len(x.p.Symbols) {
		return fmt.Errorf("func %s: %d symbols, expected %d", f.name, len(syms), len(x.p.Symbols))
	}
	for i, v := range syms {
		if s := &x.p.Symbols[i]; v < 0 || v > s.Max {
			return fmt.Errorf("func %s: symbol %s is %d, expected 0 to %d", f.name, s.Name, v, s.Max)
		}
	}
	if f.all && x.slots < x.p.Slots {
		return fmt.Errorf("function %s works on %d batch slots, memory is reserved for %d", f.name, x.p.Slots, x.slots)
	}
	for _, s := range f.slots {
		if n := syms[s]; n >= int64(x.slots) {
			return fmt.Errorf("batch slot %d is none of the %d that memory is reserved for", n, x.slots)
		}
	}
	return nil
}

// forget destroys the graph.
func (f *function) forget(x *Executor) error {
	if f.graph == 0 {
		return nil
	}
	g := f.graph
	f.graph = 0
	return x.failed(x.d.GraphDestroy(g))
}

// Run executes a call. When ctx ends, it returns ctx's error at once; the device finishes the call before any other.
func (x *Executor) Run(ctx context.Context, c *engine.Call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := x.start(c); err != nil {
		return err
	}
	return x.failed(await(ctx, func() error { return x.d.StreamSynchronize(x.stream) }))
}

// await waits for what wait waits for, or for the end of ctx.
func await(ctx context.Context, wait func() error) error {
	if ctx.Done() == nil {
		return wait()
	}
	done := make(chan error, 1)
	go func() { done <- wait() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Queue starts a call without waiting for it, and behind it a copy of the first n bytes of memory, which wait returns.
func (x *Executor) Queue(c *engine.Call, m engine.Memory, n int) (wait func(ctx context.Context) ([]byte, error), err error) {
	if n > idBytes {
		return nil, fmt.Errorf("%d bytes are left by a queued call, expected at most %d", n, idBytes)
	}
	from, err := x.place(m, 0, n)
	if err != nil {
		return nil, err
	}
	if err := x.start(c); err != nil {
		return nil, err
	}
	s, err := x.ids.next()
	if err != nil {
		return nil, x.failed(err)
	}
	if err := x.failed(x.d.MemcpyDtoH(x.stream, s.data[:n], from)); err != nil {
		return nil, err
	}
	if err := x.failed(s.used(x.stream)); err != nil {
		return nil, err
	}
	return func(ctx context.Context) ([]byte, error) {
		if err := x.ready(); err != nil {
			return nil, err
		}
		err := x.failed(await(ctx, func() error { return x.d.EventSynchronize(s.event) }))
		return slices.Clone(s.data[:n]), err
	}, nil
}

// Profile runs a call and reports its launches: a graph of its own, in which events stand between them.
func (x *Executor) Profile(ctx context.Context, c *engine.Call) ([]engine.Timing, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := x.ready(); err != nil {
		return nil, err
	}
	f, end := x.funcs[c.Func], x.end(c)
	var events []Event
	defer func() {
		for _, e := range events {
			x.d.EventDestroy(e)
		}
	}()
	for range end - c.First + 1 {
		e, err := x.d.EventCreate()
		if err != nil {
			return nil, x.failed(err)
		}
		events = append(events, e)
	}
	if err := x.fill(f, c); err != nil {
		return nil, err
	}
	g, err := x.d.GraphCreate(x.launches(f, c.First, end), events)
	if err != nil {
		return nil, x.failed(err)
	}
	defer x.d.GraphDestroy(g)
	if err := x.failed(x.d.GraphLaunch(g, x.stream)); err != nil {
		return nil, err
	}
	// The graph must not go before it has run.
	if err := x.failed(x.d.StreamSynchronize(x.stream)); err != nil {
		return nil, err
	}
	var out []engine.Timing
	for i := c.First; i < end; i++ {
		from, err := x.d.EventElapsed(events[0], events[i-c.First])
		if err != nil {
			return nil, x.failed(err)
		}
		took, err := x.d.EventElapsed(events[i-c.First], events[i-c.First+1])
		if err != nil {
			return nil, x.failed(err)
		}
		l := &x.p.Funcs[c.Func].Launches[i]
		k := &x.p.Kernels[l.Kernel]
		out = append(out, engine.Timing{Kernel: k.Name, LHS: k.LHS, RHS: k.RHS, Value: l.Value, Start: from.Seconds(), Seconds: took.Seconds(),
			Flops: l.Flops.Eval(c.Symbols), Bytes: l.Bytes.Eval(c.Symbols)})
	}
	return out, nil
}
