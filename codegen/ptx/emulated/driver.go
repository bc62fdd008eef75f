// Package emulated is a driver of package runtime/gpu whose device is the emulator codegen/ptx/emu: executables run on
// it as on a GPU, through the same graphs, copies and streams, where there is none.
//
// Streams are lazy: what is queued is done when somebody waits for it, at the latest moment that CUDA allows. Host memory
// that is overwritten too early, or read too early, so gives wrong results on every machine.
package emulated

import (
	"fmt"
	"sync"
	"time"

	"pgc/codegen/ptx/emu"
	"pgc/runtime/gpu"
)

// Driver has one device.
type Driver struct {
	// Memory is the device's, in bytes; 0 stands for 64 GiB.
	Memory int64
	// Launched is told of every kernel that ran, unless nil. With Counts, it learns what every instruction did.
	Launched func(entry string, blocks int64, s emu.Stats)
	Counts   bool
	// Whole says that a module is refused for what is wrong with any kernel in it, even if that is never launched.
	Whole bool
	// Zeroed says that memory holds zeros from the start, instead of nothing that may be read.
	Zeroed bool
	// Remember returns what launches of a module with a text did, and a function that is called when the device is closed, unless
	// Remember is nil.
	Remember func(text string) (*emu.Memo, func() error)

	parsed sync.Map // *emu.Module by text: devices that are opened one after another load the same
}

// The device is small, so that blocks have to take several tasks.
const (
	multiprocessors = 4
	resident        = 2 // blocks of any kernel a multiprocessor
)

var info = gpu.Info{Name: "an emulated GPU", Major: 8, Minor: 0, Multiprocessors: multiprocessors, Driver: 12000}

func (d *Driver) info() gpu.Info {
	i := info
	if i.MemoryBytes = d.Memory; i.MemoryBytes == 0 {
		i.MemoryBytes = 64 << 30
	}
	return i
}

// Devices implements gpu.Driver.
func (d *Driver) Devices() ([]gpu.Info, error) { return []gpu.Info{d.info()}, nil }

// Open implements gpu.Driver.
func (d *Driver) Open(int) (gpu.Device, error) {
	return &device{driver: d, space: emu.NewDevice(), live: map[gpu.Address]*emu.Memory{}, streams: map[gpu.Stream]*stream{}, events: map[gpu.Event]*event{},
		graphs: map[gpu.Graph]graph{}, modules: map[gpu.Module]module{}, functions: map[gpu.Function]function{}}, nil
}

// device is the emulated device. Its handles are counted from 1.
type device struct {
	driver *Driver

	mu        sync.Mutex
	space     *emu.Device
	live      map[gpu.Address]*emu.Memory
	allocated int64
	last      uintptr // handle
	streams   map[gpu.Stream]*stream
	events    map[gpu.Event]*event
	graphs    map[gpu.Graph]graph
	modules   map[gpu.Module]module
	memos     []func() error // what is to be done about them at the end
	functions map[gpu.Function]function
	broken    error // what a kernel did wrong
}

// module is a module and what its launches did.
type module struct {
	*emu.Module
	memo *emu.Memo
}

type function struct {
	module
	name string
}

// graph is launches, and the events between them, if there are some.
type graph struct {
	launches []gpu.Launch
	events   []gpu.Event
}

// stream is what is queued and was not done yet.
type stream struct{ queue []func() error }

// event is a place in a stream.
type event struct {
	in      *stream
	pending int // records that were not reached
	at      time.Time
}

func (d *device) handle() uintptr {
	d.last++
	return d.last
}

// Info implements gpu.Device, as do the methods below.
func (d *device) Info() gpu.Info { return d.driver.info() }

func (d *device) MemGetInfo() (free, total int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	total = d.driver.info().MemoryBytes
	return total - d.allocated, total, nil
}

func (d *device) MemAlloc(bytes int64) (gpu.Address, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.allocated+bytes > d.driver.info().MemoryBytes {
		return 0, &gpu.Error{Call: "cuMemAlloc", Code: gpu.OutOfMemory, Text: "out of memory"}
	}
	m := &emu.Memory{Data: make([]byte, bytes), Name: "device memory"}
	if !d.driver.Zeroed {
		m = emu.Unwritten(m.Name, int(bytes))
	}
	a := gpu.Address(d.space.Add(m))
	d.live[a], d.allocated = m, d.allocated+bytes
	return a, nil
}

