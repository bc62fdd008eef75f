package ir

import "math"

// Range is the interval Lo ≤ x < Hi that operands are drawn from, integers for I32. The zero Range stands for -4 … 4.
type Range struct{ Lo, Hi float64 }

// OrDefault returns r, or -4 … 4 for the zero Range.
func (r Range) OrDefault() Range {
	if r == (Range{}) {
		return Range{-4, 4}
	}
	return r
}

// Sample is a conformance case of an operation: operand types with odd sizes, attributes, and the range of each
// operand. The last range repeats; without ranges all are -4 … 4.
type Sample struct {
	In     []Type
	Attrs  any
	Ranges []Range
	Syms   map[string]int // values of the symbols that occur
}

// Range returns the range of operand i.
func (s *Sample) Range(i int) Range {
	if len(s.Ranges) == 0 {
		return Range{}.OrDefault()
	}
	return s.Ranges[min(i, len(s.Ranges)-1)].OrDefault()
}

// Tol limits the distance between the float32 result of a backend and the float64 reference: ULP units in the last
// place of the element plus Norm times the largest element of the reference, for sums, where terms cancel.
type Tol struct {
	ULP  float64
	Norm float64
}

// Error returns the error of got as a fraction of the allowed error at want; up to 1 passes. norm is the largest
// magnitude in the reference tensor. Infinities must be equal, and NaN matches only NaN.
func (t Tol) Error(got, want, norm float64) float64 {
	const eps, tiny = 1.0 / (1 << 23), 0x1p-149 // of a float32: relative step, least subnormal
	switch d := math.Abs(got - want); {
	case got == want || math.IsNaN(got) && math.IsNaN(want):
		return 0
	case d < math.Inf(1):
		return d / (t.ULP*(eps*math.Abs(want)+tiny) + t.Norm*norm)
	}
	return math.Inf(1)
}

// Cases returns the samples of the operation. For an elementwise one without samples it derives an odd vector,
// broadcasting on both sides, a scalar and an empty tensor.
func (def *OpDef) Cases() []Sample {
	if def.Samples != nil || !def.Elementwise() {
		return def.Samples
	}
	shapes := [][]Dim{Dims(37), Dims(3, 1, 13), Dims(), Dims(0, 5)}
	others := [][]Dim{Dims(37), Dims(5, 1), Dims(7), Dims(5)}
	var samples []Sample
	for _, d := range []DType{F32, I32, Bool} {
		for i, shape := range shapes {
			var in []Type
			fits := true
			for j, o := range def.In {
				t := d
				if o.Types&(o.Types-1) == 0 {
					for t = Bool; !o.Types.Has(t); t++ {
					}
				}
				fits = fits && o.Types.Has(t)
				if j == 0 {
					in = append(in, Type{t, shape})
				} else {
					in = append(in, Type{t, others[i]})
				}
			}
			if _, err := def.InferType(in, nil); fits && err == nil {
				samples = append(samples, Sample{In: in, Ranges: []Range{def.Range}})
			}
		}
		if single(def.In) {
			break
		}
	}
	return samples
}

// single reports whether every operand has only one possible type.
func single(ops []Operands) bool {
	for _, o := range ops {
		if o.Types&(o.Types-1) != 0 {
			return false
		}
	}
	return true
}
