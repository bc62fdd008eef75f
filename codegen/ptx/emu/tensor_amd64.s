#include "textflag.h"

#define WORDS(name, bits) \
	DATA  name<>+0(SB)/4, $bits   \
	GLOBL name<>(SB), RODATA, $4

// Of exponents as words of 32 bits:
WORDS(bias, 127)
WORDS(least, 0xffffff9c) // -100: with it, a unit of the sum is a normal float32
WORDS(most, 110)         // exponents above are left to fusedSum: sums may be infinite
WORDS(zerosEnd, 0xfffff800)
WORDS(one32, 1)
WORDS(zero32, 0xfffff000) // noExponent
WORDS(scale, 152)         // 127 + kept: of the unit's inverse, the exponent as float32 has it
WORDS(unit, 102)          // 127 - kept: of the unit
WORDS(special, 255)       // of infinity and NaN, as float32 has it

// Of exponents as words of 16 bits, two each:
WORDS(one16, 0x00010001)
WORDS(zero16, 0xf000f000) // noExponent
WORDS(notFinite, 0x40004000)

// The 24 bits that float32 has of a float64.
DATA single<>+0(SB)/8, $0xffffffffe0000000
GLOBL single<>(SB), RODATA, $8

// Offsets in floatTile.
#define aExponents 0
#define aValues 512
#define bExponents 1536
#define bValues 1792
#define sums 2304
#define results 2816

// SI is exponents of a row of A, R8 is B: the words of Y5 become the largest exponents of the terms of even and of odd k.
#define LARGEST(pair) \
	VPBROADCASTD (pair*4)(SI), Y6      \
	VPADDSW      (pair*32)(R8), Y6, Y6 \
	VPMAXSW      Y6, Y5, Y5

// R9 is values of a row of A, Y4 is the inverse of the unit: Y9 becomes the sum of the terms, each cut off at the unit. A
// product in float32 is exact, or less than the unit.
#define ADD(k) \
	VBROADCASTSS (k*4)(R9), Y6                        \
	VMULPS       (bValues-bExponents+k*32)(R8), Y6, Y6 \
	VMULPS       Y4, Y6, Y6                           \
	VCVTTPS2DQ   Y6, Y6                               \
	VPADDD       Y6, Y9, Y9

// func multiplyAVX2(t *floatTile) int32
TEXT ·multiplyAVX2(SB), NOSPLIT, $0-12
	MOVQ         t+0(FP), SI
	LEAQ         aValues(SI), R9
	LEAQ         bExponents(SI), R8
	LEAQ         sums(SI), DI
	VPBROADCASTD most<>(SB), Y15
	VPBROADCASTD least<>(SB), Y14
	VPBROADCASTD zerosEnd<>(SB), Y13
	VPXOR        Y12, Y12, Y12          // lanes that ask for fusedSum
	VPBROADCASTQ single<>(SB), Y11
	VPXOR        Y10, Y10, Y10
	VPBROADCASTD bias<>(SB), Y8
	VPBROADCASTD one32<>(SB), Y7
	VPBROADCASTD zero32<>(SB), Y2
	MOVQ         $16, CX

	// DX is other than 0 where a factor of B is infinite or no number.
	VMOVDQU      (R8), Y3
	VPMAXSW      32(R8), Y3, Y3
	VPMAXSW      64(R8), Y3, Y3
	VPMAXSW      96(R8), Y3, Y3
	VPMAXSW      128(R8), Y3, Y3
	VPMAXSW      160(R8), Y3, Y3
	VPMAXSW      192(R8), Y3, Y3
	VPMAXSW      224(R8), Y3, Y3
	VPBROADCASTD notFinite<>(SB), Y5
	VPCMPEQW     Y5, Y3, Y3
	VPMOVMSKB    Y3, DX

