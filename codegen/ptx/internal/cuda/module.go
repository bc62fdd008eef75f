package cuda

import (
	"fmt"
	"runtime"
	"strings"
	"unsafe"
)

// Module is code loaded on a device.
type Module struct {
	device *Device
	handle uintptr
}

// Options of cuModuleLoadDataEx (CUjit_option).
const (
	jitErrorLogBuffer          = 5
	jitErrorLogBufferSizeBytes = 6
)

// Load compiles PTX for the device. What the driver's compiler says against it is in the error.
func (d *Device) Load(ptx string) (*Module, error) {
	image, log := cString(ptx), make([]byte, 8<<10)
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&log[0])
	options := []int32{jitErrorLogBuffer, jitErrorLogBufferSizeBytes}
	values := []uintptr{uintptr(unsafe.Pointer(&log[0])), uintptr(len(log))}
	m := &Module{device: d}
	err := d.do("cuModuleLoadDataEx", func(a *driver) result {
		return a.moduleLoadDataEx(&m.handle, &image[0], uint32(len(options)), &options[0], &values[0])
	})
	if said := strings.TrimSpace(text(log)); err != nil && said != "" {
		err = fmt.Errorf("%w: %s", err, strings.ReplaceAll(said, "\n", "; "))
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Unload frees a module; its functions are gone then.
func (m *Module) Unload() error {
	return m.device.do("cuModuleUnload", func(a *driver) result { return a.moduleUnload(m.handle) })
}

// Function is an entry of a module.
type Function struct {
	device *Device
	handle uintptr
	name   string
}

// Function finds an entry by name.
func (m *Module) Function(name string) (*Function, error) {
	f, c := &Function{device: m.device, name: name}, cString(name)
	err := m.device.do("cuModuleGetFunction", func(a *driver) result { return a.moduleGetFunction(&f.handle, m.handle, &c[0]) })
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, name)
	}
	return f, nil
}

// Attributes of a function (CUfunction_attribute).
const (
	funcLocalSizeBytes = 3
	funcNumRegs        = 4
)

// Resources returns the registers of a thread, and its bytes of local memory: spills, if there are any.
func (f *Function) Resources() (registers, local int, err error) {
	for attribute, to := range map[int32]*int{funcNumRegs: &registers, funcLocalSizeBytes: &local} {
		var v int32
		if err := f.device.do("cuFuncGetAttribute", func(a *driver) result { return a.funcGetAttribute(&v, attribute, f.handle) }); err != nil {
			return 0, 0, fmt.Errorf("%w: %s", err, f.name)
		}
		*to = int(v)
	}
	return registers, local, nil
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
	var pin runtime.Pinner
	defer pin.Unpin()
	params := make([]unsafe.Pointer, len(args)+1) // one more, so that there is a first
	for i := range args {
		params[i] = unsafe.Pointer(&args[i])
	}
	if len(args) > 0 {
		pin.Pin(&args[0])
	}
	pin.Pin(&params[0])
	err := f.device.do("cuLaunchKernel", func(a *driver) result {
		return a.launchKernel(f.handle, uint32(blocks), 1, 1, uint32(threads), 1, 1, 0, 0, &params[0], 0)
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, f.name)
	}
	return nil
}
