#include "textflag.h"

// Instructions of a whole warp: a register is 32 lanes of 64 bits, of which 32-bit values leave the upper half zero. Every
// operation here gives zero for an upper half of zeros, or clears it.

#define WORD(name, bits) \
	DATA  name<>+0(SB)/4, $bits \
	GLOBL name<>(SB), RODATA, $4

WORD(sign, 0x80000000)
WORD(magnitude, 0x7fffffff)
WORD(beyond, 0x4f000000) // 2^31 as float32: the first that is no int32
WORD(smallest, 0x00800000) // normal float32
WORD(range, 0x7e7fffff)    // from the smallest to the largest below 2^127
WORD(upper, 0xffff0000)
WORD(lower, 0x0000ffff)
WORD(tie, 0x00008000)
WORD(round, 0x00007fff)
WORD(one, 0x00000001)

// NaN as the hardware gives it, the lower half of a lane, and the bits of four lanes.
DATA nan<>+0(SB)/8, $0x000000007fffffff
GLOBL nan<>(SB), RODATA, $8
DATA half<>+0(SB)/8, $0x00000000ffffffff
GLOBL half<>(SB), RODATA, $8
DATA four<>+0(SB)/8, $1
DATA four<>+8(SB)/8, $2
DATA four<>+16(SB)/8, $4
DATA four<>+24(SB)/8, $8
GLOBL four<>(SB), RODATA, $32

// EACH does a step for every four lanes, which begin at an offset of the registers DI, SI, DX and CX; BACK from the last.
#define EACH(step) \
	step(0)   \
	step(32)  \
	step(64)  \
	step(96)  \
	step(128) \
	step(160) \
	step(192) \
	step(224)

#define BACK(step) \
	step(224) \
	step(192) \
	step(160) \
	step(128) \
	step(96)  \
	step(64)  \
	step(32)  \
	step(0)

#define ONE \
	MOVQ D+0(FP), DI \
	MOVQ A+8(FP), SI

#define TWO \
	ONE               \
	MOVQ B+16(FP), DX

#define THREE \
	TWO               \
	MOVQ C+24(FP), CX

#define DONE \
	VZEROUPPER \
	RET

// PLAIN is D = A op B.
#define PLAIN(op, at) \
	VMOVDQU at(SI), Y0     \
	op      at(DX), Y0, Y0 \
	VMOVDQU Y0, at(DI)

// CUT is PLAIN of an operation that fills the upper half.
#define CUT(op, at) \
	VMOVDQU at(SI), Y0     \
	op      at(DX), Y0, Y0 \
	VPAND   Y15, Y0, Y0    \
	VMOVDQU Y0, at(DI)

// CLEAN puts the hardware's NaN where there is one.
#define CLEAN \
	VCMPPS    $3, Y0, Y0, Y1     \
	VBLENDVPS Y1, Y14, Y0, Y0

// FLOATS is PLAIN of float32.
#define FLOATS(op, at) \
	VMOVUPS at(SI), Y0     \
	op      at(DX), Y0, Y0 \
	CLEAN                  \
	VMOVUPS Y0, at(DI)

// FUSED is D = A mul B add C.
#define FUSED(mul, add, at) \
	VMOVDQU at(SI), Y0     \
	mul     at(DX), Y0, Y0 \
	add     at(CX), Y0, Y0 \
	VMOVDQU Y0, at(DI)

// LONGS multiplies lanes of 64 bits: Y0 = A·B.
#define LONGS(at) \
	VMOVDQU  at(SI), Y0 \
	VMOVDQU  at(DX), Y1 \
	VPSRLQ   $32, Y0, Y2 \
	VPMULUDQ Y1, Y2, Y2 \
	VPSRLQ   $32, Y1, Y3 \
	VPMULUDQ Y0, Y3, Y3 \
	VPADDQ   Y3, Y2, Y2 \
	VPSLLQ   $32, Y2, Y2 \
	VPMULUDQ Y1, Y0, Y0 \
	VPADDQ   Y2, Y0, Y0

#define ADDWORDS(at) PLAIN(VPADDD, at)
TEXT ·addWordsAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(ADDWORDS)
	DONE

#define ADDLONGS(at) PLAIN(VPADDQ, at)
TEXT ·addLongsAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(ADDLONGS)
	DONE

#define SUBWORDS(at) PLAIN(VPSUBD, at)
TEXT ·subWordsAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(SUBWORDS)
	DONE