row:
	VPBROADCASTD zero16<>(SB), Y5
	VPCMPEQW     (SI), Y5, Y0
	VPMOVMSKB    Y0, BX
	NOTL         BX
	ORL          DX, BX
	JZ           zeros

	// The largest exponent Y5 of the terms and of c, which is Y0.
	LARGEST(0)
	LARGEST(1)
	LARGEST(2)
	LARGEST(3)
	LARGEST(4)
	LARGEST(5)
	LARGEST(6)
	LARGEST(7)
	VPSRAD   $16, Y5, Y6
	VPSLLD   $16, Y5, Y5
	VPSRAD   $16, Y5, Y5
	VPMAXSD  Y6, Y5, Y5
	VMOVDQU  (DI), Y0
	VPSLLD   $1, Y0, Y1
	VPCMPEQD Y10, Y1, Y3
	VPAND    Y2, Y3, Y3
	VPSRLD   $24, Y1, Y1
	VPMAXSD  Y7, Y1, Y1
	VPSUBD   Y8, Y1, Y1
	VPADDD   Y3, Y1, Y1
	VPMAXSD  Y1, Y5, Y5
	VPCMPGTD Y15, Y5, Y6
	VPOR     Y6, Y12, Y12
	VPCMPGTD Y5, Y14, Y6
	VPCMPGTD Y13, Y5, Y1
	VPAND    Y1, Y6, Y6
	VPOR     Y6, Y12, Y12
	VPMAXSD  Y14, Y5, Y5

	VPBROADCASTD scale<>(SB), Y4
	VPSUBD       Y5, Y4, Y4
	VPSLLD       $23, Y4, Y4
	VPXOR        Y9, Y9, Y9
	ADD(0)
	ADD(1)
	ADD(2)
	ADD(3)
	ADD(4)
	ADD(5)
	ADD(6)
	ADD(7)
	ADD(8)
	ADD(9)
	ADD(10)
	ADD(11)
	ADD(12)
	ADD(13)
	ADD(14)
	ADD(15)
	VMULPS     Y4, Y0, Y0
	VCVTTPS2DQ Y0, Y0

	// The sum with c has up to 33 bits: float64 holds it, is cut off to the bits of float32, and scaled.
	VCVTDQ2PD    X9, Y1
	VEXTRACTI128 $1, Y9, X9
	VCVTDQ2PD    X9, Y3
	VCVTDQ2PD    X0, Y6
	VEXTRACTI128 $1, Y0, X0
	VCVTDQ2PD    X0, Y9
	VADDPD       Y6, Y1, Y1
	VADDPD       Y9, Y3, Y3
	VANDPD       Y11, Y1, Y1
	VANDPD       Y11, Y3, Y3
	VCVTPD2PSY   Y1, X1
	VCVTPD2PSY   Y3, X3
	VINSERTF128  $1, X3, Y1, Y1
	VPBROADCASTD unit<>(SB), Y6
	VPADDD       Y6, Y5, Y5
	VPSLLD       $23, Y5, Y5
	VMULPS       Y5, Y1, Y1
	VMOVUPS      Y1, (results-sums)(DI)

next:
	ADDQ         $32, SI
	ADDQ         $64, R9
	ADDQ         $32, DI
	DECQ         CX
	JNZ          row

	VMOVMSKPS Y12, AX
	MOVL      AX, ret+8(FP)
	VZEROUPPER
	RET

zeros:
	// A row of A that is zero, of a tile at an edge, gives c, with a plus where that is zero.
	VMOVUPS      (DI), Y0
	VPSLLD       $1, Y0, Y1
	VPSRLD       $24, Y1, Y1
	VPBROADCASTD special<>(SB), Y3
	VPCMPEQD     Y3, Y1, Y1
	VPOR         Y1, Y12, Y12
	VADDPS       Y10, Y0, Y0
	VMOVUPS      Y0, (results-sums)(DI)
	JMP          next

// PAIRS makes a row of A, or a column of B, of four lanes of R10, which hold k from 0 to 7, and of R11, from 8 on: 8 pairs.
#define PAIRS(at, to) \
	VMOVDQU at(R10), to           \
	VSHUFPS $0x88, at(R11), to, to \
	VPERMQ  $0xd8, to, to

// SPLIT takes pairs in Y0 apart, as split says: exponents go to ex, values to even and to odd.
#define SPLIT(ex, even, odd) \
	VPSLLW   $1, Y0, Y1      \
	VPCMPEQW Y9, Y1, Y2      \
	VPSRLW   X10, Y1, Y1     \
	VPCMPEQW Y12, Y1, Y3     \
	VPMAXSW  Y13, Y1, Y1     \
	VPSUBW   Y14, Y1, Y1     \
	VPBLENDVB Y2, Y11, Y1, Y1 \
	VPBLENDVB Y3, Y8, Y1, Y1 \
	VMOVDQU  Y1, ex          \
	VPSLLD   $16, Y0, Y1     \
	VPSRAD   X15, Y1, Y1     \
	VPAND    Y6, Y1, Y1      \
	VMULPS   Y7, Y1, Y1      \
	VMOVUPS  Y1, even        \
	VPBLENDW $0xaa, Y0, Y9, Y1 \
	VPSRAD   X15, Y1, Y1     \
	VPAND    Y6, Y1, Y1      \
	VMULPS   Y7, Y1, Y1      \
	VMOVUPS  Y1, odd

// ROWS splits the eight rows of A that two registers at offsets of R9 hold, from row first on.
#define ROWS(low, high, first, again) \
	MOVQ low(R9), R10         \
	MOVQ high(R9), R11        \
	MOVQ $0, CX               \
again:                        \
	PAIRS(0, Y0)              \
	SPLIT((aExponents+first*32)(SI)(CX*1), (aValues+first*64)(SI)(CX*2), (aValues+first*64+32)(SI)(CX*2)) \
	ADDQ $32, R10             \
	ADDQ $32, R11             \
	ADDQ $32, CX              \
	CMPQ CX, $256             \
	JNE  again

// SUMS interleaves two registers of C, of even and of odd columns, to rows from an offset of t on.
#define SUMS(even, odd, to, again) \
	MOVQ     even(R9), R10       \
	MOVQ     odd(R9), R11        \
	MOVQ     $0, CX              \
