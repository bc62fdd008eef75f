package cuda

import (
	"runtime"
	"strings"
	"time"
	"unsafe"

	"pgc/runtime/gpu"
)

// device is a GPU with its primary context.
type device struct {
	a       *library
	handle  int32
	context uintptr
	info    gpu.Info
}

// do calls a function of the driver in the device's context, which belongs to a thread.
func (d *device) do(name string, call func() result) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := d.a.check("cuCtxSetCurrent", d.a.ctxSetCurrent(d.context)); err != nil {
		return err
	}
	return d.a.check(name, call())
}

// Info implements gpu.Device, as do the methods below.
func (d *device) Info() gpu.Info { return d.info }

func (d *device) Close() error {
	return d.a.check("cuDevicePrimaryCtxRelease", d.a.primaryCtxRelease(d.handle))
}

func (d *device) MemGetInfo() (free, total int64, err error) {
	var f, t uint64
	err = d.do("cuMemGetInfo", func() result { return d.a.memGetInfo(&f, &t) })
	return int64(f), int64(t), err
}

func (d *device) MemAlloc(bytes int64) (gpu.Address, error) {
	var a uint64
	err := d.do("cuMemAlloc", func() result { return d.a.memAlloc(&a, uint64(bytes)) })
	return gpu.Address(a), err
}

func (d *device) MemFree(a gpu.Address) error {
	return d.do("cuMemFree", func() result { return d.a.memFree(uint64(a)) })
}

func (d *device) MemHostAlloc(bytes int) ([]byte, error) {
	var p unsafe.Pointer
	if err := d.do("cuMemHostAlloc", func() result { return d.a.memHostAlloc(&p, uint64(bytes), 0) }); err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), bytes), nil
}

func (d *device) MemFreeHost(b []byte) error {
	return d.do("cuMemFreeHost", func() result { return d.a.memFreeHost(unsafe.Pointer(unsafe.SliceData(b))) })
}

// Options of the compiler (CUjit_option) and what it is given (CUjitInputType).
const (
	jitErrorLogBuffer          = 5
	jitErrorLogBufferSizeBytes = 6
	jitInputPTX                = 1
)

// Link's errors have what the driver's compiler says.
func (d *device) Link(ptx []byte) (image []byte, err error) {
	data, name, log := cString(string(ptx)), cString("pgc"), make([]byte, 8<<10)
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&log[0])
	options := []int32{jitErrorLogBuffer, jitErrorLogBufferSizeBytes}
	values := []uintptr{uintptr(unsafe.Pointer(&log[0])), uintptr(len(log))}
	pin.Pin(&options[0])
	pin.Pin(&values[0])
	var state uintptr
	said := func(err error) error {
		if e, ok := err.(*gpu.Error); ok {
			if what := strings.TrimSpace(text(log)); what != "" {
				e.Text += ": " + strings.ReplaceAll(what, "\n", "; ")
			}
		}
		return err
	}
	if err := d.do("cuLinkCreate", func() result { return d.a.linkCreate(uint32(len(options)), &options[0], &values[0], &state) }); err != nil {
		return nil, err
	}
	defer d.do("cuLinkDestroy", func() result { return d.a.linkDestroy(state) })
	if err := d.do("cuLinkAddData", func() result {
		return d.a.linkAddData(state, jitInputPTX, &data[0], uint64(len(data)), &name[0], 0, nil, nil)
	}); err != nil {
		return nil, said(err)
	}
	var p unsafe.Pointer
	var n uint64
	if err := d.do("cuLinkComplete", func() result { return d.a.linkComplete(state, &p, &n) }); err != nil {
		return nil, said(err)
	}
	return append([]byte(nil), unsafe.Slice((*byte)(p), n)...), nil // the linker's own goes with it
}

func (d *device) ModuleLoad(image []byte) (gpu.Module, error) {
	var m uintptr
	image = append(image[:len(image):len(image)], 0) // text ends in a zero
	err := d.do("cuModuleLoadData", func() result { return d.a.moduleLoadData(&m, &image[0]) })
	return gpu.Module(m), err
}

