// Package fault turns a fault on memory that is mapped from a file into an error.
package fault

import (
	"errors"
	"runtime"
	"runtime/debug"
)

// ErrCut is what a fault on mapped memory means: the system raises one where a file has become shorter or cannot be read.
var ErrCut = errors.New("a file that is mapped into memory is cut short or cannot be read, expected it whole and unchanged while this program runs")

// Guard runs work and returns ErrCut if it faults on memory. It covers the goroutine that it is called on alone.
func Guard(work func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch r := recover().(type) {
		case nil:
		case interface {
			runtime.Error
			Addr() uintptr
		}:
			err = ErrCut
		default:
			panic(r)
		}
	}()
	return work()
}
