package native

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

//lint:file-ignore U1000 assembly reads the variables

// What onFault, in fault_amd64.s and fault_arm64.s, looks at, and clone.
var (
	faultLow, faultHigh uintptr // all native code lies there, and no other code runs there
	faultText           *byte   // what it prints
	faultBytes          uintptr
	faultSaid           uint32        // 1 once a thread prints it
	goFault             uintptr       // Go's own handler
	threadMask          = ^uintptr(0) // signals that native threads block
)

// faultHandler returns the address of onFault.
func faultHandler() uintptr

// sigaction is the kernel's.
type sigaction struct{ handler, flags, restorer, mask uintptr }

// ExitOnFault has this process print a text, a line, and exit with status 1 where native code faults on a file that is
// mapped into memory: it has become shorter, or cannot be read. Otherwise the system ends the process by SIGBUS. It is
// for programs, before threads are started.
func ExitOnFault(text string) error {
	line := []byte(text + "\n")
	faultText, faultBytes, faultSaid = unsafe.SliceData(line), uintptr(len(line)), 0
	var action sigaction
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGBUS), 0, uintptr(unsafe.Pointer(&action)), 8, 0, 0); e != 0 {
		return fmt.Errorf("cannot handle SIGBUS: %w", e)
	}
	goFault, action.handler = action.handler, faultHandler()
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGBUS), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0); e != 0 {
		return fmt.Errorf("cannot handle SIGBUS: %w", e)
	}
	threadMask &^= 1 << (unix.SIGBUS - 1)
	return nil
}

var explaining sync.Mutex

// explain has faults of native code explained, if ExitOnFault was called.
func explain(code []byte) {
	explaining.Lock()
	defer explaining.Unlock()
	low, high := addr(code), addr(code)+uintptr(len(code))
	if faultHigh > 0 {
		low, high = min(low, faultLow), max(high, faultHigh)
	}
	faultLow, faultHigh = low, high
}