func (d *device) ModuleUnload(m gpu.Module) error {
	return d.do("cuModuleUnload", func() result { return d.a.moduleUnload(uintptr(m)) })
}

func (d *device) ModuleGetFunction(m gpu.Module, name string) (gpu.Function, error) {
	var f uintptr
	c := cString(name)
	err := d.do("cuModuleGetFunction", func() result { return d.a.moduleGetFunction(&f, uintptr(m), &c[0]) })
	if e, ok := err.(*gpu.Error); ok {
		e.Text += ": " + name
	}
	return gpu.Function(f), err
}

// Attributes of a function (CUfunction_attribute).
const (
	funcLocalSizeBytes        = 3
	funcNumRegs               = 4
	funcMaxDynamicSharedBytes = 8
)

func (d *device) Occupancy(f gpu.Function, threads int, shared int64) (int, error) {
	if shared > 0 {
		if err := d.do("cuFuncSetAttribute", func() result {
			return d.a.funcSetAttribute(uintptr(f), funcMaxDynamicSharedBytes, int32(shared))
		}); err != nil {
			return 0, err
		}
	}
	var blocks int32
	err := d.do("cuOccupancyMaxActiveBlocksPerMultiprocessor", func() result {
		return d.a.occupancy(&blocks, uintptr(f), int32(threads), uint64(shared))
	})
	return int(blocks), err
}

// Resources returns the registers of a thread of a function, and its bytes of local memory: spills, if there are any.
func Resources(of gpu.Device, f gpu.Function) (registers, local int, err error) {
	d := of.(*device)
	for attribute, to := range map[int32]*int{funcNumRegs: &registers, funcLocalSizeBytes: &local} {
		var v int32
		if err := d.do("cuFuncGetAttribute", func() result { return d.a.funcGetAttribute(&v, attribute, uintptr(f)) }); err != nil {
			return 0, 0, err
		}
		*to = int(v)
	}
	return registers, local, nil
}

// nonBlocking is a stream that does not wait for the default one.
const nonBlocking = 1

func (d *device) StreamCreate() (gpu.Stream, error) {
	var s uintptr
	err := d.do("cuStreamCreate", func() result { return d.a.streamCreate(&s, nonBlocking) })
	return gpu.Stream(s), err
}

func (d *device) StreamDestroy(s gpu.Stream) error {
	return d.do("cuStreamDestroy", func() result { return d.a.streamDestroy(uintptr(s)) })
}

func (d *device) StreamSynchronize(s gpu.Stream) error {
	return d.do("cuStreamSynchronize", func() result { return d.a.streamSynchronize(uintptr(s)) })
}

func (d *device) EventCreate() (gpu.Event, error) {
	var e uintptr
	err := d.do("cuEventCreate", func() result { return d.a.eventCreate(&e, 0) })
	return gpu.Event(e), err
}

func (d *device) EventDestroy(e gpu.Event) error {
	return d.do("cuEventDestroy", func() result { return d.a.eventDestroy(uintptr(e)) })
}

func (d *device) EventRecord(e gpu.Event, s gpu.Stream) error {
	return d.do("cuEventRecord", func() result { return d.a.eventRecord(uintptr(e), uintptr(s)) })
}

func (d *device) EventSynchronize(e gpu.Event) error {
	return d.do("cuEventSynchronize", func() result { return d.a.eventSynchronize(uintptr(e)) })
}

func (d *device) EventElapsed(from, to gpu.Event) (time.Duration, error) {
	var ms float32
	err := d.do("cuEventElapsedTime", func() result { return d.a.eventElapsedTime(&ms, uintptr(from), uintptr(to)) })
	return time.Duration(float64(ms) * float64(time.Millisecond)), err
}

func (d *device) MemcpyHtoD(s gpu.Stream, to gpu.Address, from []byte) error {
	return d.do("cuMemcpyHtoDAsync", func() result {
		return d.a.memcpyHtoD(uint64(to), unsafe.SliceData(from), uint64(len(from)), uintptr(s))
	})
}