#define SUBLONGS(at) PLAIN(VPSUBQ, at)
TEXT ·subLongsAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(SUBLONGS)
	DONE

#define MULWORDS(at) PLAIN(VPMULLD, at)
TEXT ·mulWordsAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(MULWORDS)
	DONE

#define MULWIDE(at) PLAIN(VPMULUDQ, at)
TEXT ·mulWideAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(MULWIDE)
	DONE

#define MULSIGNED(at) PLAIN(VPMULDQ, at)
TEXT ·mulSignedAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(MULSIGNED)
	DONE

#define MULLONGS(at) \
	LONGS(at) \
	VMOVDQU Y0, at(DI)
TEXT ·mulLongsAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(MULLONGS)
	DONE

#define AND(at) PLAIN(VPAND, at)
TEXT ·andAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(AND)
	DONE

#define OR(at) PLAIN(VPOR, at)
TEXT ·orAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(OR)
	DONE

#define XOR(at) PLAIN(VPXOR, at)
TEXT ·xorAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(XOR)
	DONE

#define LEFT(at) CUT(VPSLLVQ, at)
TEXT ·leftWordsAVX2(SB), NOSPLIT, $0-24
	TWO
	VPBROADCASTQ half<>(SB), Y15
	EACH(LEFT)
	DONE

#define RIGHT(at) PLAIN(VPSRLVQ, at)
TEXT ·rightWordsAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(RIGHT)
	DONE

#define LEASTWORDS(at) PLAIN(VPMINSD, at)
TEXT ·minWordsAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(LEASTWORDS)
	DONE

#define MOSTWORDS(at) PLAIN(VPMAXSD, at)
TEXT ·maxWordsAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(MOSTWORDS)
	DONE

// PICK loads A and B as Y0 and Y1; Y4 has the lanes where A is greater.
#define PICK(at) \
	VMOVDQU  at(SI), Y0 \
	VMOVDQU  at(DX), Y1 \
	VPCMPGTQ Y1, Y0, Y4

#define LEASTLONGS(at) \
	PICK(at)                  \
	VPBLENDVB Y4, Y1, Y0, Y0  \
	VMOVDQU   Y0, at(DI)
TEXT ·minLongsAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(LEASTLONGS)
	DONE

#define MOSTLONGS(at) \
	PICK(at)                  \
	VPBLENDVB Y4, Y0, Y1, Y0  \
	VMOVDQU   Y0, at(DI)
TEXT ·maxLongsAVX2(SB), NOSPLIT, $0-24
	TWO
	EACH(MOSTLONGS)
	DONE

#define ADDFLOATS(at) FLOATS(VADDPS, at)
TEXT ·addFloatsAVX2(SB), NOSPLIT, $0-24
	TWO
	VPBROADCASTQ nan<>(SB), Y14
	EACH(ADDFLOATS)
	DONE

#define SUBFLOATS(at) FLOATS(VSUBPS, at)
TEXT ·subFloatsAVX2(SB), NOSPLIT, $0-24
	TWO
	VPBROADCASTQ nan<>(SB), Y14
	EACH(SUBFLOATS)
	DONE

#define MULFLOATS(at) FLOATS(VMULPS, at)
TEXT ·mulFloatsAVX2(SB), NOSPLIT, $0-24
	TWO
	VPBROADCASTQ nan<>(SB), Y14
	EACH(MULFLOATS)
	DONE

// A quotient of the upper halves is NaN, which CLEAN clears, as the upper half of its own is zero.
#define DIVFLOATS(at) FLOATS(VDIVPS, at)
TEXT ·divFloatsAVX2(SB), NOSPLIT, $0-24
	TWO
	VPBROADCASTQ nan<>(SB), Y14
	EACH(DIVFLOATS)
	DONE

#define MADWORDS(at) FUSED(VPMULLD, VPADDD, at)
TEXT ·madWordsAVX2(SB), NOSPLIT, $0-32
	THREE
	EACH(MADWORDS)
	DONE

#define MADWIDE(at) FUSED(VPMULUDQ, VPADDQ, at)
TEXT ·madWideAVX2(SB), NOSPLIT, $0-32
	THREE
	EACH(MADWIDE)
	DONE

#define MADSIGNED(at) FUSED(VPMULDQ, VPADDQ, at)
TEXT ·madSignedAVX2(SB), NOSPLIT, $0-32
	THREE
	EACH(MADSIGNED)
	DONE

