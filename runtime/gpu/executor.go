package gpu

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"pgc/runtime/engine"
	"pgc/runtime/program"
)

// Executor is an engine.Executor on a GPU.
//
// Everything but the loading of weights happens in one stream, in order, so that a run sees what was put before it, and
// what is read is what the runs before have left. Runs need not be waited for.
type Executor struct {
	p       *program.Program
	d       Device
	options engine.LoadOptions
	stream  Stream

	modules   []Module
	kernels   []kernel
	weights   Address
	arena     Address
	arenaSize int64
	states    []Address
	slots     int // batch slots that the states have memory for
	funcs     []*function
	allocated map[Address]bool

	blocks  *ring // of the values of cells, on their way to the device
	staging *ring // of what is put and got
	ids     *ring // of what queued calls leave
	lost    error // why nothing can be done any more
	closed  bool
}

var (
	_ engine.Executor = (*Executor)(nil)
	_ engine.Queue    = (*Executor)(nil)
)

// errClosed is the error of calls on a closed executor.
var errClosed = errors.New("the executor is closed")

// New loads a program, whose module is text and whose weights section is weights, onto a device, which belongs to the
// executor from then on, even if New fails. When ctx ends before it is loaded, New returns ctx's error.
func New(ctx context.Context, p *program.Program, text, weights []byte, d Device, o engine.LoadOptions) (*Executor, error) {
	x := &Executor{p: p, d: d, options: o, slots: min(1, p.Slots), allocated: map[Address]bool{}}
	if err := x.open(ctx, text, weights); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

func (x *Executor) open(ctx context.Context, text, weights []byte) (err error) {
	if int64(len(weights)) < x.p.WeightBytes {
		return fmt.Errorf("%d bytes of weights, expected %d", len(weights), x.p.WeightBytes)
	}
	need := engine.GPUNeeds(x.p, x.slots)
	if err := x.check(need.Total(), "the model"); err != nil {
		return err
	}
	if x.stream, err = x.d.StreamCreate(); err != nil {
		return x.failed(err)
	}
	if err := x.compile(ctx, text); err != nil {
		return err
	}
	if x.weights, err = x.alloc(x.p.DeviceBytes); err != nil {
		return err
	}
	if err := x.load(ctx, weights, need.Staging); err != nil {
		return err
	}
	return x.reserve()
}

// reserve allocates the memory that functions work on.
func (x *Executor) reserve() (err error) {
	cells := 0
	for i := range x.p.Funcs {
		f := newFunction(x.p, i)
		x.funcs = append(x.funcs, f)
		x.arenaSize, cells = max(x.arenaSize, x.p.Funcs[i].ArenaBytes), max(cells, len(f.cells))
	}
	if x.arena, err = x.alloc(x.arenaSize); err != nil {
		return err
	}
	for _, s := range x.p.States {
		a, err := x.zeros(stateBytes(s, x.slots))
		if err != nil {
			return err
		}
		x.states = append(x.states, a)
	}
	for i, f := range x.funcs {
		if f.inputs, err = x.ports(x.p.Funcs[i].Inputs); err != nil {
			return err
		}
		if f.outputs, err = x.ports(x.p.Funcs[i].Outputs); err != nil {
			return err
		}
		f.arena = x.arena
		if f.block, err = x.alloc(8 * int64(len(f.cells))); err != nil {
			return err
		}
	}
	if x.blocks, err = x.newRing(4, 8*max(1, cells)); err != nil {
		return err
	}
	if x.staging, err = x.newRing(2, stagingBytes); err != nil {
		return err
	}
	x.ids, err = x.newRing(8, idBytes)
	return err
}

// stagingBytes is the length of a piece that Put and Get copy at a time, idBytes the most that a queued call leaves.
const (
	stagingBytes = 4 << 20
	idBytes      = 256
)

// ports allocates memory for inputs or outputs.
func (x *Executor) ports(ports []program.Port) (list []piece, err error) {
	bounds := x.p.Maxima()
	for i := range ports {
		n := ports[i].Bytes(bounds)
		a, err := x.alloc(n)
		if err != nil {
			return nil, err
		}
		list = append(list, piece{a, n})
	}
	return list, nil
}

// piece is memory and its length.
type piece struct {
	Address
	bytes int64
}

// Apart gives functions an arena of their own. Those that were run before are made anew.
func (x *Executor) Apart(funcs []int) error {
	if err := x.ready(); err != nil {
		return err
	}
	n := engine.ArenaBytes(x.p, funcs)
	if err := x.check(n, "a second arena"); err != nil {
		return err
	}
	a, err := x.alloc(n)
	if err != nil {
		return err
	}
	if err := x.failed(x.d.StreamSynchronize(x.stream)); err != nil {
		return err
	}
	for _, i := range funcs {
		x.funcs[i].arena = a
		if err := x.funcs[i].forget(x); err != nil {
			return err
		}
	}
	return nil
}

// Slots gives the first n batch slots memory. Functions that were run before are made anew, as states move.
func (x *Executor) Slots(n int) error {
	if n > x.p.Slots {
		return fmt.Errorf("%d batch slots, the program has %d", n, x.p.Slots)
	}
	if n <= x.slots {
		return nil
	}
	if err := x.ready(); err != nil {
		return err
	}
	if err := x.check(engine.GPUNeeds(x.p, n).KV, fmt.Sprintf("a batch of %d", n)); err != nil {
		return err
	}
	for i, s := range x.p.States {
		if !s.PerSlot {
			continue
		}
		a, err := x.zeros(stateBytes(s, n))
		if err != nil {
			return err
		}
		if err := x.failed(x.d.MemcpyDtoD(x.stream, a, x.states[i], stateBytes(s, x.slots))); err != nil {
			return err
		}
		if err := x.failed(x.d.StreamSynchronize(x.stream)); err != nil {
			return err
		}
		if err := x.free(x.states[i]); err != nil {
			return err
		}
		x.states[i] = a
	}
	x.slots = n
	for _, f := range x.funcs {
		if err := f.forget(x); err != nil {
			return err
		}
	}
	return nil
}

// place returns where n bytes of a piece of memory lie.
func (x *Executor) place(m engine.Memory, offset int64, n int) (Address, error) {
	if err := x.ready(); err != nil {
		return 0, err
	}
	var list []piece
	i := m.Index
	switch m.Space {
	case program.SpaceArena:
		list, i = []piece{{x.arena, x.arenaSize}}, 0
	case program.SpaceInput:
		list = x.funcs[m.Func].inputs
	case program.SpaceOutput:
		list = x.funcs[m.Func].outputs
	case program.SpaceState:
		for j, a := range x.states {
			list = append(list, piece{a, stateBytes(x.p.States[j], x.slots)})
		}
	}
	if i < 0 || i >= len(list) {
		return 0, fmt.Errorf("%v %d is none of the %d there are", m.Space, i, len(list))
	}
	b := list[i]
	if offset < 0 || offset > b.bytes || int64(n) > b.bytes-offset {
		return 0, fmt.Errorf("bytes %d to %d are outside the %d of %v %d", offset, offset+int64(n), b.bytes, m.Space, m.Index)
	}
	return b.Address + Address(offset), nil
}

// ready says why nothing can be done.
func (x *Executor) ready() error {
	if x.closed {
		return errClosed
	}
	return x.lost
}

// failed makes a sentence of a driver's error. One that the device does not recover from is kept.
func (x *Executor) failed(err error) error {
	var e *Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	name := x.d.Info().Name
	switch {
	case e.Code == OutOfMemory:
		return fmt.Errorf("%s has too little free memory: others took what was free at the start (%w)", name, err)
	case e.Code == InvalidPTX || e.Code == UnsupportedVersion:
		return fmt.Errorf("the driver's compiler refuses the code for %s: update the NVIDIA driver (%w)", name, err)
	case e.lost():
		x.lost = fmt.Errorf("%s was lost or a kernel failed on it: start again; dmesg may tell more (%w)", name, err)
		return x.lost
	}
	return fmt.Errorf("%s: %w", name, err)
}

// Close waits for what is running and gives everything back.
func (x *Executor) Close() error {
	if x.closed {
		return nil
	}
	x.closed = true
	var first error
	keep := func(err error) {
		if err = x.failed(err); err != nil && first == nil && x.lost == nil {
			first = err
		}
	}
	if x.stream != 0 {
		keep(x.d.StreamSynchronize(x.stream))
	}
	for _, f := range x.funcs {
		keep(f.forget(x))
	}
	for _, r := range []*ring{x.blocks, x.staging, x.ids} {
		if r != nil {
			keep(r.close())
		}
	}
	all := make([]Address, 0, len(x.allocated))
	for a := range x.allocated {
		all = append(all, a)
	}
	slices.Sort(all)
	for _, a := range all {
		keep(x.d.MemFree(a))
	}
	for _, m := range x.modules {
		keep(x.d.ModuleUnload(m))
	}
	if x.stream != 0 {
		keep(x.d.StreamDestroy(x.stream))
	}
	keep(x.d.Close())
	return first
}
