package remote

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
	"unsafe"

	"pgc/runtime/gpu"
)

// client is a driver whose calls another process executes. It has one device open at a time.
type client struct {
	mu      sync.Mutex
	buffer  *bufio.Writer
	encoder *gob.Encoder
	decoder *gob.Decoder
	broken  error
}

// Driver is the driver of a process that serves it: calls go to out, results come from in.
func Driver(in io.Reader, out io.Writer) gpu.Driver {
	b := bufio.NewWriter(out)
	return &client{buffer: b, encoder: gob.NewEncoder(b), decoder: gob.NewDecoder(bufio.NewReader(in))}
}

// call sends a call, and waits for its results where there are some.
func (c *client) call(q request) (r reply, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return r, c.broken
	}
	err = c.encoder.Encode(&q)
	if err == nil {
		err = c.buffer.Flush()
	}
	if err == nil && q.Op.answered() {
		err = c.decoder.Decode(&r)
	}
	if err != nil {
		c.broken = fmt.Errorf("the process that drives the GPU has ended: %w", err)
		return r, c.broken
	}
	return r, r.Failure.err()
}

// Devices implements gpu.Driver, as does Open.
func (c *client) Devices() ([]gpu.Info, error) {
	r, err := c.call(request{Op: opDevices})
	return r.Infos, err
}

func (c *client) Open(ordinal int) (gpu.Device, error) {
	r, err := c.call(request{Op: opOpen, Args: [4]uint64{uint64(ordinal)}})
	if err != nil {
		return nil, err
	}
	if len(r.Infos) != 1 {
		return nil, errors.New("the process that drives the GPU does not say what it opened")
	}
	return &device{client: c, info: r.Infos[0], host: map[uint64][]byte{}, reads: map[gpu.Stream][]*pending{}, events: map[gpu.Event][]*pending{}}, nil
}

// device is a GPU of the other process.
type device struct {
	*client
	info gpu.Info

	state  sync.Mutex
	host   map[uint64][]byte         // by number
	reads  map[gpu.Stream][]*pending // copies to host memory that nobody has waited for
	events map[gpu.Event][]*pending  // those before an event
}

// pending is a copy to host memory.
type pending struct {
	from span
	to   []byte
	done bool
}

func (d *device) value(o op, args ...uint64) (uint64, error) {
	q := request{Op: o}
	copy(q.Args[:], args)
	r, err := d.call(q)
	return r.Values[0], err
}

func (d *device) do(o op, args ...uint64) error {
	_, err := d.value(o, args...)
	return err
}

// Info implements gpu.Device, as do the methods below.
func (d *device) Info() gpu.Info { return d.info }

func (d *device) MemGetInfo() (free, total int64, err error) {
	r, err := d.call(request{Op: opMemGetInfo})
	return int64(r.Values[0]), int64(r.Values[1]), err
}

func (d *device) MemAlloc(bytes int64) (gpu.Address, error) {
	v, err := d.value(opMemAlloc, uint64(bytes))
	return gpu.Address(v), err
}

func (d *device) MemFree(a gpu.Address) error { return d.do(opMemFree, uint64(a)) }

func (d *device) MemHostAlloc(bytes int) ([]byte, error) {
	v, err := d.value(opMemHostAlloc, uint64(bytes))
	if err != nil {
		return nil, err
	}
	b := make([]byte, bytes)
	d.state.Lock()
	defer d.state.Unlock()
	d.host[v] = b
	return b, nil
}

// find returns where host memory lies in the other process.
func (d *device) find(b []byte) (span, error) {
	d.state.Lock()
	defer d.state.Unlock()
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	for n, m := range d.host {
		first := uintptr(unsafe.Pointer(unsafe.SliceData(m)))
		if at >= first && at+uintptr(len(b)) <= first+uintptr(len(m)) {
			return span{n, uint64(at - first), uint64(len(b))}, nil
		}
	}
	return span{}, errors.New("memory that MemHostAlloc has not returned")
}

func (d *device) MemFreeHost(b []byte) error {
	p, err := d.find(b)
	if err != nil {
		return err
	}
	d.state.Lock()
	delete(d.host, p.Memory)
	d.state.Unlock()
	return d.do(opMemFreeHost, p.Memory)
}

func (d *device) Link(text []byte) ([]byte, error) {
	r, err := d.call(request{Op: opLink, Data: text})
	return r.Data, err
}

func (d *device) ModuleLoad(image []byte) (gpu.Module, error) {
	r, err := d.call(request{Op: opModuleLoad, Data: image})
	return gpu.Module(r.Values[0]), err
}

func (d *device) ModuleUnload(m gpu.Module) error { return d.do(opModuleUnload, uint64(m)) }

