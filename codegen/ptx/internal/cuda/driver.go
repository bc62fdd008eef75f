package cuda

import (
	"bytes"
	"fmt"
	"unsafe"

	"github.com/ebitengine/purego"
)

// result is a CUresult; 0 is success.
type result int32

// driver is the functions of libcuda.so.1. Handles and device addresses are 64 bits.
type driver struct {
	getErrorName, getErrorString func(result, **byte) result

	init               func(flags uint32) result
	driverGetVersion   func(version *int32) result
	deviceGet          func(device *int32, ordinal int32) result
	deviceGetName      func(name *byte, n int32, device int32) result
	deviceTotalMem     func(bytes *uint64, device int32) result
	deviceGetAttribute func(value *int32, attribute, device int32) result

	primaryCtxRetain  func(context *uintptr, device int32) result
	primaryCtxRelease func(device int32) result
	ctxSetCurrent     func(context uintptr) result
	ctxSynchronize    func() result

	moduleLoadDataEx  func(module *uintptr, image *byte, n uint32, options *int32, values *uintptr) result
	moduleUnload      func(module uintptr) result
	moduleGetFunction func(function *uintptr, module uintptr, name *byte) result
	funcGetAttribute  func(value *int32, attribute int32, function uintptr) result
	launchKernel      func(function uintptr, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes uint32, stream uintptr,
		params *unsafe.Pointer, extra uintptr) result

	memAlloc   func(address *uint64, bytes uint64) result
	memFree    func(address uint64) result
	memcpyHtoD func(to uint64, from *byte, bytes uint64) result
	memcpyDtoH func(to *byte, from uint64, bytes uint64) result
	memcpyDtoD func(to, from uint64, bytes uint64) result
	memsetD8   func(to uint64, value uint8, n uint64) result

	eventCreate      func(event *uintptr, flags uint32) result
	eventDestroy     func(event uintptr) result
	eventRecord      func(event, stream uintptr) result
	eventSynchronize func(event uintptr) result
	eventElapsedTime func(ms *float32, from, to uintptr) result
}

// symbols are the names of the functions in the library. A _v2 is what the manual's name means since CUDA 4.
func (a *driver) symbols() map[string]any {
	return map[string]any{
		"cuGetErrorName": &a.getErrorName, "cuGetErrorString": &a.getErrorString,
		"cuInit": &a.init, "cuDriverGetVersion": &a.driverGetVersion, "cuDeviceGet": &a.deviceGet, "cuDeviceGetName": &a.deviceGetName,
		"cuDeviceTotalMem_v2": &a.deviceTotalMem, "cuDeviceGetAttribute": &a.deviceGetAttribute,
		"cuDevicePrimaryCtxRetain": &a.primaryCtxRetain, "cuDevicePrimaryCtxRelease_v2": &a.primaryCtxRelease,
		"cuCtxSetCurrent": &a.ctxSetCurrent, "cuCtxSynchronize": &a.ctxSynchronize,
		"cuModuleLoadDataEx": &a.moduleLoadDataEx, "cuModuleUnload": &a.moduleUnload, "cuModuleGetFunction": &a.moduleGetFunction,
		"cuFuncGetAttribute": &a.funcGetAttribute, "cuLaunchKernel": &a.launchKernel,
		"cuMemAlloc_v2": &a.memAlloc, "cuMemFree_v2": &a.memFree, "cuMemcpyHtoD_v2": &a.memcpyHtoD, "cuMemcpyDtoH_v2": &a.memcpyDtoH,
		"cuMemcpyDtoD_v2": &a.memcpyDtoD, "cuMemsetD8_v2": &a.memsetD8,
		"cuEventCreate": &a.eventCreate, "cuEventDestroy_v2": &a.eventDestroy, "cuEventRecord": &a.eventRecord,
		"cuEventSynchronize": &a.eventSynchronize, "cuEventElapsedTime": &a.eventElapsedTime,
	}
}

const library = "libcuda.so.1"

// open opens the library and initializes the driver.
func open() (*driver, error) {
	lib, err := purego.Dlopen(library, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("no CUDA driver: %w", err)
	}
	a := &driver{}
	for name, f := range a.symbols() {
		symbol, err := purego.Dlsym(lib, name)
		if err != nil {
			return nil, fmt.Errorf("%s has no %s, expected a driver for CUDA 11 or later: %w", library, name, err)
		}
		purego.RegisterFunc(f, symbol)
	}
	if err := a.check("cuInit", a.init(0)); err != nil {
		return nil, err
	}
	return a, nil
}

// check makes an error of a function's result, with the driver's name and description of it.
func (a *driver) check(function string, r result) error {
	if r == 0 {
		return nil
	}
	say := func(f func(result, **byte) result) string {
		var s *byte
		if f(r, &s) != 0 || s == nil {
			return "unknown error"
		}
		return text(unsafe.Slice(s, length(s)))
	}
	return fmt.Errorf("%s: %s (%s, %d)", function, say(a.getErrorString), say(a.getErrorName), r)
}

// length is that of a C string.
func length(s *byte) int {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(s), n)) != 0 {
		n++
	}
	return n
}

// text is what stands before the first zero byte.
func text(b []byte) string {
	before, _, _ := bytes.Cut(b, []byte{0})
	return string(before)
}

// cString is a string with a zero byte behind it.
func cString(s string) []byte { return append([]byte(s), 0) }
