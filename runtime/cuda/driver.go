// Package cuda is the driver of NVIDIA GPUs for package runtime/gpu: the CUDA driver API without cgo. libcuda.so.1, which
// comes with the NVIDIA driver, is opened when a GPU is asked for. Functions are named as in the CUDA Driver API manual,
// and errors name the function that failed.
//
// A program that imports the package is linked to the system's libc and libdl; one that does not is not.
package cuda

import (
	"fmt"

	"pgc/runtime/engine"
	"pgc/runtime/gpu"
)

// GPUs are those of this machine.
func GPUs() engine.GPUs { return gpu.Of(Driver{}) }

// Driver is the NVIDIA driver.
type Driver struct{}

// Devices implements gpu.Driver.
func (Driver) Devices() ([]gpu.Info, error) {
	a, err := api()
	if err != nil {
		return nil, err
	}
	var n int32
	if err := a.check("cuDeviceGetCount", a.deviceGetCount(&n)); err != nil {
		return nil, err
	}
	var all []gpu.Info
	for i := range n {
		var handle int32
		if err := a.check("cuDeviceGet", a.deviceGet(&handle, i)); err != nil {
			return nil, err
		}
		info, err := a.describe(handle)
		if err != nil {
			return nil, err
		}
		all = append(all, info)
	}
	return all, nil
}

// Attributes of a device (CUdevice_attribute).
const (
	attributeMultiprocessorCount = 16
	attributeL2CacheSize         = 38
	attributeCapabilityMajor     = 75
	attributeCapabilityMinor     = 76
)

// describe asks a device what it is.
func (a *library) describe(handle int32) (info gpu.Info, err error) {
	var name [256]byte
	if err := a.check("cuDeviceGetName", a.deviceGetName(&name[0], int32(len(name)), handle)); err != nil {
		return info, err
	}
	var total uint64
	if err := a.check("cuDeviceTotalMem", a.deviceTotalMem(&total, handle)); err != nil {
		return info, err
	}
	var version int32
	if err := a.check("cuDriverGetVersion", a.driverGetVersion(&version)); err != nil {
		return info, err
	}
	info = gpu.Info{Name: text(name[:]), MemoryBytes: int64(total), Driver: int(version), Compiles: true}
	for _, q := range []struct {
		attribute int32
		to        *int
	}{{attributeMultiprocessorCount, &info.Multiprocessors}, {attributeL2CacheSize, &info.L2Bytes},
		{attributeCapabilityMajor, &info.Major}, {attributeCapabilityMinor, &info.Minor}} {
		var v int32
		if err := a.check("cuDeviceGetAttribute", a.deviceGetAttribute(&v, q.attribute, handle)); err != nil {
			return info, err
		}
		*q.to = int(v)
	}
	return info, nil
}

// Open implements gpu.Driver: it retains the device's primary context.
func (Driver) Open(ordinal int) (gpu.Device, error) {
	a, err := api()
	if err != nil {
		return nil, err
	}
	d := &device{a: a}
	if err := a.check("cuDeviceGet", a.deviceGet(&d.handle, int32(ordinal))); err != nil {
		return nil, err
	}
	if d.info, err = a.describe(d.handle); err != nil {
		return nil, err
	}
	if err := a.check("cuDevicePrimaryCtxRetain", a.primaryCtxRetain(&d.context, d.handle)); err != nil {
		return nil, fmt.Errorf("%s does not open: %w", d.info.Name, err)
	}
	return d, nil
}
