// Package remote is a driver of GPUs that belong to another process: pgc itself is linked to no library of the system, so
// it has the runtime for GPUs, a process of its own, call the driver's functions, through a pair of pipes.
//
// Calls that only queue something are sent and not waited for. Their errors are those of the next call that is, as with
// the driver's own.
package remote

import (
	"errors"
	"time"

	"pgc/runtime/gpu"
)

// op is a method of gpu.Driver or gpu.Device.
type op uint8

const (
	opDevices op = iota
	opOpen
	opMemGetInfo
	opMemAlloc
	opMemFree
	opMemHostAlloc
	opMemFreeHost
	opLink
	opModuleLoad
	opModuleUnload
	opModuleGetFunction
	opOccupancy
	opStreamCreate
	opStreamDestroy
	opStreamSynchronize
	opEventCreate
	opEventDestroy
	opEventSynchronize
	opEventElapsed
	opGraphCreate
	opGraphDestroy
	opClose
	// What follows is not answered.
	opEventRecord
	opMemcpyHtoD
	opMemcpyDtoH
	opMemcpyDtoD
	opMemsetD8
	opLaunchKernel
	opGraphLaunch
)

func (o op) answered() bool { return o < opEventRecord }

// request is a call: its operands, in the order of the method's.
type request struct {
	Op       op
	Args     [4]uint64
	Data     []byte
	Launches []gpu.Launch
	Events   []gpu.Event
	Fetch    []span // what a call that waits returns of host memory
}

// span is bytes of host memory that MemHostAlloc has numbered.
type span struct{ Memory, Offset, Bytes uint64 }

// reply is the results of a call.
type reply struct {
	Values  [2]uint64
	Data    []byte
	Infos   []gpu.Info
	Failure *failure
}

// failure is an error, which may be the driver's.
type failure struct {
	Driver *gpu.Error
	Text   string
}

func failed(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Text: err.Error()}
	if e, ok := err.(*gpu.Error); ok {
		f.Driver = e
	}
	return f
}

func (f *failure) err() error {
	switch {
	case f == nil:
		return nil
	case f.Driver != nil:
		return f.Driver
	}
	return errors.New(f.Text)
}

// duration is the time that a reply carries.
func (r *reply) duration() time.Duration { return time.Duration(r.Values[0]) }
