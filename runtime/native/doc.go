// Package native runs compiled kernels: threads outside the Go runtime, memory outside its heap, and what a program
// must know of the machine it finds itself on.
//
// A kernel may run for milliseconds and threads meet at barriers every few microseconds. Go's own threads cannot do
// that: a thread that waits natively while it holds a Go processor stops the next garbage collection for ever. So
// kernels run on raw threads with all signals blocked, Go hands them a whole list of launches at a time and sleeps in a
// futex system call until it is done.
package native
