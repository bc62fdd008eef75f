package ir

import (
	"errors"
	"fmt"
	"strings"

	"pgc/ir/scalar"
)

// OpArgmax returns the index of the maximum. Kernels compute indices as f32, so a row has at most 2^24 elements.
var OpArgmax = Define(OpDef{Name: "argmax", Doc: "the index of the maximum over the last axis, which becomes 1; the first of equals, -1 where an element is NaN or the axis is empty",
	In: one(Floats),
	Infer: func(in []Type, _ any) (Type, error) {
		x := in[0]
		switch {
		case x.Rank() == 0:
			return Type{}, errors.New("operand is a scalar")
		case x.Last().N > maxArgmax:
			return Type{}, fmt.Errorf("operand is %s, expected rows of at most %d elements", x, maxArgmax)
		}
		return Type{I32, append(append([]Dim{}, x.Shape[:x.Rank()-1]...), D(1))}, nil
	},
	Check: func(m *Module, op *Op) error {
		if n := m.MaxDim(op.In[0].Type.Last()); n > maxArgmax {
			return fmt.Errorf("operand is %s with rows of up to %d elements, expected at most %d", op.In[0].Type, n, maxArgmax)
		}
		return nil
	},
	Samples: []Sample{
		{In: []Type{T(F32, Dims(3, 5, 37)...)}},
		{In: []Type{T(F32, D(5), Sym("T"))}, Syms: map[string]int{"T": 1}},
		{In: []Type{T(F32, Dims(2, 1031)...)}},
		{In: []Type{T(F32, D(3), Sym("T"))}, Syms: map[string]int{"T": 0}},
	},
})

// maxArgmax is the length of the longest row of argmax: f32 represents all its indices exactly.
const maxArgmax = scalar.ExactInts

// EinsumAttrs are the attributes of einsum.
type EinsumAttrs struct {
	Spec string `ir:"spec"`
}

// OpEinsum contracts two tensors in Einstein notation: it sums over labels that both operands have and the result
// lacks. The labels are a, b, c, … in order of appearance.
var OpEinsum = Define(OpDef{Name: "einsum", Doc: "the sum of products over the labels that the result lacks", In: two(Floats),
	Attrs: EinsumAttrs{}, Tol: Tol{ULP: 2, Norm: 1e-5},
	Canon: func(attrs any) any { return EinsumAttrs{CanonicalEinsum(attrs.(EinsumAttrs).Spec)} },
	Infer: func(in []Type, attrs any) (Type, error) {
		spec := attrs.(EinsumAttrs).Spec
		e, err := ParseEinsum(spec)
		if err != nil {
			return Type{}, err
		}
		sizes := map[rune]Dim{}
		for i, labels := range []string{e.X, e.Y} {
			if len(labels) != in[i].Rank() {
				return Type{}, fmt.Errorf("spec %q names %d dimensions of operand %s, which is %s", spec, len(labels), "xy"[i:i+1], in[i])
			}
			for j, l := range labels {
				d := in[i].Shape[j]
				if have, ok := sizes[l]; ok && have != d {
					return Type{}, fmt.Errorf("spec %q: label %c is %s in x %s and %s in y %s", spec, l, have, FormatDims(in[0].Shape), d, FormatDims(in[1].Shape))
				}
				sizes[l] = d
			}
		}
		shape := []Dim{}
		for _, l := range e.Out {
			shape = append(shape, sizes[l])
		}
		return Type{F32, shape}, nil
	},
	Samples: []Sample{
		{In: []Type{T(F32, Dims(5, 37)...), T(F32, Dims(11, 37)...)}, Attrs: EinsumAttrs{"ab,cb->ac"}},
		{In: []Type{T(F32, Dims(3, 2, 2, 7)...), T(F32, Dims(5, 2, 7)...)}, Attrs: EinsumAttrs{"abcd,ebd->bcae"}},
		{In: []Type{T(F32, Dims(2, 2, 3, 5)...), T(F32, Dims(5, 2, 7)...)}, Attrs: EinsumAttrs{"abcd,dae->cabe"}},
		{In: []Type{T(F32, Sym("S"), D(9)), T(F32, Dims(9, 4)...)}, Attrs: EinsumAttrs{"ab,bc->ac"}, Syms: map[string]int{"S": 1}},
	},
})

// Einsum is a parsed contraction: the labels of the operands and of the result.
type Einsum struct{ X, Y, Out string }

// ParseEinsum parses a spec such as "sgrh,tgh->grst". Labels are lower-case letters, and none occurs twice in a tensor.
// Every label of the result is in an operand, and every label that the result lacks is in both.
func ParseEinsum(spec string) (Einsum, error) {
	operands, out, ok := strings.Cut(spec, "->")
	x, y, ok2 := strings.Cut(operands, ",")
	e := Einsum{x, y, out}
	if !ok || !ok2 {
		return e, fmt.Errorf("spec %q is not of the form ab,bc->ac", spec)
	}
	for _, labels := range []string{x, y, out} {
		for i, l := range labels {
			switch {
			case l < 'a' || l > 'z':
				return e, fmt.Errorf("spec %q: label %q is not a lower-case letter", spec, l)
			case strings.ContainsRune(labels[:i], l):
				return e, fmt.Errorf("spec %q: label %c occurs twice in one tensor", spec, l)
			}
		}
	}
	for _, l := range out {
		if !strings.ContainsRune(x+y, l) {
			return e, fmt.Errorf("spec %q: label %c of the result is in no operand", spec, l)
		}
	}
	for _, l := range x + y {
		if !strings.ContainsRune(out, l) && !(strings.ContainsRune(x, l) && strings.ContainsRune(y, l)) {
			return e, fmt.Errorf("spec %q: label %c is in one operand only", spec, l)
		}
	}
	return e, nil
}

// CanonicalEinsum renames the labels of a spec to a, b, c, … in order of appearance and removes white space. It returns
// a spec that does not parse as it is.
func CanonicalEinsum(spec string) string {
	bare := strings.Join(strings.Fields(spec), "")
	if _, err := ParseEinsum(bare); err != nil {
		return spec
	}
	names := map[rune]rune{}
	return strings.Map(func(l rune) rune {
		if l < 'a' || l > 'z' {
			return l
		}
		if _, ok := names[l]; !ok {
			names[l] = 'a' + rune(len(names))
		}
		return names[l]
	}, bare)
}
