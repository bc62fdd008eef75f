package native

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stackBytes is the stack of a native thread: kernels keep their arrays in scratch memory and use the stack for spilled
// registers and calls only.
const stackBytes = 256 << 10

// clone is in thread_amd64.s and thread_arm64.s.
func clone(flags, stack uintptr, tid *int32, fn, arg, first, end, last uintptr) int64

const cloneFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD |
	unix.CLONE_SYSVSEM | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID

// thread is a thread of the process that the Go runtime does not know: it runs native code only, on a stack of its own,
// with every signal of threadMask blocked.
type thread struct {
	stack *Memory
	tid   *int32 // at the low end of the stack; the kernel clears it and wakes us at the thread's end
}

// start runs fn(arg, i, last), a C function in executable memory, for every i from first to end-1 on a new thread.
func start(fn, arg, first, end, last uintptr) (*thread, error) {
	stack, err := Reserve(stackBytes)
	if err != nil {
		return nil, err
	}
	t := &thread{stack, (*int32)(unsafe.Pointer(unsafe.SliceData(stack.Bytes())))}
	if r := clone(cloneFlags, stack.Addr()+stackBytes, t.tid, fn, arg, first, end, last); r < 0 {
		stack.Close()
		return nil, fmt.Errorf("cannot start a thread (ulimit -u): %w", syscall.Errno(-r))
	}
	return t, nil
}

// join waits until the thread has ended and frees its stack.
func (t *thread) join() {
	for {
		v := atomic.LoadInt32(t.tid)
		if v == 0 {
			t.stack.Close()
			return
		}
		futexWait(t.tid, v, 0) // the kernel's own wake is not a private one
	}
}

const (
	futexWaitOp  = 0
	futexWakeOp  = 1
	futexPrivate = 128
)

// futexWait sleeps while *p == v, or returns early for no reason. The thread is in a system call as far as Go's
// scheduler knows: its processor is free for others and a garbage collection does not wait for it.
func futexWait(p *int32, v int32, flags uintptr) {
	syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(p)), futexWaitOp|flags, uintptr(uint32(v)), 0, 0, 0)
}

// futexWaitFor is futexWait for no longer than d.
func futexWaitFor(p *int32, v int32, d time.Duration) {
	limit := unix.NsecToTimespec(int64(d))
	syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(p)), futexWaitOp|futexPrivate, uintptr(uint32(v)), uintptr(unsafe.Pointer(&limit)), 0, 0)
}

// futexWake wakes up to n sleepers on p.
func futexWake(p *int32, n int) {
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(p)), futexWakeOp|futexPrivate, uintptr(n), 0, 0, 0)
}

// Call runs the tasks 0 … tasks-1 of one kernel, in this order, on a thread of its own and waits for it: for tests and
// checks of single kernels, where a Pool would be too much. kernel is the address of its code, args that of its
// argument table, scratch that of its scratch memory.
func Call(kernel, args uintptr, tasks int64, scratch uintptr) error {
	t, err := start(kernel, args, 0, uintptr(max(tasks, 0)), scratch)
	if err != nil {
		return err
	}
	t.join()
	return nil
}
