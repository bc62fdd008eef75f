#include "textflag.h"

#define SYS_write      64
#define SYS_ppoll      73
#define SYS_exit_group 94
#define CONTEXT_PC     440 // of ucontext_t

// What fault_amd64.s is for x86-64.
TEXT onFault<>(SB), NOSPLIT|NOFRAME, $0
	MOVD	CONTEXT_PC(R2), R9
	MOVD	·faultLow(SB), R10
	CMP	R10, R9
	BLO	other
	MOVD	·faultHigh(SB), R10
	CMP	R10, R9
	BHS	other
	MOVD	$·faultSaid(SB), R10
	MOVD	$1, R12
swap:
	LDAXRW	(R10), R11
	STLXRW	R12, (R10), R13
	CBNZW	R13, swap
	CBNZW	R11, wait
	MOVD	$2, R0
	MOVD	·faultText(SB), R1
	MOVD	·faultBytes(SB), R2
	MOVD	$SYS_write, R8
	SVC
	MOVD	$1, R0
	MOVD	$SYS_exit_group, R8
	SVC
	BRK
wait: // another thread prints, and ends this one
	MOVD	ZR, R0
	MOVD	ZR, R1
	MOVD	ZR, R2
	MOVD	ZR, R3
	MOVD	$SYS_ppoll, R8
	SVC
	B	wait
other:
	MOVD	·goFault(SB), R9
	JMP	(R9)

// func faultHandler() uintptr
TEXT ·faultHandler(SB), NOSPLIT, $0-8
	MOVD	$onFault<>(SB), R0
	MOVD	R0, ret+0(FP)
	RET
