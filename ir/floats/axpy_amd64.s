#include "textflag.h"

// func addProductFMA(d, a *float32, n int, l float32)
TEXT ·addProductFMA(SB), NOSPLIT, $0-28
	MOVQ         d+0(FP), DI
	MOVQ         a+8(FP), SI
	MOVQ         n+16(FP), CX
	VBROADCASTSS l+24(FP), Y0

elements:
	VMOVUPS      (DI), Y1
	VFMADD231PS  (SI), Y0, Y1
	VMOVUPS      Y1, (DI)
	ADDQ         $32, DI
	ADDQ         $32, SI
	SUBQ         $8, CX
	JNE          elements
	VZEROUPPER
	RET
