// Package cuda runs kernels on an NVIDIA GPU through the CUDA driver API, without cgo: libcuda.so.1, which comes with
// the driver, is opened when a device is. Functions are named as in the CUDA Driver API manual, and errors begin with
// the name of the function that failed. It has only what the kernels of codegen/ptx need: they take 64-bit parameters
// and run in the default stream, one after the other.
//
// A program that imports the package is linked to the system's libc and libdl; one that does not is not. Today only
// tests do. The package imports nothing else of the project.
package cuda

import (
	"fmt"
	"runtime"
	"sync"
)

// Device is a GPU with its primary context. Methods may be called from any goroutine.
type Device struct {
	handle  int32
	context uintptr
	Info
}

// Info is what a device says of itself.
type Info struct {
	Name            string
	Major, Minor    int // compute capability
	Multiprocessors int
	ClockMHz        int // of the multiprocessors, at most
	MemoryBytes     int64
	L2Bytes         int
	Driver          int // the CUDA version that the driver supports, as 1000·major + 10·minor
}

func (i Info) String() string {
	return fmt.Sprintf("%s (compute capability %d.%d, %d multiprocessors, %d MHz at most, %d MiB), driver for CUDA %d.%d",
		i.Name, i.Major, i.Minor, i.Multiprocessors, i.ClockMHz, i.MemoryBytes>>20, i.Driver/1000, i.Driver%1000/10)
}

// Attributes of a device (CUdevice_attribute).
const (
	attributeClockRate           = 13 // kHz
	attributeMultiprocessorCount = 16
	attributeL2CacheSize         = 38
	attributeCapabilityMajor     = 75
	attributeCapabilityMinor     = 76
)

// api is the driver, opened once.
var api = sync.OnceValues(open)

// Open takes device number ordinal.
func Open(ordinal int) (*Device, error) {
	a, err := api()
	if err != nil {
		return nil, err
	}
	d := &Device{}
	if err := a.check("cuDeviceGet", a.deviceGet(&d.handle, int32(ordinal))); err != nil {
		return nil, err
	}
	if err := d.ask(a); err != nil {
		return nil, err
	}
	if err := a.check("cuDevicePrimaryCtxRetain", a.primaryCtxRetain(&d.context, d.handle)); err != nil {
		return nil, err
	}
	return d, nil
}

// ask fills in Info.
func (d *Device) ask(a *driver) error {
	var name [256]byte
	if err := a.check("cuDeviceGetName", a.deviceGetName(&name[0], int32(len(name)), d.handle)); err != nil {
		return err
	}
	d.Name = text(name[:])
	var total uint64
	if err := a.check("cuDeviceTotalMem", a.deviceTotalMem(&total, d.handle)); err != nil {
		return err
	}
	var version int32
	if err := a.check("cuDriverGetVersion", a.driverGetVersion(&version)); err != nil {
		return err
	}
	d.MemoryBytes, d.Driver = int64(total), int(version)
	for _, q := range []struct {
		attribute int32
		to        *int
	}{{attributeClockRate, &d.ClockMHz}, {attributeMultiprocessorCount, &d.Multiprocessors}, {attributeL2CacheSize, &d.L2Bytes},
		{attributeCapabilityMajor, &d.Major}, {attributeCapabilityMinor, &d.Minor}} {
		var v int32
		if err := a.check("cuDeviceGetAttribute", a.deviceGetAttribute(&v, q.attribute, d.handle)); err != nil {
			return err
		}
		*q.to = int(v)
	}
	d.ClockMHz /= 1000
	return nil
}

// Close gives the device back. Its modules and memory are gone then.
func (d *Device) Close() error {
	a, err := api()
	if err != nil {
		return err
	}
	return a.check("cuDevicePrimaryCtxRelease", a.primaryCtxRelease(d.handle))
}

// do calls a function of the driver in the device's context, which belongs to a thread.
func (d *Device) do(name string, call func(a *driver) result) error {
	a, err := api()
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := a.check("cuCtxSetCurrent", a.ctxSetCurrent(d.context)); err != nil {
		return err
	}
	return a.check(name, call(a))
}

// Synchronize waits for all that was launched. A kernel's failure is reported here, if not by an earlier call.
func (d *Device) Synchronize() error {
	return d.do("cuCtxSynchronize", func(a *driver) result { return a.ctxSynchronize() })
}
