package cuda

import (
	"bytes"
	"fmt"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"

	"pgc/runtime/gpu"
)

// result is a CUresult; 0 is success.
type result int32

// library is the functions of libcuda.so.1. Handles and device addresses are 64 bits.
type library struct {
	getErrorName, getErrorString func(result, **byte) result

	init               func(flags uint32) result
	driverGetVersion   func(version *int32) result
	deviceGetCount     func(n *int32) result
	deviceGet          func(device *int32, ordinal int32) result
	deviceGetName      func(name *byte, n int32, device int32) result
	deviceTotalMem     func(bytes *uint64, device int32) result
	deviceGetAttribute func(value *int32, attribute, device int32) result

	primaryCtxRetain  func(context *uintptr, device int32) result
	primaryCtxRelease func(device int32) result
	ctxSetCurrent     func(context uintptr) result
	memGetInfo        func(free, total *uint64) result

	linkCreate     func(n uint32, options *int32, values *uintptr, state *uintptr) result
	linkAddData    func(state uintptr, kind int32, data *byte, bytes uint64, name *byte, n uint32, options *int32, values *uintptr) result
	linkComplete   func(state uintptr, image *unsafe.Pointer, bytes *uint64) result
	linkDestroy    func(state uintptr) result
	moduleLoadData func(module *uintptr, image *byte) result
	moduleUnload   func(module uintptr) result

	moduleGetFunction func(function *uintptr, module uintptr, name *byte) result
	funcGetAttribute  func(value *int32, attribute int32, function uintptr) result
	funcSetAttribute  func(function uintptr, attribute, value int32) result
	occupancy         func(blocks *int32, function uintptr, threads int32, shared uint64) result
	launchKernel      func(function uintptr, gridX, gridY, gridZ, blockX, blockY, blockZ, shared uint32, stream uintptr, params *unsafe.Pointer, extra uintptr) result

	memAlloc     func(address *uint64, bytes uint64) result
	memFree      func(address uint64) result
	memHostAlloc func(p *unsafe.Pointer, bytes uint64, flags uint32) result
	memFreeHost  func(p unsafe.Pointer) result
	memcpyHtoD   func(to uint64, from *byte, bytes uint64, stream uintptr) result
	memcpyDtoH   func(to *byte, from uint64, bytes uint64, stream uintptr) result
	memcpyDtoD   func(to, from uint64, bytes uint64, stream uintptr) result
	memsetD8     func(to uint64, value uint8, n uint64, stream uintptr) result

	streamCreate      func(stream *uintptr, flags uint32) result
	streamDestroy     func(stream uintptr) result
	streamSynchronize func(stream uintptr) result
	eventCreate       func(event *uintptr, flags uint32) result
	eventDestroy      func(event uintptr) result
	eventRecord       func(event, stream uintptr) result
	eventSynchronize  func(event uintptr) result
	eventElapsedTime  func(ms *float32, from, to uintptr) result

	graphCreate        func(graph *uintptr, flags uint32) result
	graphAddKernelNode func(node *uintptr, graph uintptr, after *uintptr, n uint64, params *kernelNode) result
	graphAddEventNode  func(node *uintptr, graph uintptr, after *uintptr, n uint64, event uintptr) result
	graphInstantiate   func(exec *uintptr, graph uintptr, flags uint64) result
	graphLaunch        func(exec, stream uintptr) result
	graphDestroy       func(graph uintptr) result
	graphExecDestroy   func(exec uintptr) result
}

// kernelNode is CUDA_KERNEL_NODE_PARAMS_v1.
type kernelNode struct {
	function uintptr
	grid     [3]uint32
	block    [3]uint32
	shared   uint32
	params   *unsafe.Pointer
	_        uintptr // extra: none
}