again:                           \
	VMOVDQU  (R10)(CX*1), Y0     \
	VMOVDQU  (R11)(CX*1), Y1     \
	VPSLLQ   $32, Y1, Y1         \
	VPBLENDD $0xaa, Y1, Y0, Y0   \
	VMOVDQU  Y0, to(SI)(CX*1)    \
	ADDQ     $32, CX             \
	CMPQ     CX, $256            \
	JNE      again

// func loadAVX2(t *floatTile, r *fragments, s *split)
TEXT ·loadAVX2(SB), NOSPLIT, $256-24
	MOVQ t+0(FP), SI
	MOVQ r+8(FP), R9
	MOVQ s+16(FP), DX

	// B's columns become rows of pairs, on the stack.
	MOVQ       32(R9), R10
	MOVQ       40(R9), R11
	PAIRS(0, Y0)
	PAIRS(32, Y1)
	PAIRS(64, Y2)
	PAIRS(96, Y3)
	PAIRS(128, Y4)
	PAIRS(160, Y5)
	PAIRS(192, Y6)
	PAIRS(224, Y7)
	VPUNPCKLDQ  Y1, Y0, Y8
	VPUNPCKHDQ  Y1, Y0, Y9
	VPUNPCKLDQ  Y3, Y2, Y10
	VPUNPCKHDQ  Y3, Y2, Y11
	VPUNPCKLDQ  Y5, Y4, Y12
	VPUNPCKHDQ  Y5, Y4, Y13
	VPUNPCKLDQ  Y7, Y6, Y14
	VPUNPCKHDQ  Y7, Y6, Y15
	VPUNPCKLQDQ Y10, Y8, Y0
	VPUNPCKHQDQ Y10, Y8, Y1
	VPUNPCKLQDQ Y11, Y9, Y2
	VPUNPCKHQDQ Y11, Y9, Y3
	VPUNPCKLQDQ Y14, Y12, Y4
	VPUNPCKHQDQ Y14, Y12, Y5
	VPUNPCKLQDQ Y15, Y13, Y6
	VPUNPCKHQDQ Y15, Y13, Y7
	VPERM2I128  $0x20, Y4, Y0, Y8
	VPERM2I128  $0x20, Y5, Y1, Y9
	VPERM2I128  $0x20, Y6, Y2, Y10
	VPERM2I128  $0x20, Y7, Y3, Y11
	VPERM2I128  $0x31, Y4, Y0, Y12
	VPERM2I128  $0x31, Y5, Y1, Y13
	VPERM2I128  $0x31, Y6, Y2, Y14
	VPERM2I128  $0x31, Y7, Y3, Y15
	VMOVDQU     Y8, 0(SP)
	VMOVDQU     Y9, 32(SP)
	VMOVDQU     Y10, 64(SP)
	VMOVDQU     Y11, 96(SP)
	VMOVDQU     Y12, 128(SP)
	VMOVDQU     Y13, 160(SP)
	VMOVDQU     Y14, 192(SP)
	VMOVDQU     Y15, 224(SP)

	VPXOR        Y9, Y9, Y9
	VMOVQ        0(DX), X10
	VMOVQ        8(DX), X15
	VPBROADCASTD 16(DX), Y6
	VPBROADCASTD 20(DX), Y7
	VPBROADCASTW 24(DX), Y12
	VPBROADCASTW 26(DX), Y14
	VPBROADCASTD one16<>(SB), Y13
	VPBROADCASTD zero16<>(SB), Y11
	VPBROADCASTD notFinite<>(SB), Y8
	ROWS(0, 16, 0, a0)
	ROWS(8, 24, 8, a8)
	MOVQ         $0, CX

columns:
	VMOVDQU (SP)(CX*1), Y0
	SPLIT(bExponents(SI)(CX*1), bValues(SI)(CX*1), (bValues+256)(SI)(CX*1))
	ADDQ    $32, CX
	CMPQ    CX, $256
	JNE     columns
	SUMS(48, 56, sums, c0)
	SUMS(64, 72, sums+256, c2)
	VZEROUPPER
	RET

// RESULTS is SUMS for D.
#define RESULTS(even, odd, from, again) \
	MOVQ    even(R9), R10      \
	MOVQ    odd(R9), R11       \
	MOVQ    $0, CX             \
again:                         \
	VMOVDQU from(SI)(CX*1), Y0 \
	VPSRLQ  $32, Y0, Y1        \
	VPBLENDD $0xaa, Y2, Y0, Y0 \
	VMOVDQU Y0, (R10)(CX*1)    \
	VMOVDQU Y1, (R11)(CX*1)    \
	ADDQ    $32, CX            \
	CMPQ    CX, $256           \
	JNE     again

// func storeAVX2(t *floatTile, r *fragments)
TEXT ·storeAVX2(SB), NOSPLIT, $0-16
	MOVQ  t+0(FP), SI
	MOVQ  r+8(FP), R9
	VPXOR Y2, Y2, Y2
	RESULTS(80, 88, results, d0)
	RESULTS(96, 104, results+256, d2)
	VZEROUPPER
	RET
