#include "textflag.h"

#define FIELD(name, bits) \
	DATA  name<>+0(SB)/4, $bits   \
	GLOBL name<>(SB), RODATA, $4

FIELD(exponent, 0x000000ff)
FIELD(fraction, 0x007fffff)
FIELD(leading, 0x00800000)
FIELD(bias, 127)
FIELD(noExponent, 0xfffc0000) // -1 << 18
FIELD(notFinite, 0x00100000)  // 1 << 20
FIELD(infinite, 0x0007ffff)   // notFinite/2 - 1: exponents above are not finite
FIELD(none, 0xfffe0000)       // noExponent/2: exponents up to it are of zeros
FIELD(least, 0xffffff9c)      // -100: with it, a unit of the sum is a normal float32
FIELD(unit, 998)              // 1023 - kept: of the unit of a sum, the exponent as float64 has it

FIELD(positive, 0x00007fff)
FIELD(low, 0x0000ffff)

// The 24 bits that float32 has of a float64.
DATA single<>+0(SB)/8, $0xffffffffe0000000
GLOBL single<>(SB), RODATA, $8

// Offsets in floatTile, from aExponents and from bExponents on.
#define aDigits 1024
#define bExponents 2048
#define bDigits 512
#define sums 3072
#define results 3584

// SI is a row of A, R8 is B: Y5 becomes the largest exponent of a term.
#define LARGEST(k) \
	VPBROADCASTD (k*4)(SI), Y6      \
	VPADDD       (k*32)(R8), Y6, Y6 \
	VPMAXSD      Y6, Y5, Y5

// Y9 becomes the sum of the terms, each cut off at the unit of the largest.
#define ADD(k) \
	VPBROADCASTD (k*4)(SI), Y6              \
	VPADDD       (k*32)(R8), Y6, Y6         \
	VPSUBD       Y6, Y5, Y6                 \
	VPBROADCASTD (aDigits+k*4)(SI), Y7      \
	VPMADDWD     (bDigits+k*32)(R8), Y7, Y7 \
	VPABSD       Y7, Y8                     \
	VPSRLVD      Y6, Y8, Y8                 \
	VPSIGND      Y7, Y8, Y8                 \
	VPADDD       Y8, Y9, Y9

// func multiplyAVX2(t *floatTile) int32
TEXT ·multiplyAVX2(SB), NOSPLIT, $0-12
	MOVQ         t+0(FP), SI
	LEAQ         bExponents(SI), R8
	LEAQ         sums(SI), DI
	VPBROADCASTD infinite<>(SB), Y15
	VPBROADCASTD least<>(SB), Y14
	VPBROADCASTD none<>(SB), Y13
	VPXOR        Y12, Y12, Y12      // lanes that ask for fusedSum
	VPBROADCASTQ single<>(SB), Y11
	VPXOR        Y10, Y10, Y10
	MOVQ         $16, CX

