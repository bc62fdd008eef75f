#include "textflag.h"

// A thread that the Go runtime knows nothing of. Other assembly of the project is in fault_*.s, thread_arm64.s and
// runtime/cpufeature.

#define SYS_rt_sigprocmask 14
#define SYS_clone          56
#define SYS_exit           60
#define SIG_SETMASK        2

// func clone(flags, stack uintptr, tid *int32, fn, arg, first, end, last uintptr) int64
//
// Starts a thread that calls fn(arg, i, last) in the C calling convention for every i
// from first to end-1 and then exits. All signals of threadMask are blocked across the system call, so the child, which
// inherits the mask, never takes one: no Go signal handler ever runs on its stack.
TEXT ·clone(SB), NOSPLIT, $16-72
	MOVQ	·threadMask(SB), AX
	MOVQ	AX, all-8(SP)
	MOVL	$SIG_SETMASK, DI
	LEAQ	all-8(SP), SI
	LEAQ	old-16(SP), DX
	MOVL	$8, R10
	MOVL	$SYS_rt_sigprocmask, AX
	SYSCALL

	MOVQ	flags+0(FP), DI
	MOVQ	stack+8(FP), SI
	MOVQ	tid+16(FP), DX
	MOVQ	DX, R10
	XORL	R8, R8 // thread-local storage: none, a stray use faults
	MOVQ	fn+24(FP), R12
	MOVQ	arg+32(FP), R13
	MOVQ	first+40(FP), R14
	MOVQ	end+48(FP), BX
	MOVQ	last+56(FP), R15
	MOVL	$SYS_clone, AX
	SYSCALL
	TESTQ	AX, AX
	JEQ	child
	MOVQ	AX, ret+64(FP)

	MOVL	$SIG_SETMASK, DI
	LEAQ	old-16(SP), SI
	XORL	DX, DX
	MOVL	$8, R10
	MOVL	$SYS_rt_sigprocmask, AX
	SYSCALL
	RET

child:
	// SP is the top of the new stack, a multiple of 16. The default floating-point
	// state (all exceptions masked, round to nearest, denormals kept) is set by hand,
	// so that results never depend on who called.
	XORL	BP, BP
	CLD
	MOVL	$0x1f80, -8(SP)
	LDMXCSR	-8(SP)
	JMP	check
next:
	MOVQ	R13, DI
	MOVQ	R14, SI
	MOVQ	R15, DX
	CALL	R12 // keeps BX and R12 to R15
	INCQ	R14
check:
	CMPQ	R14, BX
	JLT	next
	XORL	DI, DI
	MOVL	$SYS_exit, AX
	SYSCALL
	INT	$3