#define MADLONGS(at) \
	LONGS(at)              \
	VPADDQ  at(CX), Y0, Y0 \
	VMOVDQU Y0, at(DI)
TEXT ·madLongsAVX2(SB), NOSPLIT, $0-32
	THREE
	EACH(MADLONGS)
	DONE

#define FMAFLOATS(at) \
	VMOVUPS     at(SI), Y0     \
	VMOVUPS     at(DX), Y2     \
	VFMADD213PS at(CX), Y2, Y0 \
	CLEAN                      \
	VMOVUPS     Y0, at(DI)
TEXT ·fmaFloatsAVX2(SB), NOSPLIT, $0-32
	THREE
	VPBROADCASTQ nan<>(SB), Y14
	EACH(FMAFLOATS)
	DONE

// BRAINS is quickBrain: Y3 = Y0·Y1 + Y2 with what rounds it up, of which the upper 16 bits count, and Y4 has the lanes where
// those are right.
#define NORMAL(x, y) \
	VPAND    Y13, x, y  \
	VPSUBD   Y12, y, y  \
	VPMINUD  Y11, y, Y6 \
	VPCMPEQD Y6, y, y
#define BRAINS \
	VMULPS   Y1, Y0, Y0 \
	VADDPS   Y2, Y0, Y3 \
	NORMAL(Y0, Y4)      \
	NORMAL(Y3, Y5)      \
	VPXOR    Y6, Y6, Y6 \
	VPCMPEQD Y6, Y3, Y6 \
	VPOR     Y6, Y5, Y5 \
	VPAND    Y5, Y4, Y4 \
	VPAND    Y10, Y3, Y5 \
	VPCMPEQD Y9, Y5, Y5 \
	VPANDN   Y4, Y5, Y4 \
	VPSRLD   $16, Y3, Y5 \
	VPAND    Y7, Y5, Y5 \
	VPADDD   Y8, Y3, Y3 \
	VPADDD   Y5, Y3, Y3

// BRAINPAIRS computes lower halves into Y14 and upper ones into Y3; R8 gets the lanes where both are right.
#define BRAINPAIRS(at) \
	VMOVDQU   at(SI), Y0   \
	VMOVDQU   at(DX), Y1   \
	VMOVDQU   at(CX), Y2   \
	VPSLLD    $16, Y0, Y0  \
	VPSLLD    $16, Y1, Y1  \
	VPSLLD    $16, Y2, Y2  \
	BRAINS                 \
	VPSRLD    $16, Y3, Y14 \
	VMOVDQA   Y4, Y15      \
	VPBROADCASTD upper<>(SB), Y3 \
	VPAND     at(SI), Y3, Y0 \
	VPAND     at(DX), Y3, Y1 \
	VPAND     at(CX), Y3, Y2 \
	BRAINS                 \
	VPBROADCASTD upper<>(SB), Y5 \
	VPAND     Y5, Y3, Y3   \
	VPOR      Y14, Y3, Y3  \
	VMOVDQU   Y3, at(DI)   \
	VPAND     Y15, Y4, Y4  \
	VPSLLQ    $32, Y4, Y4  \
	VMOVMSKPD Y4, AX       \
	SHLL      $4, R8       \
	ORL       AX, R8
TEXT ·fmaBrainsAVX2(SB), NOSPLIT, $0-36
	THREE
	VPBROADCASTD magnitude<>(SB), Y13
	VPBROADCASTD smallest<>(SB), Y12
	VPBROADCASTD range<>(SB), Y11
	VPBROADCASTD lower<>(SB), Y10
	VPBROADCASTD tie<>(SB), Y9
	VPBROADCASTD round<>(SB), Y8
	VPBROADCASTD one<>(SB), Y7
	XORL R8, R8
	BACK(BRAINPAIRS)
	MOVL R8, right+32(FP)
	DONE

// LOGIC chooses by the bits of C among pairs of a logicTable, by those of B among these, and by those of A among the rest.
#define PAIR(at, to) \
	VPAND (at+32)(R8), Y2, to \
	VPXOR at(R8), to, to
#define CHOOSE(bit, zero, one, to) \
	VPXOR one, zero, one \
	VPAND bit, one, one  \
	VPXOR one, zero, to