row:
	// c: exponents Y1, digits Y2.
	VMOVDQU      (DI), Y0
	VPBROADCASTD exponent<>(SB), Y3
	VPSRLD       $23, Y0, Y1
	VPAND        Y3, Y1, Y1
	VPCMPEQD     Y3, Y1, Y4
	VPBROADCASTD notFinite<>(SB), Y6
	VPAND        Y6, Y4, Y4
	VPBROADCASTD fraction<>(SB), Y6
	VPAND        Y6, Y0, Y2
	VPCMPEQD     Y10, Y1, Y3        // subnormal or zero
	VPBROADCASTD leading<>(SB), Y6
	VPANDN       Y6, Y3, Y6
	VPOR         Y6, Y2, Y2
	VPSUBD       Y3, Y1, Y1
	VPADDD       Y4, Y1, Y1
	VPCMPEQD     Y10, Y2, Y3
	VPBROADCASTD noExponent<>(SB), Y6
	VPAND        Y6, Y3, Y3
	VPADDD       Y3, Y1, Y1
	VPBROADCASTD bias<>(SB), Y6
	VPSUBD       Y6, Y1, Y1

	VMOVDQA Y1, Y5
	LARGEST(0)
	LARGEST(1)
	LARGEST(2)
	LARGEST(3)
	LARGEST(4)
	LARGEST(5)
	LARGEST(6)
	LARGEST(7)
	LARGEST(8)
	LARGEST(9)
	LARGEST(10)
	LARGEST(11)
	LARGEST(12)
	LARGEST(13)
	LARGEST(14)
	LARGEST(15)
	VPCMPGTD Y15, Y5, Y6
	VPOR     Y6, Y12, Y12
	VPCMPGTD Y5, Y14, Y6
	VPCMPGTD Y13, Y5, Y7
	VPAND    Y7, Y6, Y6
	VPOR     Y6, Y12, Y12
	VPMAXSD  Y14, Y5, Y5

	VPXOR Y9, Y9, Y9
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
	VPSUBD  Y1, Y5, Y6
	VPSLLD  $2, Y2, Y2
	VPSRLVD Y6, Y2, Y2
	VPSIGND Y0, Y2, Y2

	// The sum with c has up to 33 bits: float64 holds it, is cut off to the bits of float32, and scaled.
	VCVTDQ2PD    X9, Y6
	VEXTRACTI128 $1, Y9, X9
	VCVTDQ2PD    X9, Y7
	VCVTDQ2PD    X2, Y8
	VEXTRACTI128 $1, Y2, X2
	VCVTDQ2PD    X2, Y9
	VADDPD       Y8, Y6, Y6
	VADDPD       Y9, Y7, Y7
	VANDPD       Y11, Y6, Y6
	VANDPD       Y11, Y7, Y7
	VPBROADCASTD unit<>(SB), Y8
	VPADDD       Y8, Y5, Y5
	VPMOVZXDQ    X5, Y8
	VPSLLQ       $52, Y8, Y8
	VEXTRACTI128 $1, Y5, X5
	VPMOVZXDQ    X5, Y9
	VPSLLQ       $52, Y9, Y9
	VMULPD       Y8, Y6, Y6
	VMULPD       Y9, Y7, Y7
	VCVTPD2PSY   Y6, X6
	VCVTPD2PSY   Y7, X7
	VINSERTF128  $1, X7, Y6, Y6
	VMOVUPS      Y6, (results-sums)(DI)
	ADDQ         $64, SI
	ADDQ         $32, DI
	DECQ         CX
	JNZ          row

	VMOVMSKPS Y12, AX
	MOVL      AX, ret+8(FP)
	VZEROUPPER
	RET

// SPLIT takes 8 elements of 16 bits in Y0, as words of 32, apart: exponents Y1 and digits Y2, not cut to 16 bits.
#define SPLIT \
	VPAND     Y8, Y0, Y1   \
	VPSRLD    X10, Y1, Y1  \
	VPAND     Y11, Y0, Y2  \
	VPCMPEQD  Y9, Y1, Y3   \
	VPCMPEQD  Y12, Y1, Y5  \
	VPANDN    Y13, Y3, Y4  \
	VPOR      Y4, Y2, Y2   \
	VPSUBD    Y3, Y1, Y1   \
	VPBROADCASTD notFinite<>(SB), Y4 \
	VPAND     Y4, Y5, Y5   \
	VPADDD    Y5, Y1, Y1   \
	VPSUBD    Y14, Y1, Y1  \
	VPCMPEQD  Y9, Y2, Y6   \
	VPBROADCASTD noExponent<>(SB), Y4 \
	VPBLENDVB Y6, Y4, Y1, Y1 \
	VPSLLD    X15, Y2, Y2  \
	VPSLLD    $16, Y0, Y7  \
	VPSIGND   Y7, Y2, Y2

// ROWS splits a register of A, whose pointer lies at an offset of R9, into rows from an offset of t on.
#define ROWS(register, to, again) \
	MOVQ         register(R9), R10    \
	MOVQ         $0, CX               \