func (d *device) MemFree(a gpu.Address) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.live[a]
	if m == nil {
		return invalid("cuMemFree", "%#x was not allocated", uint64(a))
	}
	for _, s := range d.streams { // cuMemFree waits for the device
		if err := d.drain(s, nil); err != nil {
			return err
		}
	}
	delete(d.live, a)
	d.allocated -= int64(len(m.Data))
	d.space.Remove(m)
	return nil
}

func (d *device) MemHostAlloc(bytes int) ([]byte, error) { return make([]byte, bytes), nil }
func (d *device) MemFreeHost([]byte) error               { return nil }

func (d *device) Link(text []byte) ([]byte, error) { return text, nil }

func (d *device) ModuleLoad(image []byte) (gpu.Module, error) {
	parsed, ok := d.driver.parsed.Load(string(image))
	if !ok {
		parse := emu.Load
		if d.driver.Whole {
			parse = emu.Parse
		}
		m, err := parse(string(image))
		if err != nil {
			return 0, &gpu.Error{Call: "cuModuleLoadData", Code: gpu.InvalidPTX, Text: err.Error()}
		}
		parsed, _ = d.driver.parsed.LoadOrStore(string(image), m)
	}
	own := *parsed.(*emu.Module) // its variables are this handle's own
	m := module{Module: &own}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.driver.Remember != nil {
		memo, end := d.driver.Remember(string(image))
		m.memo, d.memos = memo, append(d.memos, end)
	}
	h := gpu.Module(d.handle())
	d.modules[h] = m
	return h, nil
}

func (d *device) ModuleUnload(m gpu.Module) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.modules, m)
	return nil
}

func (d *device) ModuleGetFunction(m gpu.Module, name string) (gpu.Function, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := gpu.Function(d.handle())
	d.functions[h] = function{d.modules[m], name}
	return h, nil
}

func (d *device) Occupancy(gpu.Function, int, int64) (int, error) { return resident, nil }

func (d *device) StreamCreate() (gpu.Stream, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := gpu.Stream(d.handle())
	d.streams[h] = &stream{}
	return h, nil
}

func (d *device) StreamDestroy(s gpu.Stream) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.streams, s)
	return nil
}

func (d *device) StreamSynchronize(s gpu.Stream) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drain(d.streams[s], nil)
}

func (d *device) EventCreate() (gpu.Event, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := gpu.Event(d.handle())
	d.events[h] = &event{}
	return h, nil
}

func (d *device) EventDestroy(e gpu.Event) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.events, e)
	return nil
}

func (d *device) EventRecord(e gpu.Event, s gpu.Stream) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.record(e, s)
}

// record queues the record of an event.
func (d *device) record(e gpu.Event, s gpu.Stream) error {
	ev := d.events[e]
	ev.in, ev.pending = d.streams[s], ev.pending+1
	return d.queue(s, func() error {
		ev.pending--
		ev.at = time.Now()
		return nil
	})
}

func (d *device) EventSynchronize(e gpu.Event) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reach(d.events[e])
}

func (d *device) EventElapsed(from, to gpu.Event) (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.events[to].at.Sub(d.events[from].at), nil
}

func (d *device) MemcpyHtoD(s gpu.Stream, to gpu.Address, from []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue(s, func() error {
		b, err := d.bytes("cuMemcpyHtoDAsync", to, int64(len(from)))
		if err == nil {
			copy(b.data(), from)
			b.Written(int(b.offset), int(b.n))
		}
		return err
	})
}

func (d *device) MemcpyDtoH(s gpu.Stream, to []byte, from gpu.Address) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue(s, func() error {
		b, err := d.bytes("cuMemcpyDtoHAsync", from, int64(len(to)))
		if err == nil {
			copy(to, b.data())
		}
		return err
	})
}

func (d *device) MemcpyDtoD(s gpu.Stream, to, from gpu.Address, bytes int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue(s, func() error {
		a, err := d.bytes("cuMemcpyDtoDAsync", from, bytes)
		if err != nil {
			return err
		}
		b, err := d.bytes("cuMemcpyDtoDAsync", to, bytes)
		if err == nil {
			copy(b.data(), a.data())
			b.Written(int(b.offset), int(b.n))
		}
		return err
	})
}

