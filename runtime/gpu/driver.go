// Package gpu executes programs of kind PTX on an NVIDIA GPU: the memory that they work on, the graphs of their launches,
// and how weights and code come onto the device. It speaks to a Driver, in the words of the CUDA driver API; the drivers
// are packages of their own, so a runtime without one links no library of the system.
package gpu

import (
	"fmt"
	"time"
)

// Driver opens the GPUs of a machine.
type Driver interface {
	// Devices lists the GPUs. An error says why there are none.
	Devices() ([]Info, error)
	// Open makes a context on a device, by its number in the list.
	Open(ordinal int) (Device, error)
}

// Info is what a device says of itself.
type Info struct {
	Name            string
	Major, Minor    int // compute capability
	Multiprocessors int
	MemoryBytes     int64
	L2Bytes         int
	Driver          int // the CUDA version that the driver supports, as 1000·major + 10·minor
	// Compiles says that compiling takes so long that the results are worth keeping.
	Compiles bool
}

// String describes the device in a line.
func (i Info) String() string {
	return fmt.Sprintf("%s (compute capability %d.%d, %s)", i.Name, i.Major, i.Minor, gib(i.MemoryBytes))
}

// Address is a place in the memory of a device. Memory is allocated from multiples of 256 bytes on.
type Address uint64

// Handles of a device's objects.
type (
	Module   uintptr
	Function uintptr
	Stream   uintptr
	Event    uintptr
	Graph    uintptr
)

// Launch is one kernel on a grid of blocks of threads, both in one dimension. Every parameter is of 64 bits.
type Launch struct {
	Function Function
	Blocks   int64
	Threads  int
	Shared   int64 // bytes of dynamic shared memory
	Params   []uint64
}

// Device is a GPU with a context. Its methods are the CUDA driver API's, and may be called from any goroutine. What
// takes a stream is queued there and does not wait; host memory must stay until it has been done, and comes from
// MemHostAlloc.
type Device interface {
	Info() Info
	MemGetInfo() (free, total int64, err error)
	MemAlloc(bytes int64) (Address, error)
	MemFree(a Address) error
	MemHostAlloc(bytes int) ([]byte, error)
	MemFreeHost(b []byte) error

	// Link compiles the text of a module for the device.
	Link(text []byte) (image []byte, err error)
	ModuleLoad(image []byte) (Module, error)
	ModuleUnload(m Module) error
	ModuleGetFunction(m Module, name string) (Function, error)
	// Occupancy returns how many blocks of a function a multiprocessor holds, after allowing it so many bytes of dynamic
	// shared memory.
	Occupancy(f Function, threads int, shared int64) (blocks int, err error)

	StreamCreate() (Stream, error)
	StreamDestroy(s Stream) error
	StreamSynchronize(s Stream) error
	EventCreate() (Event, error)
	EventDestroy(e Event) error
	EventRecord(e Event, s Stream) error
	EventSynchronize(e Event) error
	// EventElapsed returns the time between two events that were recorded and are over.
	EventElapsed(from, to Event) (time.Duration, error)

	MemcpyHtoD(s Stream, to Address, from []byte) error
	MemcpyDtoH(s Stream, to []byte, from Address) error
	MemcpyDtoD(s Stream, to, from Address, bytes int64) error
	MemsetD8(s Stream, to Address, value byte, bytes int64) error
	LaunchKernel(s Stream, l Launch) error
	// GraphCreate makes a graph of launches, one after the other. It keeps copies of their parameters. Events, unless there
	// are none, are recorded before each launch and behind the last one.
	GraphCreate(launches []Launch, events []Event) (Graph, error)
	GraphLaunch(g Graph, s Stream) error
	GraphDestroy(g Graph) error

	// Close gives the context back, and all that was not given back before.
	Close() error
}

// Code is a result of the driver that the executor tells from others (CUresult).
type Code int

// The codes.
const (
	OutOfMemory        Code = 2
	InvalidPTX         Code = 218
	UnsupportedVersion Code = 222
)

// Error is a failure of a driver's function.
type Error struct {
	Call string // the function's name in the CUDA driver API
	Code Code
	Text string // what the driver says of it
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s (%d)", e.Call, e.Text, e.Code) }

// lost reports whether nothing more can be done on the device: errors of kernels, of the hardware and of the context.
func (e *Error) lost() bool {
	switch {
	case e.Code == 214, e.Code == 46, e.Code == 4: // an uncorrectable memory error, a device that is gone, the end of the process
		return true
	}
	return e.Code >= 700 && e.Code < 720 || e.Code == 999
}

// gib prints a number of bytes.
func gib(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