again:                                \
	VMOVDQU      (R10), Y0            \
	VPSHUFD      $8, Y0, Y0           \
	VPERMQ       $8, Y0, Y0           \
	VPMOVZXWD    X0, Y0               \
	SPLIT                             \
	VPBROADCASTD low<>(SB), Y4        \
	VPAND        Y4, Y2, Y2           \
	VMOVDQU      Y1, to(SI)(CX*2)     \
	VMOVDQU      Y2, (aDigits+to)(SI)(CX*2) \
	ADDQ         $32, R10             \
	ADDQ         $32, CX              \
	CMPQ         CX, $256             \
	JNE          again

// LANES loads the low words of 4 lanes.
#define LANES(at, to) \
	VMOVDQU at(R10), Y8  \
	VPSHUFD $8, Y8, Y8   \
	VPERMQ  $8, Y8, Y8   \
	VMOVDQU X8, to

// COLUMNS turns a register of B, columns of 8 elements of 16 bits, into rows, from an offset of the stack on.
#define COLUMNS(register, to) \
	MOVQ        register(R9), R10  \
	LANES(0, X0)                   \
	LANES(32, X1)                  \
	LANES(64, X2)                  \
	LANES(96, X3)                  \
	LANES(128, X4)                 \
	LANES(160, X5)                 \
	LANES(192, X6)                 \
	LANES(224, X7)                 \
	VPUNPCKLWD  X1, X0, X8         \
	VPUNPCKHWD  X1, X0, X9         \
	VPUNPCKLWD  X3, X2, X10        \
	VPUNPCKHWD  X3, X2, X11        \
	VPUNPCKLWD  X5, X4, X12        \
	VPUNPCKHWD  X5, X4, X13        \
	VPUNPCKLWD  X7, X6, X14        \
	VPUNPCKHWD  X7, X6, X15        \
	VPUNPCKLDQ  X10, X8, X0        \
	VPUNPCKHDQ  X10, X8, X1        \
	VPUNPCKLDQ  X11, X9, X2        \
	VPUNPCKHDQ  X11, X9, X3        \
	VPUNPCKLDQ  X14, X12, X4       \
	VPUNPCKHDQ  X14, X12, X5       \
	VPUNPCKLDQ  X15, X13, X6       \
	VPUNPCKHDQ  X15, X13, X7       \
	VPUNPCKLQDQ X4, X0, X8         \
	VPUNPCKHQDQ X4, X0, X9         \
	VPUNPCKLQDQ X5, X1, X10        \
	VPUNPCKHQDQ X5, X1, X11        \
	VPUNPCKLQDQ X6, X2, X12        \
	VPUNPCKHQDQ X6, X2, X13        \
	VPUNPCKLQDQ X7, X3, X14        \
	VPUNPCKHQDQ X7, X3, X15        \
	VMOVDQU     X8, (to+0)(SP)     \
	VMOVDQU     X9, (to+16)(SP)    \
	VMOVDQU     X10, (to+32)(SP)   \
	VMOVDQU     X11, (to+48)(SP)   \
	VMOVDQU     X12, (to+64)(SP)   \
	VMOVDQU     X13, (to+80)(SP)   \
	VMOVDQU     X14, (to+96)(SP)   \
	VMOVDQU     X15, (to+112)(SP)

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
	COLUMNS(32, 0)
	COLUMNS(40, 128)
	VPBROADCASTD positive<>(SB), Y8
	VPXOR        Y9, Y9, Y9
	VMOVQ        0(DX), X10
	VMOVQ        8(DX), X15
	VPBROADCASTD 16(DX), Y11
	VPBROADCASTD 20(DX), Y12
	VPBROADCASTD 24(DX), Y13
	VPBROADCASTD 28(DX), Y14
	ROWS(0, 0, a0)
	ROWS(8, 512, a1)
	ROWS(16, 32, a2)
	ROWS(24, 544, a3)
	MOVQ         $0, CX

columns:
	VPMOVZXWD    (SP)(CX*1), Y0
	SPLIT
	VPSRAD       $1, Y2, Y2
	VPBROADCASTD low<>(SB), Y4
	VPAND        Y4, Y2, Y2
	VMOVDQU      Y1, bExponents(SI)(CX*2)
	VMOVDQU      Y2, (bExponents+bDigits)(SI)(CX*2)
	ADDQ         $16, CX
	CMPQ         CX, $256
	JNE          columns
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
