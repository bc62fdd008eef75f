package ir

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Dim is one dimension of a shape: a constant, or one symbol by name. A symbol's value is known only when the program
// runs; its upper bound is declared in the Module. Dims are comparable with ==.
type Dim struct {
	N   int    // the constant; 0 when Sym is set
	Sym string // the symbol, or empty
}

// DimLimit is the greatest dimension and the greatest bound of a symbol.
const DimLimit = 1<<31 - 1

// D returns a constant dimension.
func D(n int) Dim { return Dim{N: n} }

// Sym returns a symbolic dimension.
func Sym(name string) Dim { return Dim{Sym: name} }

// IsConst reports whether d is a constant.
func (d Dim) IsConst() bool { return d.Sym == "" }

// String returns the number or the name of the symbol.
func (d Dim) String() string {
	if d.Sym != "" {
		return d.Sym
	}
	return strconv.Itoa(d.N)
}

// Eval returns the value of d under the given binding of symbols.
func (d Dim) Eval(syms map[string]int) (int, error) {
	if d.Sym == "" {
		return d.N, nil
	}
	n, ok := syms[d.Sym]
	if !ok {
		return 0, fmt.Errorf("symbol %s has no value", d.Sym)
	}
	return n, nil
}

// Dims returns constant dimensions.
func Dims(n ...int) []Dim {
	dims := make([]Dim, len(n))
	for i, v := range n {
		dims[i] = D(v)
	}
	return dims
}

// FormatDims prints a shape as [S,8,256].
func FormatDims(dims []Dim) string {
	parts := make([]string, len(dims))
	for i, d := range dims {
		parts[i] = d.String()
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// Type is the type of a value: its element type and its shape, outermost dimension first. A scalar has no dimensions.
type Type struct {
	DType DType
	Shape []Dim
}

// T returns the type with that element type and shape.
func T(d DType, shape ...Dim) Type { return Type{DType: d, Shape: shape} }

// String prints the type as f32[S,2048].
func (t Type) String() string { return t.DType.String() + FormatDims(t.Shape) }

// FormatTypes prints types as f32[S,2048], f32[S,256].
func FormatTypes(types []Type) string {
	parts := make([]string, len(types))
	for i, t := range types {
		parts[i] = t.String()
	}
	return strings.Join(parts, ", ")
}

// Equal reports whether t and u are the same type.
func (t Type) Equal(u Type) bool { return t.DType == u.DType && slices.Equal(t.Shape, u.Shape) }

// Rank is the number of dimensions.
func (t Type) Rank() int { return len(t.Shape) }

// Last is the innermost dimension; the type must not be a scalar.
func (t Type) Last() Dim { return t.Shape[len(t.Shape)-1] }

// Eval returns the shape under the given binding of symbols.
func (t Type) Eval(syms map[string]int) ([]int, error) {
	shape := make([]int, len(t.Shape))
	for i, d := range t.Shape {
		n, err := d.Eval(syms)
		if err != nil {
			return nil, err
		}
		shape[i] = n
	}
	return shape, nil
}

// Broadcast returns the shape that shapes take together under right-aligned broadcasting: missing leading dimensions
// and dimensions of 1 stretch; any others must be equal.
func Broadcast(shapes ...[]Dim) ([]Dim, error) {
	rank := 0
	for _, s := range shapes {
		rank = max(rank, len(s))
	}
	out := make([]Dim, rank)
	for i := range out {
		out[i] = D(1)
		for _, s := range shapes {
			j := i - (rank - len(s))
			if j < 0 || s[j] == D(1) || s[j] == out[i] {
				continue
			}
			if out[i] != D(1) {
				return nil, fmt.Errorf("shapes do not broadcast: %s", formatShapes(shapes))
			}
			out[i] = s[j]
		}
	}
	return out, nil
}

func formatShapes(shapes [][]Dim) string {
	parts := make([]string, len(shapes))
	for i, s := range shapes {
		parts[i] = FormatDims(s)
	}
	return strings.Join(parts, " and ")
}

// sameElems reports whether one shape can be read as another for every value of their symbols: the same symbols in one
// order, and between them constant dimensions of equal products. A symbol so stays a dimension of its own, and strides
// can be constants.
func sameElems(a, b []Dim) bool {
	na, sa := runs(a)
	nb, sb := runs(b)
	return slices.Equal(na, nb) && slices.Equal(sa, sb)
}

// runs returns the symbols among dimensions and the products of the constant dimensions before, between and after them.
func runs(dims []Dim) (products []int, syms []string) {
	products = []int{1}
	for _, d := range dims {
		if d.IsConst() {
			products[len(products)-1] = int(times(int64(products[len(products)-1]), int64(d.N)))
		} else {
			syms, products = append(syms, d.Sym), append(products, 1)
		}
	}
	return products, syms
}

// factors returns the product of the constant dimensions, and the symbols.
func factors(dims []Dim) (n int, syms []string) {
	products, syms := runs(dims)
	n = 1
	for _, p := range products {
		n = int(times(int64(n), int64(p)))
	}
	return n, syms
}