func (d *device) MemcpyDtoH(s gpu.Stream, to []byte, from gpu.Address) error {
	return d.do("cuMemcpyDtoHAsync", func() result { return d.a.memcpyDtoH(unsafe.SliceData(to), uint64(from), uint64(len(to)), uintptr(s)) })
}

func (d *device) MemcpyDtoD(s gpu.Stream, to, from gpu.Address, bytes int64) error {
	return d.do("cuMemcpyDtoDAsync", func() result { return d.a.memcpyDtoD(uint64(to), uint64(from), uint64(bytes), uintptr(s)) })
}

func (d *device) MemsetD8(s gpu.Stream, to gpu.Address, value byte, bytes int64) error {
	return d.do("cuMemsetD8Async", func() result { return d.a.memsetD8(uint64(to), value, uint64(bytes), uintptr(s)) })
}

// parameters are the addresses of a launch's parameters, which the driver copies; pin holds them in place meanwhile.
func parameters(l *gpu.Launch, pin *runtime.Pinner) *unsafe.Pointer {
	list := make([]unsafe.Pointer, len(l.Params)+1) // one more, so that there is a first
	for i := range l.Params {
		list[i] = unsafe.Pointer(&l.Params[i])
	}
	if len(l.Params) > 0 {
		pin.Pin(&l.Params[0])
	}
	pin.Pin(&list[0])
	return &list[0]
}

func (d *device) LaunchKernel(s gpu.Stream, l gpu.Launch) error {
	var pin runtime.Pinner
	defer pin.Unpin()
	params := parameters(&l, &pin)
	return d.do("cuLaunchKernel", func() result {
		return d.a.launchKernel(uintptr(l.Function), uint32(l.Blocks), 1, 1, uint32(l.Threads), 1, 1, uint32(l.Shared), uintptr(s), params, 0)
	})
}

// GraphCreate makes a chain of nodes; what is kept is the graph's executable form.
func (d *device) GraphCreate(launches []gpu.Launch, events []gpu.Event) (gpu.Graph, error) {
	var graph, exec, last uintptr
	if err := d.do("cuGraphCreate", func() result { return d.a.graphCreate(&graph, 0) }); err != nil {
		return 0, err
	}
	defer d.do("cuGraphDestroy", func() result { return d.a.graphDestroy(graph) })
	for i := range len(launches) + 1 {
		if i < len(events) {
			after, n := last, before(last)
			if err := d.do("cuGraphAddEventRecordNode", func() result { return d.a.graphAddEventNode(&last, graph, &after, n, uintptr(events[i])) }); err != nil {
				return 0, err
			}
		}
		if i < len(launches) {
			if err := d.addNode(graph, &last, &launches[i]); err != nil {
				return 0, err
			}
		}
	}
	err := d.do("cuGraphInstantiate", func() result { return d.a.graphInstantiate(&exec, graph, 0) })
	return gpu.Graph(exec), err
}

// before is how many nodes a new one follows: the last one, if there is one.
func before(last uintptr) uint64 {
	if last == 0 {
		return 0
	}
	return 1
}

// addNode adds a launch to a graph, behind the last node if there is one.
func (d *device) addNode(graph uintptr, last *uintptr, l *gpu.Launch) error {
	var pin runtime.Pinner
	defer pin.Unpin()
	p := &kernelNode{function: uintptr(l.Function), grid: [3]uint32{uint32(l.Blocks), 1, 1}, block: [3]uint32{uint32(l.Threads), 1, 1},
		shared: uint32(l.Shared), params: parameters(l, &pin)}
	pin.Pin(p)
	after, n := *last, before(*last)
	return d.do("cuGraphAddKernelNode", func() result { return d.a.graphAddKernelNode(last, graph, &after, n, p) })
}

func (d *device) GraphLaunch(g gpu.Graph, s gpu.Stream) error {
	return d.do("cuGraphLaunch", func() result { return d.a.graphLaunch(uintptr(g), uintptr(s)) })
}

func (d *device) GraphDestroy(g gpu.Graph) error {
	return d.do("cuGraphExecDestroy", func() result { return d.a.graphExecDestroy(uintptr(g)) })
}
