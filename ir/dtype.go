package ir

import "pgc/ir/scalar"

// DType is the element type of a tensor. Arithmetic is done in F32, I32 and Bool; the others are storage formats that are
// converted when read.
type DType uint8

// The data types.
const (
	Invalid DType = iota
	Bool
	I32
	F32
	BF16
	F16
	// Integers in groups along the last axis. The number behind g is the group's length; the last group of a row may be shorter. Package
	// quant defines the values.
	I8G32
	I8G64
	I8G128
	I4G32
	I4G64
	I4G128
	numDTypes
)

// format describes how a DType is stored.
type format struct {
	name         string
	bytes        int         // of one value; 0 for groups
	bits, group  int         // of groups
	compute      scalar.Type // the type of an element once read
	isArithmetic bool        // stored as it is computed
}

var formats = [numDTypes]format{
	Bool:   {"bool", 1, 0, 0, scalar.Bool, true},
	I32:    {"i32", 4, 0, 0, scalar.I32, true},
	F32:    {"f32", 4, 0, 0, scalar.F32, true},
	BF16:   {"bf16", 2, 0, 0, scalar.F32, false},
	F16:    {"f16", 2, 0, 0, scalar.F32, false},
	I8G32:  {"i8g32", 0, 8, 32, scalar.F32, false},
	I8G64:  {"i8g64", 0, 8, 64, scalar.F32, false},
	I8G128: {"i8g128", 0, 8, 128, scalar.F32, false},
	I4G32:  {"i4g32", 0, 4, 32, scalar.F32, false},
	I4G64:  {"i4g64", 0, 4, 64, scalar.F32, false},
	I4G128: {"i4g128", 0, 4, 128, scalar.F32, false},
}

// String returns the name of d in the text form: bool, i32, f32, bf16, f16, i8g32, …
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

// Bytes returns the storage size of a value of a plain type, and 0 for quantized formats.
func (d DType) Bytes() int { return formats[d].bytes }

// Group returns the bits of a value and the length of a group of a quantized format, and 0, 0 for plain types.
func (d DType) Group() (bits, length int) { return formats[d].bits, formats[d].group }

// IsQuantized reports whether d stores groups of integers.
func (d DType) IsQuantized() bool { return d < numDTypes && formats[d].bits > 0 }

// Quantized returns the quantized format with that many bits and that group length, or Invalid.
func Quantized(bits, length int) DType {
	for d := range numDTypes {
		if f := formats[d]; f.bits == bits && f.group == length && bits > 0 {
			return d
		}
	}
	return Invalid
}

// Scalar returns the type of an element after a read: F32 for every float format.
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
