// Package cuda runs single kernels on an NVIDIA GPU for the tests of codegen/ptx: memory with its length, launches in the
// default stream, one after the other, and times. It stands on the driver of runtime/cuda; only tests import it.
package cuda

import (
	"fmt"
	"time"

	"pgc/runtime/cuda"
	"pgc/runtime/gpu"
)

// Device is a GPU.
type Device struct {
	gpu.Device
	gpu.Info
}

// stream is the default one.
const stream = gpu.Stream(0)

// Open takes device number ordinal.
func Open(ordinal int) (*Device, error) {
	all, err := cuda.Driver{}.Devices()
	if err != nil {
		return nil, err
	}
	if ordinal >= len(all) {
		return nil, fmt.Errorf("there is no GPU %d of %d", ordinal, len(all))
	}
	d, err := cuda.Driver{}.Open(ordinal)
	if err != nil {
		return nil, err
	}
	return &Device{d, d.Info()}, nil
}

// String describes the device.
func (d *Device) String() string {
	return fmt.Sprintf("%v, %d multiprocessors, driver for CUDA %d.%d", d.Info, d.Multiprocessors, d.Driver/1000, d.Driver%1000/10)
}

// Synchronize waits for all that was launched. A kernel's failure is reported here, if not by an earlier call.
func (d *Device) Synchronize() error { return d.StreamSynchronize(stream) }

// Memory is global memory of a device. It begins at a multiple of 256 bytes.
type Memory struct {
	device  *Device
	Address uint64
	Bytes   int64
}

// unit is what memory is allocated in. The asynchronous copies of codegen/ptx take fewer than 16 bytes at the end of a
// row, but compute-sanitizer sees 16. None at all would be an error of the driver's.
const unit = 16

// Alloc allocates global memory, which holds anything.
func (d *Device) Alloc(bytes int64) (*Memory, error) {
	a, err := d.MemAlloc(max(bytes+unit-1, unit) / unit * unit)
	if err != nil {
		return nil, fmt.Errorf("%w: %d bytes", err, bytes)
	}
	return &Memory{d, uint64(a), bytes}, nil
}

// Upload allocates memory that holds b.
func (d *Device) Upload(b []byte) (*Memory, error) {
	m, err := d.Alloc(int64(len(b)))
	if err != nil {
		return nil, err
	}
	return m, m.Write(b)
}

// Free gives memory back.
func (m *Memory) Free() error { return m.device.MemFree(gpu.Address(m.Address)) }

// move starts a copy of n bytes and waits for it.
func (m *Memory) move(n int64, start func(at gpu.Address) error) error {
	if n > m.Bytes {
		return fmt.Errorf("%d bytes of memory of %d", n, m.Bytes)
	}
	if n == 0 {
		return nil
	}
	if err := start(gpu.Address(m.Address)); err != nil {
		return err
	}
	return m.device.Synchronize()
}

// Write copies b to the beginning of the memory.
func (m *Memory) Write(b []byte) error {
	return m.move(int64(len(b)), func(at gpu.Address) error { return m.device.MemcpyHtoD(stream, at, b) })
}

// Read fills b from the beginning of the memory, after what was launched before.
func (m *Memory) Read(b []byte) error {
	return m.move(int64(len(b)), func(at gpu.Address) error { return m.device.MemcpyDtoH(stream, b, at) })
}

// Copy copies the whole of other memory, on the device.
func (m *Memory) Copy(from *Memory) error {
	return m.move(from.Bytes, func(at gpu.Address) error {
		return m.device.MemcpyDtoD(stream, at, gpu.Address(from.Address), from.Bytes)
	})
}

// Fill sets every byte.
func (m *Memory) Fill(b byte) error {
	return m.move(m.Bytes, func(at gpu.Address) error { return m.device.MemsetD8(stream, at, b, m.Bytes) })
}

// Time returns how long the device takes for what f launches, between two events.
func (d *Device) Time(f func() error) (time.Duration, error) {
	var events [2]gpu.Event
	for i := range events {
		var err error
		if events[i], err = d.EventCreate(); err != nil {
			return 0, err
		}
		defer d.EventDestroy(events[i])
	}
	for _, step := range []func() error{func() error { return d.EventRecord(events[0], stream) }, f,
		func() error { return d.EventRecord(events[1], stream) }, func() error { return d.EventSynchronize(events[1]) }} {
		if err := step(); err != nil {
			return 0, err
		}
	}
	return d.EventElapsed(events[0], events[1])
}

// Module is code loaded on a device.
type Module struct {
	device *Device
	handle gpu.Module
}

// Load compiles PTX for the device. What the driver's compiler says against it is in the error.
func (d *Device) Load(ptx string) (*Module, error) {
	image, err := d.Link([]byte(ptx))
	if err != nil {
		return nil, err
	}
	m, err := d.ModuleLoad(image)
	return &Module{d, m}, err
}

// Unload frees a module; its functions are gone then.
func (m *Module) Unload() error { return m.device.ModuleUnload(m.handle) }

// Function is an entry of a module.
type Function struct {
	device *Device
	handle gpu.Function
	name   string
	Shared int64 // bytes of dynamic shared memory that launches give it
}

// Function finds an entry by name.
func (m *Module) Function(name string) (*Function, error) {
	f, err := m.device.ModuleGetFunction(m.handle, name)
	return &Function{device: m.device, handle: f, name: name}, err
}

// Resources returns the registers of a thread, and its bytes of local memory: spills, if there are any.
func (f *Function) Resources() (registers, local int, err error) {
	return cuda.Resources(f.device.Device, f.handle)
}

// maxBlocks is the largest grid in one dimension.
const maxBlocks = 1<<31 - 1

// Launch starts a function on a grid of blocks of threads, both in one dimension. All parameters are 64 bits: numbers
// and the addresses of Memory. It does not wait.
func (f *Function) Launch(blocks int64, threads int, args ...uint64) error {
	if blocks < 0 || blocks > maxBlocks {
		return fmt.Errorf("cuLaunchKernel: %s: %d blocks, expected at most %d", f.name, blocks, maxBlocks)
	}
	if blocks == 0 {
		return nil // the driver takes that for an error
	}
	if f.Shared > 0 {
		if _, err := f.device.Occupancy(f.handle, threads, f.Shared); err != nil {
			return err
		}
	}
	err := f.device.LaunchKernel(stream, gpu.Launch{Function: f.handle, Blocks: blocks, Threads: threads, Shared: f.Shared, Params: args})
	if err != nil {
		return fmt.Errorf("%w: %s", err, f.name)
	}
	return nil
}
