package ir

import "pgc/ir/scalar"

// DType is the element type of a tensor. Arithmetic is done in F32, I32 and Bool; BF16 and F16 are storage formats that
// are converted when read.
type DType uint8

// The data types.
const (
	Invalid DType = iota
	Bool
	I32
	F32
	BF16
	F16
	numDTypes
)

// format describes how a DType is stored: blocks of values in so many bytes. Plain types have one value per block.
type format struct {
	name         string
	bytes        int
	values       int
	compute      scalar.Type // the type of an element once read
	isArithmetic bool        // stored as it is computed
}

var formats = [numDTypes]format{
	Bool: {"bool", 1, 1, scalar.Bool, true},
	I32:  {"i32", 4, 1, scalar.I32, true},
	F32:  {"f32", 4, 1, scalar.F32, true},
	BF16: {"bf16", 2, 1, scalar.F32, false},
	F16:  {"f16", 2, 1, scalar.F32, false},
}

// String returns the name of d in the text form: bool, i32, f32, bf16 or f16.
func (d DType) String() string {
	if d == Invalid || d >= numDTypes {
		return "invalid"
	}
	return formats[d].name
}

// ParseDType returns the data type of that name.
func ParseDType(name string) (DType, bool) {
	for d := Bool; d < numDTypes; d++ {
		if formats[d].name == name {
			return d, true
		}
	}
	return Invalid, false
}

// BlockBytes is the size in bytes of one block of BlockValues values.
func (d DType) BlockBytes() int { return formats[d].bytes }

// BlockValues is the number of values stored together in a block; one for every plain type.
func (d DType) BlockValues() int { return formats[d].values }

// Bytes is the storage size of n consecutive values; n must be a multiple of BlockValues.
func (d DType) Bytes(n int64) int64 { return n / int64(formats[d].values) * int64(formats[d].bytes) }

// Scalar is the type of an element once it has been read: F32 for every float format.
func (d DType) Scalar() scalar.Type { return formats[d].compute }

// IsFloat reports whether d stores real numbers.
func (d DType) IsFloat() bool {
	return d != Invalid && d < numDTypes && formats[d].compute == scalar.F32
}

// IsArithmetic reports whether operations compute in d itself: F32, I32 and Bool.
func (d DType) IsArithmetic() bool { return d != Invalid && d < numDTypes && formats[d].isArithmetic }

// FromScalar returns the arithmetic data type of a scalar type.
func FromScalar(t scalar.Type) DType {
	switch t {
	case scalar.I32:
		return I32
	case scalar.Bool:
		return Bool
	}
	return F32
}
