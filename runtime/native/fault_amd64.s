#include "textflag.h"

#define SYS_write      1
#define SYS_pause      34
#define SYS_exit_group 231
#define CONTEXT_PC     168 // of ucontext_t

// The handler of SIGBUS. Where native code was running it prints faultText and ends the process: Go's handler would not
// know the thread. Elsewhere it is Go's.
TEXT onFault<>(SB), NOSPLIT|NOFRAME, $0
	MOVQ	CONTEXT_PC(DX), AX
	CMPQ	AX, ·faultLow(SB)
	JCS	other
	CMPQ	AX, ·faultHigh(SB)
	JCC	other
	MOVL	$1, AX
	XCHGL	AX, ·faultSaid(SB)
	TESTL	AX, AX
	JNE	wait
	MOVL	$SYS_write, AX
	MOVL	$2, DI
	MOVQ	·faultText(SB), SI
	MOVQ	·faultBytes(SB), DX
	SYSCALL
	MOVL	$SYS_exit_group, AX
	MOVL	$1, DI
	SYSCALL
	INT	$3
wait: // another thread prints, and ends this one
	MOVL	$SYS_pause, AX
	SYSCALL
	JMP	wait
other:
	MOVQ	·goFault(SB), AX
	JMP	AX

// func faultHandler() uintptr
TEXT ·faultHandler(SB), NOSPLIT, $0-8
	LEAQ	onFault<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
