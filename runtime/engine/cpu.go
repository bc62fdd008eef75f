package engine

import (
	"context"
	"errors"
	"fmt"

	"pgc/runtime/native"
	"pgc/runtime/program"
)

// cpu is the Executor of this machine's processor: memory outside Go's heap, and native threads.
type cpu struct {
	p       *program.Program
	pool    *native.Pool
	arena   *native.Memory
	states  []*native.Memory
	stateAt []uintptr // where they lie
	slots   int       // batch slots that they have memory for
	funcs   []function
	closers []func() error
}

// function is a function's launches, and the memory that they work on.
type function struct {
	table           *native.Table
	bases           native.Bases
	inputs, outputs []*native.Memory
	slots           []int // the symbols that choose batch slots
	all             bool  // whether it works on all of them
}

// errClosed is the error of calls on a closed executor.
var errClosed = errors.New("the executor is closed")

// newCPU reserves memory at its largest and starts threads. Memory is taken from the system as it is first touched.
func newCPU(p *program.Program, code, weights []byte, threads int) (*cpu, error) {
	if int64(len(weights)) < p.WeightBytes {
		return nil, fmt.Errorf("%d bytes of weights, expected %d", len(weights), p.WeightBytes)
	}
	x := &cpu{p: p}
	if err := x.open(code, weights, threads); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

func (x *cpu) open(code, weights []byte, threads int) (err error) {
	arena := int64(0)
	for i := range x.p.Funcs {
		arena = max(arena, x.p.Funcs[i].ArenaBytes)
	}
	if x.arena, err = x.reserve(arena); err != nil {
		return err
	}
	for _, s := range x.p.States {
		m, err := x.reserve(s.Bytes)
		if err != nil {
			return err
		}
		x.states, x.stateAt = append(x.states, m), append(x.stateAt, m.Addr())
	}
	x.slots = min(1, x.p.Slots)
	bases := native.Bases{Arena: x.arena.Addr()}
	if len(weights) > 0 {
		bases.Weights = native.Addr(weights)
	}
	for i := range x.p.Funcs {
		fn := &x.p.Funcs[i]
		f := function{bases: bases}
		f.slots, f.all = SlotsOf(x.p, fn)
		if f.inputs, f.bases.Inputs, err = x.ports(fn.Inputs); err != nil {
			return err
		}
		if f.outputs, f.bases.Outputs, err = x.ports(fn.Outputs); err != nil {
			return err
		}
		if f.table, err = native.NewTable(x.p, fn, code, threads); err != nil {
			return err
		}
		x.closers = append(x.closers, f.table.Close)
		x.funcs = append(x.funcs, f)
	}
	x.pool, err = native.Start(code, x.p.WorkerOffset, threads, x.p.ScratchBytes)
	return err
}

// ports reserves memory for inputs or outputs.
func (x *cpu) ports(ports []program.Port) (list []*native.Memory, at []uintptr, err error) {
	bounds := x.p.Maxima()
	for i := range ports {
		m, err := x.reserve(ports[i].Bytes(bounds))
		if err != nil {
			return nil, nil, err
		}
		list, at = append(list, m), append(at, m.Addr())
	}
	return list, at, nil
}

// reserve maps memory, a cache line at least.
func (x *cpu) reserve(n int64) (*native.Memory, error) {
	m, err := native.Reserve(max(n, 64))
	if err == nil {
		x.closers = append(x.closers, m.Close)
	}
	return m, err
}

// Apart gives functions an arena of their own.
func (x *cpu) Apart(funcs []int) error {
	if x.closers == nil {
		return errClosed
	}
	m, err := x.reserve(ArenaBytes(x.p, funcs))
	if err != nil {
		return err
	}
	for _, i := range funcs {
		x.funcs[i].bases.Arena = m.Addr()
	}
	return nil
}

// Slots gives the first n batch slots memory.
func (x *cpu) Slots(n int) error {
	if n > x.p.Slots {
		return fmt.Errorf("%d batch slots, the program has %d", n, x.p.Slots)
	}
	if n <= x.slots {
		return nil
	}
	for i, s := range x.p.States {
		if !s.PerSlot {
			continue
		}
		if err := x.states[i].Grow(s.Bytes * int64(n)); err != nil {
			return err
		}
		x.stateAt[i] = x.states[i].Addr()
	}
	x.slots = n
	return nil
}

// Put copies data into memory.
func (x *cpu) Put(m Memory, offset int64, data []byte) error {
	b, err := x.memory(m, offset, len(data))
	copy(b, data)
	return err
}

// Get copies memory into data.
func (x *cpu) Get(m Memory, offset int64, data []byte) error {
	b, err := x.memory(m, offset, len(data))
	copy(data, b)
	return err
}

// memory returns n bytes of a piece of memory.
func (x *cpu) memory(m Memory, offset int64, n int) ([]byte, error) {
	if x.closers == nil {
		return nil, errClosed
	}
	list, i := x.states, m.Index
	switch m.Space {
	case program.SpaceArena:
		list, i = []*native.Memory{x.arena}, 0
	case program.SpaceInput:
		list = x.funcs[m.Func].inputs
	case program.SpaceOutput:
		list = x.funcs[m.Func].outputs
	}
	if i < 0 || i >= len(list) {
		return nil, fmt.Errorf("%v %d is none of the %d there are", m.Space, i, len(list))
	}
	b := list[i].Bytes()
	if offset < 0 || offset > int64(len(b)) || int64(n) > int64(len(b))-offset {
		return nil, fmt.Errorf("bytes %d to %d are outside the %d of %v %d", offset, offset+int64(n), len(b), m.Space, m.Index)
	}
	return b[offset:][:n], nil
}

// Run executes a call.
func (x *cpu) Run(ctx context.Context, c *Call) error {
	t, err := x.bind(c)
	if err != nil {
		return err
	}
	return x.pool.Run(ctx, t, c.First, x.end(c))
}

// Tasks implements Divider.
func (x *cpu) Tasks(c *Call, launch int) (int64, error) {
	t, err := x.bind(c)
	if err != nil {
		return 0, err
	}
	return t.Tasks(launch), nil
}

// end returns the end of a call's launches.
func (x *cpu) end(c *Call) int {
	if c.End == 0 {
		return len(x.p.Funcs[c.Func].Launches)
	}
	return c.End
}

// bind makes a function's table ready for a call.
func (x *cpu) bind(c *Call) (*native.Table, error) {
	if x.closers == nil {
		return nil, errClosed
	}
	f := &x.funcs[c.Func]
	if f.all && x.slots < x.p.Slots {
		return nil, fmt.Errorf("function %s works on %d batch slots, memory is reserved for %d", x.p.Funcs[c.Func].Name, x.p.Slots, x.slots)
	}
	for _, s := range f.slots {
		if n := c.Symbols[s]; n < 0 || n >= int64(x.slots) {
			return nil, fmt.Errorf("batch slot %d is none of the %d that memory is reserved for", n, x.slots)
		}
	}
	f.bases.States = x.stateAt
	err := f.table.Bind(&f.bases, c.Symbols)
	if err == nil && c.EndTask > 0 {
		err = f.table.Keep(c.First, c.FirstTask, c.EndTask)
	}
	return f.table, err
}

// Profile runs a call and reports its launches.
func (x *cpu) Profile(ctx context.Context, c *Call) ([]Timing, error) {
	t, err := x.bind(c)
	if err != nil {
		return nil, err
	}
	p, err := x.pool.Profile(ctx, t, c.First, x.end(c))
	if err != nil {
		return nil, err
	}
	out := make([]Timing, len(p.Launches))
	for i, s := range p.Launches {
		l := &x.p.Funcs[c.Func].Launches[c.First+i]
		k := &x.p.Kernels[l.Kernel]
		out[i] = Timing{Kernel: k.Name, LHS: k.LHS, RHS: k.RHS, Value: l.Value, Start: s.Start.Seconds(), Seconds: (s.End - s.Start).Seconds(),
			Flops: l.Flops.Eval(c.Symbols), Bytes: l.Bytes.Eval(c.Symbols)}
		for _, shares := range p.Threads {
			s := shares[i]
			out[i].Threads = append(out[i].Threads, Share{s.Start, s.End, s.Busy, s.Tasks})
		}
	}
	return out, nil
}

// Close stops the threads and gives the memory back.
func (x *cpu) Close() error {
	if x.pool != nil {
		x.pool.Close()
	}
	var first error
	for _, c := range x.closers {
		if err := c(); err != nil && first == nil {
			first = err
		}
	}
	x.closers = nil
	return first
}
