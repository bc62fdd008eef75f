package ir

import (
	"fmt"

	"pgc/ir/quant"
	"pgc/ir/scalar"
)

// DType is the element type of a tensor. Arithmetic is done in F32, I32 and Bool; the others are storage formats that
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
	// From here on groups along the last axis, of every format of package quant and every length that its groups have.
	// The last group of a row may be shorter. These have names of their own in Go; Quantized gives all.
	I8G32
	I8G64
	I8G128
	I4G32
	I4G64
	I4G128
)

// format describes how a DType is stored.
type format struct {
	name         string
	bytes        int          // of one value; 0 for groups
	codes        quant.Format // of groups
	group        int          // their length
	compute      scalar.Type  // the type of an element once read
	isArithmetic bool         // stored as it is computed
}

var formats = withGroups([]format{
	Bool: {name: "bool", bytes: 1, compute: scalar.Bool, isArithmetic: true},
	I32:  {name: "i32", bytes: 4, compute: scalar.I32, isArithmetic: true},
	F32:  {name: "f32", bytes: 4, compute: scalar.F32, isArithmetic: true},
	BF16: {name: "bf16", bytes: 2, compute: scalar.F32},
	F16:  {name: "f16", bytes: 2, compute: scalar.F32},
})

// numDTypes counts the data types, Invalid among them.
var numDTypes = DType(len(formats))

// withGroups adds the types of groups, named as i8g32.
func withGroups(plain []format) []format {
	for _, f := range quant.Formats() {
		for _, n := range f.Traits().Lengths {
			plain = append(plain, format{name: fmt.Sprintf("%sg%d", f.Traits().Stem, n), codes: f, group: n, compute: scalar.F32})
		}
	}
	return plain
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

// Group returns the format and the length of the groups of a quantized type, and None, 0 for plain types.
func (d DType) Group() (f quant.Format, length int) { return formats[d].codes, formats[d].group }

// IsQuantized reports whether d stores groups.
func (d DType) IsQuantized() bool { return d < numDTypes && formats[d].group > 0 }

// Quantized returns the type of groups of that format and length, or Invalid.
func Quantized(f quant.Format, length int) DType {
	for d := range numDTypes {
		if formats[d].codes == f && formats[d].group == length && length > 0 {
			return d
		}
	}
	return Invalid
}

// Activation returns the type of activations that products of integers with weights of type d read, or Invalid if
// products with d are float32.
func (d DType) Activation() DType {
	if d.IsQuantized() && formats[d].codes.Traits().Integers {
		return Quantized(quant.Activation, formats[d].group)
	}
	return Invalid
}

// IsActivation reports whether activations can be stored as d for products of integers.
func (d DType) IsActivation() bool { return d.IsQuantized() && d == d.Activation() }

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