#define LOGIC(at) \
	VMOVDQU at(SI), Y0 \
	VMOVDQU at(DX), Y1 \
	VMOVDQU at(CX), Y2 \
	PAIR(0, Y3)        \
	PAIR(64, Y4)       \
	PAIR(128, Y5)      \
	PAIR(192, Y6)      \
	CHOOSE(Y1, Y3, Y4, Y3) \
	CHOOSE(Y1, Y5, Y6, Y5) \
	CHOOSE(Y0, Y3, Y5, Y3) \
	VMOVDQU Y3, at(DI)
TEXT ·logicAVX2(SB), NOSPLIT, $0-40
	THREE
	MOVQ table+32(FP), R8
	EACH(LOGIC)
	DONE

#define CHOSEN(at) \
	VPAND     Y15, Y14, Y0    \
	VPCMPEQQ  Y15, Y0, Y0     \
	VPSRLQ    $4, Y14, Y14    \
	VMOVDQU   at(DX), Y1      \
	VPBLENDVB Y0, at(SI), Y1, Y1 \
	VMOVDQU   Y1, at(DI)
TEXT ·selectAVX2(SB), NOSPLIT, $0-28
	TWO
	MOVL         yes+24(FP), AX
	VMOVD        AX, X14
	VPBROADCASTQ X14, Y14
	VMOVDQU      four<>(SB), Y15
	EACH(CHOSEN)
	DONE

// COMPARED puts bits of the upper halves in front of those in R8.
#define COMPARED(register) \
	VMOVMSKPD register, AX \
	SHLL      $4, R8       \
	ORL       AX, R8

#define LESSWORDS(at) \
	VMOVDQU  at(DX), Y0     \
	VPCMPGTD at(SI), Y0, Y0 \
	VPSLLQ   $32, Y0, Y0    \
	COMPARED(Y0)
TEXT ·lessWordsAVX2(SB), NOSPLIT, $0-20
	MOVQ A+0(FP), SI
	MOVQ B+8(FP), DX
	XORL R8, R8
	BACK(LESSWORDS)
	MOVL R8, ret+16(FP)
	DONE

#define LESSLONGS(at) \
	VMOVDQU  at(DX), Y0     \
	VPCMPGTQ at(SI), Y0, Y0 \
	COMPARED(Y0)
TEXT ·lessLongsAVX2(SB), NOSPLIT, $0-20
	MOVQ A+0(FP), SI
	MOVQ B+8(FP), DX
	XORL R8, R8
	BACK(LESSLONGS)
	MOVL R8, ret+16(FP)
	DONE

#define EQUALLONGS(at) \
	VMOVDQU  at(DX), Y0     \
	VPCMPEQQ at(SI), Y0, Y0 \
	COMPARED(Y0)
TEXT ·equalLongsAVX2(SB), NOSPLIT, $0-20
	MOVQ A+0(FP), SI
	MOVQ B+8(FP), DX
	XORL R8, R8
	BACK(EQUALLONGS)
	MOVL R8, ret+16(FP)
	DONE

#define COMPAREFLOATS(how, at) \
	VMOVUPS at(SI), Y0          \
	VCMPPS  how, at(DX), Y0, Y0 \
	VPSLLQ  $32, Y0, Y0         \
	COMPARED(Y0)

#define LESSFLOATS(at) COMPAREFLOATS($17, at)
TEXT ·lessFloatsAVX2(SB), NOSPLIT, $0-20
	MOVQ A+0(FP), SI
	MOVQ B+8(FP), DX
	XORL R8, R8
	BACK(LESSFLOATS)
	MOVL R8, ret+16(FP)
	DONE

#define EQUALFLOATS(at) COMPAREFLOATS($0, at)
TEXT ·equalFloatsAVX2(SB), NOSPLIT, $0-20
	MOVQ A+0(FP), SI
	MOVQ B+8(FP), DX
	XORL R8, R8
	BACK(EQUALFLOATS)
	MOVL R8, ret+16(FP)
	DONE

#define ABSOLUTE(at) \
	VPAND   at(SI), Y15, Y0 \
	VMOVDQU Y0, at(DI)
TEXT ·absFloatsAVX2(SB), NOSPLIT, $0-16
	ONE
	VPBROADCASTQ nan<>(SB), Y15
	EACH(ABSOLUTE)
	DONE

#define NEGATED(at) \
	VPXOR   at(SI), Y15, Y0 \
	VMOVDQU Y0, at(DI)
TEXT ·negFloatsAVX2(SB), NOSPLIT, $0-16
	ONE
	VPBROADCASTD sign<>(SB), Y15
	VPSRLQ       $32, Y15, Y15
	EACH(NEGATED)
	DONE

