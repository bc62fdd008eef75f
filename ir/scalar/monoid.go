package scalar

import "math"

// Monoid is a way to fold numbers into one: an operation of two that is associative, but for rounding, and commutative,
// and the number that it leaves every other as it is with, which is what nothing folds to.
type Monoid struct {
	Name     string // in the text of rows
	Join     Op
	Identity float64
}

// The monoids that reductions fold with.
var (
	Sum     = Monoid{"sum", Add, 0}
	Maximum = Monoid{"max", Max, math.Inf(-1)}
)

// Monoids lists them.
func Monoids() []Monoid { return []Monoid{Sum, Maximum} }

// Fold folds numbers in order.
func (m Monoid) Fold(x []float64) float64 {
	join, acc := functions[m.Join], m.Identity
	for _, v := range x {
		acc = join(acc, v, 0)
	}
	return acc
}
