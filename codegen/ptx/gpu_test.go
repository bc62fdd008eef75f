package ptx

import (
	"fmt"
	"time"

	"pgc/runtime/cuda"
	driver "pgc/runtime/gpu"
)

// gpuDevice is a GPU, for single kernels: memory with its length, launches in the default stream, one after the other, and
// times.
type gpuDevice struct {
	driver.Device
	driver.Info
}

// defaultStream is the one of the context.
const defaultStream = driver.Stream(0)

// openGPU takes device number ordinal.
func openGPU(ordinal int) (*gpuDevice, error) {
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
	return &gpuDevice{d, d.Info()}, nil
}

// String describes the device.
func (d *gpuDevice) String() string {
	return fmt.Sprintf("%v, %d multiprocessors, driver for CUDA %d.%d", d.Info, d.Multiprocessors, d.Driver/1000, d.Driver%1000/10)
}

// Synchronize waits for all that was launched. A kernel's failure is reported here, if not by an earlier call.
func (d *gpuDevice) Synchronize() error { return d.StreamSynchronize(defaultStream) }

// gpuMemory is global memory of a device. It begins at a multiple of 256 bytes.
type gpuMemory struct {
	device  *gpuDevice
	Address uint64
	Bytes   int64
}

// allocationUnit is what memory is allocated in. The asynchronous copies of codegen/ptx take fewer than 16 bytes at the end of a
// row, but compute-sanitizer sees 16. None at all would be an error of the driver's.
const allocationUnit = 16

// Alloc allocates global memory, which holds anything.
func (d *gpuDevice) Alloc(bytes int64) (*gpuMemory, error) {
	a, err := d.MemAlloc(max(bytes+allocationUnit-1, allocationUnit) / allocationUnit * allocationUnit)
	if err != nil {
		return nil, fmt.Errorf("%w: %d bytes", err, bytes)
	}
	return &gpuMemory{d, uint64(a), bytes}, nil
}

// Upload allocates memory that holds b.
func (d *gpuDevice) Upload(b []byte) (*gpuMemory, error) {
	m, err := d.Alloc(int64(len(b)))
	if err != nil {
		return nil, err
	}
	return m, m.Write(b)
}

// Free gives memory back.
func (m *gpuMemory) Free() error { return m.device.MemFree(driver.Address(m.Address)) }

// move starts a copy of n bytes and waits for it.
func (m *gpuMemory) move(n int64, start func(at driver.Address) error) error {
	if n > m.Bytes {
		return fmt.Errorf("%d bytes of memory of %d", n, m.Bytes)
	}
	if n == 0 {
		return nil
	}
	if err := start(driver.Address(m.Address)); err != nil {
		return err
	}
	return m.device.Synchronize()
}

// Write copies b to the beginning of the memory.
func (m *gpuMemory) Write(b []byte) error {
	return m.move(int64(len(b)), func(at driver.Address) error { return m.device.MemcpyHtoD(defaultStream, at, b) })
}

// Read fills b from the beginning of the memory, after what was launched before.
func (m *gpuMemory) Read(b []byte) error {
	return m.move(int64(len(b)), func(at driver.Address) error { return m.device.MemcpyDtoH(defaultStream, b, at) })
}

// Copy copies the whole of other memory, on the device.
func (m *gpuMemory) Copy(from *gpuMemory) error {
	return m.move(from.Bytes, func(at driver.Address) error {
		return m.device.MemcpyDtoD(defaultStream, at, driver.Address(from.Address), from.Bytes)
	})
}

// Fill sets every byte.
func (m *gpuMemory) Fill(b byte) error {
	return m.move(m.Bytes, func(at driver.Address) error { return m.device.MemsetD8(defaultStream, at, b, m.Bytes) })
}

// Time returns how long the device takes for what f launches, between two events.
func (d *gpuDevice) Time(f func() error) (time.Duration, error) {
	var events [2]driver.Event
	for i := range events {
		var err error
		if events[i], err = d.EventCreate(); err != nil {
			return 0, err
		}
		defer d.EventDestroy(events[i])
	}
	for _, step := range []func() error{func() error { return d.EventRecord(events[0], defaultStream) }, f,
		func() error { return d.EventRecord(events[1], defaultStream) }, func() error { return d.EventSynchronize(events[1]) }} {
		if err := step(); err != nil {
			return 0, err
		}
	}
	return d.EventElapsed(events[0], events[1])
}

// gpuModule is code loaded on a device.
type gpuModule struct {
	device *gpuDevice
	handle driver.Module
}

// Load compiles PTX for the device. What the driver's compiler says against it is in the error.
func (d *gpuDevice) Load(ptx string) (*gpuModule, error) {
	image, err := d.Link([]byte(ptx))
	if err != nil {
		return nil, err
	}
	m, err := d.ModuleLoad(image)
	return &gpuModule{d, m}, err
}

// Unload frees a module; its functions are gone then.
func (m *gpuModule) Unload() error { return m.device.ModuleUnload(m.handle) }

// gpuFunction is an entry of a module.
type gpuFunction struct {
	device *gpuDevice
	handle driver.Function
	name   string
	Shared int64 // bytes of dynamic shared memory that launches give it
}

// Function finds an entry by name.
func (m *gpuModule) Function(name string) (*gpuFunction, error) {
	f, err := m.device.ModuleGetFunction(m.handle, name)
	return &gpuFunction{device: m.device, handle: f, name: name}, err
}

// Resources returns the registers of a thread, and its bytes of local memory: spills, if there are any.
func (f *gpuFunction) Resources() (registers, local int, err error) {
	return cuda.Resources(f.device.Device, f.handle)
}

// mostBlocks is the largest grid in one dimension.
const mostBlocks = 1<<31 - 1

// Launch starts a function on a grid of blocks of threads, both in one dimension. All parameters are 64 bits: numbers
// and the addresses of Memory. It does not wait.
func (f *gpuFunction) Launch(blocks int64, threads int, args ...uint64) error {
	if blocks < 0 || blocks > mostBlocks {
		return fmt.Errorf("cuLaunchKernel: %s: %d blocks, expected at most %d", f.name, blocks, mostBlocks)
	}
	if blocks == 0 {
		return nil // the driver takes that for an error
	}
	if f.Shared > 0 {
		if _, err := f.device.Occupancy(f.handle, threads, f.Shared); err != nil {
			return err
		}
	}
	err := f.device.LaunchKernel(defaultStream, driver.Launch{Function: f.handle, Blocks: blocks, Threads: threads, Shared: f.Shared, Params: args})
	if err != nil {
		return fmt.Errorf("%w: %s", err, f.name)
	}
	return nil
}