func (d *device) ModuleGetFunction(m gpu.Module, name string) (gpu.Function, error) {
	r, err := d.call(request{Op: opModuleGetFunction, Args: [4]uint64{uint64(m)}, Data: []byte(name)})
	return gpu.Function(r.Values[0]), err
}

func (d *device) Occupancy(f gpu.Function, threads int, shared int64) (int, error) {
	v, err := d.value(opOccupancy, uint64(f), uint64(threads), uint64(shared))
	return int(v), err
}

func (d *device) StreamCreate() (gpu.Stream, error) {
	v, err := d.value(opStreamCreate)
	return gpu.Stream(v), err
}

func (d *device) StreamDestroy(s gpu.Stream) error { return d.do(opStreamDestroy, uint64(s)) }

func (d *device) StreamSynchronize(s gpu.Stream) error {
	d.state.Lock()
	list := d.reads[s]
	delete(d.reads, s)
	d.state.Unlock()
	return d.wait(opStreamSynchronize, uint64(s), list)
}

func (d *device) EventSynchronize(e gpu.Event) error {
	d.state.Lock()
	list := d.events[e]
	delete(d.events, e)
	d.state.Unlock()
	return d.wait(opEventSynchronize, uint64(e), list)
}

// wait waits for a stream or an event, and for the copies to host memory before it.
func (d *device) wait(o op, handle uint64, list []*pending) error {
	q := request{Op: o, Args: [4]uint64{handle}}
	d.state.Lock()
	list = slices.DeleteFunc(slices.Clone(list), func(p *pending) bool { return p.done })
	for _, p := range list {
		p.done = true
		q.Fetch = append(q.Fetch, p.from)
	}
	d.state.Unlock()
	r, err := d.call(q)
	if err != nil {
		return err
	}
	for _, p := range list {
		if len(r.Data) < len(p.to) {
			return errors.New("the process that drives the GPU returns too little")
		}
		r.Data = r.Data[copy(p.to, r.Data):]
	}
	return nil
}

func (d *device) EventCreate() (gpu.Event, error) {
	v, err := d.value(opEventCreate)
	return gpu.Event(v), err
}

func (d *device) EventDestroy(e gpu.Event) error { return d.do(opEventDestroy, uint64(e)) }

func (d *device) EventRecord(e gpu.Event, s gpu.Stream) error {
	d.state.Lock()
	d.reads[s] = slices.DeleteFunc(d.reads[s], func(p *pending) bool { return p.done })
	d.events[e] = slices.Clone(d.reads[s])
	d.state.Unlock()
	return d.do(opEventRecord, uint64(s), uint64(e))
}

func (d *device) EventElapsed(from, to gpu.Event) (time.Duration, error) {
	r, err := d.call(request{Op: opEventElapsed, Args: [4]uint64{uint64(from), uint64(to)}})
	return r.duration(), err
}

func (d *device) MemcpyHtoD(s gpu.Stream, to gpu.Address, from []byte) error {
	p, err := d.find(from)
	if err != nil {
		return err
	}
	_, err = d.call(request{Op: opMemcpyHtoD, Args: [4]uint64{uint64(s), uint64(to), p.Memory, p.Offset}, Data: from})
	return err
}

func (d *device) MemcpyDtoH(s gpu.Stream, to []byte, from gpu.Address) error {
	p, err := d.find(to)
	if err != nil {
		return err
	}
	d.state.Lock()
	d.reads[s] = append(d.reads[s], &pending{from: p, to: to})
	d.state.Unlock()
	_, err = d.call(request{Op: opMemcpyDtoH, Args: [4]uint64{uint64(s), uint64(from)}, Fetch: []span{p}})
	return err
}

func (d *device) MemcpyDtoD(s gpu.Stream, to, from gpu.Address, bytes int64) error {
	return d.do(opMemcpyDtoD, uint64(s), uint64(to), uint64(from), uint64(bytes))
}

func (d *device) MemsetD8(s gpu.Stream, to gpu.Address, value byte, bytes int64) error {
	return d.do(opMemsetD8, uint64(s), uint64(to), uint64(value), uint64(bytes))
}

func (d *device) LaunchKernel(s gpu.Stream, l gpu.Launch) error {
	_, err := d.call(request{Op: opLaunchKernel, Args: [4]uint64{uint64(s)}, Launches: []gpu.Launch{l}})
	return err
}

func (d *device) GraphCreate(launches []gpu.Launch, events []gpu.Event) (gpu.Graph, error) {
	r, err := d.call(request{Op: opGraphCreate, Launches: launches, Events: events})
	return gpu.Graph(r.Values[0]), err
}

func (d *device) GraphLaunch(g gpu.Graph, s gpu.Stream) error {
	return d.do(opGraphLaunch, uint64(s), uint64(g))
}

func (d *device) GraphDestroy(g gpu.Graph) error { return d.do(opGraphDestroy, uint64(g)) }

func (d *device) Close() error { return d.do(opClose) }