#define ROOT(at) \
	VSQRTPS at(SI), Y0 \
	CLEAN              \
	VMOVUPS Y0, at(DI)
TEXT ·sqrtFloatsAVX2(SB), NOSPLIT, $0-16
	ONE
	VPBROADCASTQ nan<>(SB), Y14
	EACH(ROOT)
	DONE

#define EVEN(at) \
	VROUNDPS $8, at(SI), Y0 \
	CLEAN                   \
	VMOVUPS  Y0, at(DI)
TEXT ·evenFloatsAVX2(SB), NOSPLIT, $0-16
	ONE
	VPBROADCASTQ nan<>(SB), Y14
	EACH(EVEN)
	DONE

#define FLOOR(at) \
	VROUNDPS $9, at(SI), Y0 \
	CLEAN                   \
	VMOVUPS  Y0, at(DI)
TEXT ·floorFloatsAVX2(SB), NOSPLIT, $0-16
	ONE
	VPBROADCASTQ nan<>(SB), Y14
	EACH(FLOOR)
	DONE

#define LOW(at) \
	VPAND   at(SI), Y15, Y0 \
	VMOVDQU Y0, at(DI)
TEXT ·lowWordsAVX2(SB), NOSPLIT, $0-16
	ONE
	VPBROADCASTQ half<>(SB), Y15
	EACH(LOW)
	DONE

#define TOFLOATS(at) \
	VCVTDQ2PS at(SI), Y0 \
	VMOVUPS   Y0, at(DI)
TEXT ·wordsToFloatsAVX2(SB), NOSPLIT, $0-16
	ONE
	EACH(TOFLOATS)
	DONE

// What is no int32 becomes 0x80000000: numbers from 2^31 on then have all bits flipped, and NaN is cleared.
#define TOWORDS(at) \
	VMOVUPS    at(SI), Y0          \
	VCVTTPS2DQ Y0, Y1              \
	VCMPPS     $29, Y15, Y0, Y2    \
	VPXOR      Y2, Y1, Y1          \
	VCMPPS     $7, Y0, Y0, Y2      \
	VPAND      Y2, Y1, Y1          \
	VMOVDQU    Y1, at(DI)
TEXT ·floatsToWordsAVX2(SB), NOSPLIT, $0-16
	ONE
	VPBROADCASTD beyond<>(SB), Y15
	EACH(TOWORDS)
	DONE

// PLACE is addr = base + Y15; Y4 and Y5 become the least and the greatest, Y6 the bits that any has.
#define PLACE(at) \
	VPADDQ    at(SI), Y15, Y0    \
	VMOVDQU   Y0, at(DI)         \
	VPCMPGTQ  Y0, Y4, Y1         \
	VPCMPGTQ  Y5, Y0, Y2         \
	VBLENDVPD Y1, Y0, Y4, Y4     \
	VBLENDVPD Y2, Y0, Y5, Y5     \
	VPOR      Y0, Y6, Y6

// LESS and GREATER join X7 to the least in X4 and the greatest in X5.
#define LESS \
	VPCMPGTQ  X7, X4, X1     \
	VBLENDVPD X1, X7, X4, X4

#define GREATER \
	VPCMPGTQ  X5, X7, X1     \
	VBLENDVPD X1, X7, X5, X5

// func addressesAVX2(addr, base *lanes, offset uint64, s *addressSpan)
TEXT ·addressesAVX2(SB), NOSPLIT, $0-32
	MOVQ         addr+0(FP), DI
	MOVQ         base+8(FP), SI
	MOVQ         s+24(FP), DX
	VPBROADCASTQ offset+16(FP), Y15
	VPADDQ       (SI), Y15, Y4
	VMOVDQU      Y4, Y5
	VPXOR        Y6, Y6, Y6
	EACH(PLACE)
	VEXTRACTI128 $1, Y4, X7
	LESS
	VPSHUFD      $0x4e, X4, X7
	LESS
	VEXTRACTI128 $1, Y5, X7
	GREATER
	VPSHUFD      $0x4e, X5, X7
	GREATER
	VEXTRACTI128 $1, Y6, X7
	VPOR         X7, X6, X6
	VPSHUFD      $0x4e, X6, X7
	VPOR         X7, X6, X6
	VMOVQ        X4, 0(DX)
	VMOVQ        X5, 8(DX)
	VMOVQ        X6, 16(DX)
	DONE
