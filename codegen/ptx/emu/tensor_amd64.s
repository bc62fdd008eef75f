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
