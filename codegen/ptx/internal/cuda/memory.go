package cuda

import (
	"fmt"
	"time"
)

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
	m := &Memory{device: d, Bytes: bytes}
	n := uint64(max(bytes+unit-1, unit)) / unit * unit
	if err := d.do("cuMemAlloc", func(a *driver) result { return a.memAlloc(&m.Address, n) }); err != nil {
		return nil, fmt.Errorf("%w: %d bytes", err, bytes)
	}
	return m, nil
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
func (m *Memory) Free() error {
	return m.device.do("cuMemFree", func(a *driver) result { return a.memFree(m.Address) })
}

// fits says that a copy is not longer than the memory.
func (m *Memory) fits(function string, n int64) error {
	if n > m.Bytes {
		return fmt.Errorf("%s: %d bytes of memory of %d", function, n, m.Bytes)
	}
	return nil
}

// Write copies b to the beginning of the memory.
func (m *Memory) Write(b []byte) error {
	if err := m.fits("cuMemcpyHtoD", int64(len(b))); err != nil || len(b) == 0 {
		return err
	}
	return m.device.do("cuMemcpyHtoD", func(a *driver) result { return a.memcpyHtoD(m.Address, &b[0], uint64(len(b))) })
}

// Read fills b from the beginning of the memory, after what was launched before.
func (m *Memory) Read(b []byte) error {
	if err := m.fits("cuMemcpyDtoH", int64(len(b))); err != nil || len(b) == 0 {
		return err
	}
	return m.device.do("cuMemcpyDtoH", func(a *driver) result { return a.memcpyDtoH(&b[0], m.Address, uint64(len(b))) })
}

// Copy copies the whole of other memory, on the device.
func (m *Memory) Copy(from *Memory) error {
	if err := m.fits("cuMemcpyDtoD", from.Bytes); err != nil || from.Bytes == 0 {
		return err
	}
	return m.device.do("cuMemcpyDtoD", func(a *driver) result { return a.memcpyDtoD(m.Address, from.Address, uint64(from.Bytes)) })
}

// Fill sets every byte.
func (m *Memory) Fill(b byte) error {
	if m.Bytes == 0 {
		return nil
	}
	return m.device.do("cuMemsetD8", func(a *driver) result { return a.memsetD8(m.Address, b, uint64(m.Bytes)) })
}

// Time returns how long the device takes for what f launches, between two events.
func (d *Device) Time(f func() error) (time.Duration, error) {
	var events [2]uintptr
	for i := range events {
		if err := d.do("cuEventCreate", func(a *driver) result { return a.eventCreate(&events[i], 0) }); err != nil {
			return 0, err
		}
		defer d.do("cuEventDestroy", func(a *driver) result { return a.eventDestroy(events[i]) })
	}
	record := func(i int) error {
		return d.do("cuEventRecord", func(a *driver) result { return a.eventRecord(events[i], 0) })
	}
	if err := record(0); err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	if err := record(1); err != nil {
		return 0, err
	}
	if err := d.do("cuEventSynchronize", func(a *driver) result { return a.eventSynchronize(events[1]) }); err != nil {
		return 0, err
	}
	var ms float32
	if err := d.do("cuEventElapsedTime", func(a *driver) result { return a.eventElapsedTime(&ms, events[0], events[1]) }); err != nil {
		return 0, err
	}
	return time.Duration(float64(ms) * float64(time.Millisecond)), nil
}
