#include "textflag.h"

// What thread_amd64.s is for x86-64: a thread that the Go runtime knows nothing of.

#define SYS_exit           93
#define SYS_rt_sigprocmask 135
#define SYS_clone          220
#define SIG_SETMASK        2

// func clone(flags, stack uintptr, tid *int32, fn, arg, first, end, last uintptr) int64
//
// Starts a thread that calls fn(arg, i, last) in the C calling convention for every i
// from first to end-1 and then exits. All signals of threadMask are blocked across the
// system call, so the child, which inherits the mask, never takes one: no Go signal
// handler ever runs on its stack.
TEXT ·clone(SB), NOSPLIT, $16-72
	MOVD	·threadMask(SB), R0
	MOVD	R0, all-8(SP)
	MOVD	$SIG_SETMASK, R0
	MOVD	$all-8(SP), R1
	MOVD	$old-16(SP), R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigprocmask, R8
	SVC

	MOVD	flags+0(FP), R0
	MOVD	stack+8(FP), R1
	MOVD	tid+16(FP), R2
	MOVD	ZR, R3 // thread-local storage: none, a stray use faults
	MOVD	R2, R4
	MOVD	fn+24(FP), R19 // the C calling convention keeps R19 to R25
	MOVD	arg+32(FP), R20
	MOVD	first+40(FP), R21
	MOVD	end+48(FP), R22
	MOVD	last+56(FP), R23
	MOVD	$SYS_clone, R8
	SVC
	CBZ	R0, child
	MOVD	R0, ret+64(FP)

	MOVD	$SIG_SETMASK, R0
	MOVD	$old-16(SP), R1
	MOVD	ZR, R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigprocmask, R8
	SVC
	RET

child:
	// The stack pointer is the top of the new stack, a multiple of 16. The default
	// floating-point state (round to nearest, denormals kept) is set by hand, so that
	// results never depend on who called.
	MSR	ZR, FPCR
	MOVD	ZR, R29
	B	check
next:
	MOVD	R20, R0
	MOVD	R21, R1
	MOVD	R23, R2
	BL	(R19)
	ADD	$1, R21
check:
	CMP	R22, R21
	BLT	next
	MOVD	ZR, R0
	MOVD	$SYS_exit, R8
	SVC
	BRK

// func clockRate() int64
//
// Ticks of the virtual counter in a second.
TEXT ·clockRate(SB), NOSPLIT, $0-8
	MRS	CNTFRQ_EL0, R0
	MOVD	R0, ret+0(FP)
	RET
