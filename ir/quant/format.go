package quant

// Format says how the values of a group are stored: a code of a few bits for each, and a header. What there is to know
// about a format is its row of the table below, as in ggml's type_traits: the IR's types, packing, kernels and flags
// ask the row, never for a format by its name.
type Format uint8

// The formats. None stands for values that are not in groups.
const (
	None Format = iota
	Int8
	Int4
	NF4
)

// Activation is the format of activations that products of integers read.
const Activation = Int8

// Codes is a kind of code.
type Codes uint8

const (
	Symmetric Codes = iota // integers in two's complement: a value is code·scale
	Affine                 // integers from 0 on: a value is code·scale + min
	Lookup                 // places in a table of levels: a value is level·scale
)

// Traits describe a format. The header of a group is a float32 scale, or, of affine codes, scale and min in bfloat16.
type Traits struct {
	Name     string    // in --weights, --keep and the names of kernels
	Stem     string    // of its types in the text form; the length of a group follows, as in i8g128
	Bits     int       // of a code, 4 or 8
	Lengths  []int     // that a group may have
	Codes    Codes     // what codes are
	Levels   []float32 // of Lookup: what each code stands for before the scale, in increasing order
	Integers bool      // products may take integers, activations in groups as long; otherwise they are float32
	Fitted   bool      // Rounding has a say in scales and codes
	encode   encoder   // rounds a group
}

// encoder rounds a group to codes, as many as x has, and returns the scale and, of affine codes, min. A group with a
// value that is infinite or NaN gets a scale or min that is not finite.
type encoder func(r *Rounding, x []float32, codes []byte) (scale, min float32)

var formats = [...]Traits{
	None: {Name: "none"},
	Int8: {Name: "int8", Stem: "i8", Bits: 8, Lengths: []int{32, 64, 128}, Codes: Symmetric, Integers: true, encode: symmetric},
	Int4: {Name: "int4", Stem: "i4", Bits: 4, Lengths: []int{32, 64, 128}, Codes: Affine, Integers: true, Fitted: true, encode: affine},
	NF4:  {Name: "nf4", Stem: "nf4", Bits: 4, Lengths: []int{64}, Codes: Lookup, Levels: normalFloat4, encode: lookup(normalFloat4)},
}

// Formats returns every format but None, in the order of the table.
func Formats() []Format {
	all := make([]Format, len(formats)-1)
	for i := range all {
		all[i] = Format(i + 1)
	}
	return all
}

// Named returns the format of a name, None if there is none.
func Named(name string) Format {
	for _, f := range Formats() {
		if formats[f].Name == name {
			return f
		}
	}
	return None
}

// Traits returns the row of f.
func (f Format) Traits() *Traits { return &formats[f] }

// String returns the name of f.
func (f Format) String() string { return formats[f].Name }

// Value is what a code stands for, rounded once; min counts for affine codes only.
func (f Format) Value(code byte, scale, min float32) float32 {
	switch t := &formats[f]; t.Codes {
	case Affine:
		return affineValue(code, scale, min)
	case Lookup:
		return t.Levels[code] * scale
	}
	return float32(int8(code)) * scale
}

func symmetric(_ *Rounding, x []float32, q []byte) (scale, min float32) { return Symmetric8(x, q), 0 }

func affine(r *Rounding, x []float32, q []byte) (scale, min float32) {
	if r != nil && r.Search {
		return search4(x, nil, q)
	}
	return Asymmetric4(x, q)
}
