package emu

import (
	"math"
	"math/bits"
)

// bfloat is a bfloat16 number taken apart: significand·2^(exponent-7), which has 8 bits, or fewer if it is subnormal.
type bfloat struct {
	significand int32 // with its sign
	exponent    int32
	value       float32
}

func newBfloat(b uint64) bfloat {
	x := bfloat{value: math.Float32frombits(uint32(b) << 16)}
	x.significand, x.exponent = int32(b&0x7f), int32(b>>7&0xff)-127
	if x.exponent == -127 {
		x.exponent = -126
	} else {
		x.significand |= 0x80
	}
	if b&0x8000 != 0 {
		x.significand = -x.significand
	}
	return x
}

// kept is how many bits behind the leading one of the largest term a sum of the tensor cores keeps. Measured on an
// H100, where all 16 products and the number that they are added to are one sum.
const kept = 25

// fusedSum is the sum of products and c as tensor cores compute it: the exact terms are moved to the exponent of the
// largest, that of a product being the sum of its factors', and cut off towards zero; their sum is exact, and it is cut
// off to float32, towards zero, too.
func fusedSum(x, y *[16]bfloat, c float32) float32 {
	const none = math.MinInt32
	top := int32(none)
	for k := range x {
		if x[k].significand != 0 && y[k].significand != 0 {
			top = max(top, x[k].exponent+y[k].exponent)
		}
		if x[k].exponent == 128 || y[k].exponent == 128 {
			return specialSum(x, y, c)
		}
	}
	cBits := math.Float32bits(c)
	cSignificand, cExponent := int64(cBits&(1<<23-1)), int32(cBits>>23&0xff)-127
	switch cExponent {
	case 128:
		return specialSum(x, y, c)
	case -127:
		cExponent = -126
	default:
		cSignificand |= 1 << 23
	}
	if c < 0 {
		cSignificand = -cSignificand
	}
	if c != 0 {
		top = max(top, cExponent)
	}
	if top == none {
		return 0
	}
	sum := cut(cSignificand, kept-23-(top-cExponent))
	for k := range x {
		product := int64(x[k].significand) * int64(y[k].significand)
		sum += cut(product, kept-14-(top-x[k].exponent-y[k].exponent))
	}
	// The unit of the sum is 2^(top-kept); that of the result has 24 bits, or is that of subnormal numbers.
	unit := top - kept
	last := max(unit+int32(bits.Len64(uint64(max(sum, -sum))))-24, -149)
	return float32(math.Ldexp(float64(cut(sum, unit-last)), int(last)))
}

// cut is v·2^by towards zero.
func cut(v int64, by int32) int64 {
	if by >= 0 {
		return v << by
	}
	if v < 0 {
		return -(-v >> min(-by, 63))
	}
	return v >> min(-by, 63)
}

// specialSum is a sum in which infinity or NaN occurs.
func specialSum(x, y *[16]bfloat, c float32) float32 {
	sum := float64(c)
	for k := range x {
		sum += float64(x[k].value) * float64(y[k].value)
	}
	return float32(sum)
}