// symbols are the names of the functions in the library. A _v2 is what the manual's name means since CUDA 4.
func (a *library) symbols() map[string]any {
	return map[string]any{
		"cuGetErrorName": &a.getErrorName, "cuGetErrorString": &a.getErrorString,
		"cuInit": &a.init, "cuDriverGetVersion": &a.driverGetVersion, "cuDeviceGetCount": &a.deviceGetCount, "cuDeviceGet": &a.deviceGet,
		"cuDeviceGetName": &a.deviceGetName, "cuDeviceTotalMem_v2": &a.deviceTotalMem, "cuDeviceGetAttribute": &a.deviceGetAttribute,
		"cuDevicePrimaryCtxRetain": &a.primaryCtxRetain, "cuDevicePrimaryCtxRelease_v2": &a.primaryCtxRelease,
		"cuCtxSetCurrent": &a.ctxSetCurrent, "cuMemGetInfo_v2": &a.memGetInfo,
		"cuLinkCreate_v2": &a.linkCreate, "cuLinkAddData_v2": &a.linkAddData, "cuLinkComplete": &a.linkComplete, "cuLinkDestroy": &a.linkDestroy,
		"cuModuleLoadData": &a.moduleLoadData, "cuModuleUnload": &a.moduleUnload, "cuModuleGetFunction": &a.moduleGetFunction,
		"cuFuncGetAttribute": &a.funcGetAttribute, "cuFuncSetAttribute": &a.funcSetAttribute,
		"cuOccupancyMaxActiveBlocksPerMultiprocessor": &a.occupancy, "cuLaunchKernel": &a.launchKernel,
		"cuMemAlloc_v2": &a.memAlloc, "cuMemFree_v2": &a.memFree, "cuMemHostAlloc": &a.memHostAlloc, "cuMemFreeHost": &a.memFreeHost,
		"cuMemcpyHtoDAsync_v2": &a.memcpyHtoD, "cuMemcpyDtoHAsync_v2": &a.memcpyDtoH, "cuMemcpyDtoDAsync_v2": &a.memcpyDtoD, "cuMemsetD8Async": &a.memsetD8,
		"cuStreamCreate": &a.streamCreate, "cuStreamDestroy_v2": &a.streamDestroy, "cuStreamSynchronize": &a.streamSynchronize,
		"cuEventCreate": &a.eventCreate, "cuEventDestroy_v2": &a.eventDestroy,
		"cuEventRecord": &a.eventRecord, "cuEventSynchronize": &a.eventSynchronize, "cuEventElapsedTime": &a.eventElapsedTime,
		"cuGraphCreate": &a.graphCreate, "cuGraphAddKernelNode": &a.graphAddKernelNode, "cuGraphAddEventRecordNode": &a.graphAddEventNode, "cuGraphInstantiateWithFlags": &a.graphInstantiate,
		"cuGraphLaunch": &a.graphLaunch, "cuGraphDestroy": &a.graphDestroy, "cuGraphExecDestroy": &a.graphExecDestroy,
	}
}

const libraryName = "libcuda.so.1"

// api is the library, opened once.
var api = sync.OnceValues(open)

// open opens the library and initializes the driver.
func open() (*library, error) {
	lib, err := purego.Dlopen(libraryName, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("no NVIDIA driver is installed: %w", err)
	}
	a := &library{}
	for name, f := range a.symbols() {
		symbol, err := purego.Dlsym(lib, name)
		if err != nil {
			return nil, fmt.Errorf("the NVIDIA driver is too old: %s has no %s, expected a driver for CUDA 11.4 or later", libraryName, name)
		}
		purego.RegisterFunc(f, symbol)
	}
	if err := a.check("cuInit", a.init(0)); err != nil {
		return nil, fmt.Errorf("the NVIDIA driver does not start: %w", err)
	}
	return a, nil
}

// check makes an error of a function's result, with the driver's description and name of it.
func (a *library) check(function string, r result) error {
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
	return &gpu.Error{Call: function, Code: gpu.Code(r), Text: say(a.getErrorString) + ", " + say(a.getErrorName)}
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