func (d *device) MemsetD8(s gpu.Stream, to gpu.Address, value byte, bytes int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue(s, func() error {
		b, err := d.bytes("cuMemsetD8Async", to, bytes)
		if err == nil {
			for i := range b.data() {
				b.data()[i] = value
			}
			b.Written(int(b.offset), int(b.n))
		}
		return err
	})
}

func (d *device) LaunchKernel(s gpu.Stream, l gpu.Launch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue(s, func() error { return d.run(l) })
}

func (d *device) GraphCreate(launches []gpu.Launch, events []gpu.Event) (gpu.Graph, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := graph{events: append([]gpu.Event(nil), events...)}
	for _, l := range launches {
		l.Params = append([]uint64(nil), l.Params...)
		g.launches = append(g.launches, l)
	}
	h := gpu.Graph(d.handle())
	d.graphs[h] = g
	return h, nil
}

func (d *device) GraphLaunch(g gpu.Graph, s gpu.Stream) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	which := d.graphs[g]
	for i := range len(which.launches) + 1 {
		if i < len(which.events) {
			if err := d.record(which.events[i], s); err != nil {
				return err
			}
		}
		if i < len(which.launches) {
			if err := d.queue(s, func() error { return d.run(which.launches[i]) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *device) GraphDestroy(g gpu.Graph) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.graphs, g)
	return nil
}

// Close reports memory that was not given back.
func (d *device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, end := range d.memos {
		if err := end(); err != nil {
			return err
		}
	}
	d.memos = nil
	if len(d.live) > 0 && d.broken == nil {
		return invalid("cuDevicePrimaryCtxRelease", "%d allocations of %d bytes were not given back", len(d.live), d.allocated)
	}
	return nil
}

// queue adds work to a stream.
func (d *device) queue(s gpu.Stream, work func() error) error {
	if d.broken != nil {
		return d.broken
	}
	to := d.streams[s]
	if to == nil {
		return invalid("cuStreamSynchronize", "stream %d is none", s)
	}
	to.queue = append(to.queue, work)
	return nil
}

// drain does what is queued in a stream, up to an event if one is given.
func (d *device) drain(s *stream, until *event) error {
	for d.broken == nil && len(s.queue) > 0 && (until == nil || until.pending > 0) {
		work := s.queue[0]
		s.queue = s.queue[1:]
		d.broken = work()
	}
	return d.broken
}

// reach does what lies before an event.
func (d *device) reach(e *event) error {
	if e.in == nil {
		return nil
	}
	return d.drain(e.in, e)
}

// launchFailed is the code of a kernel that did something wrong (CUDA_ERROR_LAUNCH_FAILED).
const launchFailed = 719

// run executes a kernel.
func (d *device) run(l gpu.Launch) error {
	f := d.functions[l.Function]
	args := make([]any, len(l.Params))
	for i, p := range l.Params {
		args[i] = p
	}
	stats, err := f.Run(emu.Launch{Entry: f.name, Blocks: l.Blocks, Shared: int(l.Shared), Args: args, Device: d.space, Counts: d.driver.Counts,
		Memo: f.memo})
	if err != nil {
		return &gpu.Error{Call: "cuLaunchKernel", Code: launchFailed, Text: err.Error()}
	}
	if d.driver.Launched != nil {
		d.driver.Launched(f.name, l.Blocks, stats)
	}
	return nil
}

// invalid is the driver's error about a wrong argument (CUDA_ERROR_INVALID_VALUE).
func invalid(call, format string, args ...any) error {
	return &gpu.Error{Call: call, Code: 1, Text: fmt.Sprintf(format, args...)}
}

// bytes finds memory.
func (d *device) bytes(call string, at gpu.Address, n int64) (area, error) {
	m, offset, ok := d.space.Find(uint64(at))
	if !ok || offset+n > int64(len(m.Data)) {
		return area{}, invalid(call, "%d bytes at %#x are not allocated", n, uint64(at))
	}
	return area{m, offset, n}, nil
}

// area is bytes of a buffer.
type area struct {
	*emu.Memory
	offset, n int64
}

func (a area) data() []byte { return a.Data[a.offset:][:a.n] }
