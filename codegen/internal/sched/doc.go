// Package sched generates the worker loop that every compiled executable carries: the native code in which the threads
// of runtime/native wait for jobs, take tasks, run kernels and wait for each other. runtime/program describes the
// memory they share and the protocol.
//
// Like the kernels it is LLVM IR built with llir; it needs no more than x86-64 or arm64 and makes no call but to
// kernels: futex system calls are inline assembly.
package sched
