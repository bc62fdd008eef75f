#include "textflag.h"

DATA fifteen<>+0(SB)/4, $15.0
GLOBL fifteen<>(SB), RODATA, $4
DATA magic<>+0(SB)/4, $12582912.0
GLOBL magic<>(SB), RODATA, $4

// The first byte of every 32-bit lane.
DATA first<>+0(SB)/8, $0x808080800C080400
DATA first<>+8(SB)/8, $0x8080808080808080
DATA first<>+16(SB)/8, $0x808080800C080400
DATA first<>+24(SB)/8, $0x8080808080808080
GLOBL first<>(SB), RODATA, $32

DATA magnitude<>+0(SB)/4, $0x7fffffff
GLOBL magnitude<>(SB), RODATA, $4

// func assignAVX2(x, weight *float32, q *byte, n int, min, inverse float32, s *lanes)
TEXT ·assignAVX2(SB), NOSPLIT, $0-48
	MOVQ         x+0(FP), SI
	MOVQ         weight+8(FP), DX
	MOVQ         q+16(FP), DI
	MOVQ         n+24(FP), CX
	VBROADCASTSS min+32(FP), Y0
	VBROADCASTSS inverse+36(FP), Y1
	MOVQ         s+40(FP), BX
	VBROADCASTSS fifteen<>(SB), Y2
	VBROADCASTSS magic<>(SB), Y3
	VMOVDQU      first<>(SB), Y4
	VXORPS       Y5, Y5, Y5
	VXORPS       Y6, Y6, Y6       // n
	VXORPS       Y7, Y7, Y7       // k
	VXORPS       Y8, Y8, Y8       // kk
	VXORPS       Y9, Y9, Y9       // r
	VXORPS       Y10, Y10, Y10    // rk
	VXORPS       Y11, Y11, Y11    // rr

values:
	VMOVUPS      (SI), Y12
	VSUBPS       Y0, Y12, Y12
	VMULPS       Y1, Y12, Y12     // u
	VMAXPS       Y5, Y12, Y13
	VMINPS       Y2, Y13, Y13
	VADDPS       Y3, Y13, Y13
	VPSHUFB      Y4, Y13, Y14
	VEXTRACTI128 $1, Y14, X15
	VPUNPCKLDQ   X15, X14, X14
	VMOVQ        X14, (DI)
	VSUBPS       Y3, Y13, Y13     // k
	VSUBPS       Y13, Y12, Y12    // r
	VMOVUPS      (DX), Y14        // w
	VADDPS       Y14, Y6, Y6
	VMULPS       Y13, Y14, Y15    // w·k
	VADDPS       Y15, Y7, Y7
	VMULPS       Y13, Y15, Y15
	VADDPS       Y15, Y8, Y8
	VMULPS       Y12, Y14, Y15    // w·r
	VADDPS       Y15, Y9, Y9
	VMULPS       Y13, Y15, Y14
	VADDPS       Y14, Y10, Y10
	VMULPS       Y12, Y15, Y15
	VADDPS       Y15, Y11, Y11
	ADDQ         $32, SI
	ADDQ         $32, DX
	ADDQ         $8, DI
	SUBQ         $8, CX
	JG           values

	VMOVUPS Y6, (BX)
	VMOVUPS Y7, 32(BX)
	VMOVUPS Y8, 64(BX)
	VMOVUPS Y9, 96(BX)
	VMOVUPS Y10, 128(BX)
	VMOVUPS Y11, 160(BX)
	VZEROUPPER
	RET

// func boundsAVX2(x *float32, n int, lo, hi *[8]float32)
TEXT ·boundsAVX2(SB), NOSPLIT, $0-32
	MOVQ    x+0(FP), SI
	MOVQ    n+8(FP), CX
	MOVQ    lo+16(FP), DI
	MOVQ    hi+24(FP), BX
	VMOVUPS (SI), Y0
	VMOVAPS Y0, Y1

values:
	VMOVUPS (SI), Y2
	VMINPS  Y2, Y0, Y0
	VMAXPS  Y2, Y1, Y1
	ADDQ    $32, SI
	SUBQ    $8, CX
	JG      values

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, (BX)
	VZEROUPPER
	RET

// func topAVX2(x *float32, n int, top *[8]uint32)
TEXT ·topAVX2(SB), NOSPLIT, $0-24
	MOVQ         x+0(FP), SI
	MOVQ         n+8(FP), CX
	MOVQ         top+16(FP), DI
	VPBROADCASTD magnitude<>(SB), Y0
	VPXOR        Y1, Y1, Y1

values:
	VPAND   (SI), Y0, Y2
	VPMAXUD Y2, Y1, Y1
	ADDQ    $32, SI
	SUBQ    $8, CX
	JG      values

	VMOVDQU Y1, (DI)
	VZEROUPPER
	RET

// func roundAVX2(x *float32, q *byte, n int, inverse float32)
TEXT ·roundAVX2(SB), NOSPLIT, $0-28
	MOVQ         x+0(FP), SI
	MOVQ         q+8(FP), DI
	MOVQ         n+16(FP), CX
	VBROADCASTSS inverse+24(FP), Y0
	VBROADCASTSS magic<>(SB), Y1
	VMOVDQU      first<>(SB), Y2

values:
	VMULPS       (SI), Y0, Y3
	VADDPS       Y1, Y3, Y3
	VPSHUFB      Y2, Y3, Y3
	VEXTRACTI128 $1, Y3, X4
	VPUNPCKLDQ   X4, X3, X3
	VMOVQ        X3, (DI)
	ADDQ         $32, SI
	ADDQ         $8, DI
	SUBQ         $8, CX
	JG           values

	VZEROUPPER
	RET
