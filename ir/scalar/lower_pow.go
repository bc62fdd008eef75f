package scalar

import "math"

// lowerPow: |x|^y = 2^(y·log2|x|), with the logarithm and the product in two float32 each, since an error of the
// exponent's last place would be one of 2^-17 in the result. A negative x has powers at integers only.
func lowerPow(x, y *Expr) *Expr {
	zero, one, inf := C(0), C(1), C(math.Inf(1))
	ax := Fn(Abs, x)
	hi, lo := log2(ax)
	yc := Fn(Min, C(1e36), Fn(Max, C(-1e36), y)) // keeps the products finite; NaN passes through
	zh := Fn(Mul, yc, hi)
	zl := Fn(FMA, yc, lo, Fn(FMA, yc, hi, Fn(Neg, zh)))
	zh = Fn(Min, C(200), Fn(Max, C(-200), zh))
	n := Fn(Rint, zh)
	r := Fn(Add, Fn(Sub, zh, n), Fn(Select, Fn(LT, Fn(Abs, zh), C(200)), zl, zero))
	v := scale(horner(r, taylorExp2()...), n)

	positive := Fn(LT, zero, y)
	v = Fn(Select, Fn(EQ, ax, zero), Fn(Select, positive, zero, inf), v)
	v = Fn(Select, Fn(EQ, ax, inf), Fn(Select, positive, inf, zero), v)
	integral := Fn(EQ, Fn(Floor, y), y)
	half := Fn(Mul, y, C(0.5))
	even := Fn(EQ, Fn(Floor, half), half)
	negative := Fn(Select, integral, Fn(Select, even, v, Fn(Neg, v)), C(math.NaN()))
	v = Fn(Select, Fn(LT, x, zero), negative, v)
	v = Fn(Select, Fn(And, Fn(EQ, x, x), Fn(EQ, y, y)), v, Fn(Add, x, y)) // NaN
	return Fn(Select, Fn(Or, Fn(EQ, y, zero), Fn(EQ, x, one)), one, v)
}

// log2 returns the binary logarithm of a positive x as the sum of two float32, the second of which holds what the first
// cannot: 2/ln 2·atanh(s) for s = (m-1)/(m+1), plus the exponent.
func log2(x *Expr) (hi, lo *Expr) {
	e, m := frexp(x)
	f := Fn(Sub, m, C(1))
	u := Fn(Add, f, C(2))
	ulo := Fn(Sub, f, Fn(Sub, u, C(2)))
	s := Fn(Div, f, u)
	rest := Fn(FMA, Fn(Neg, s), ulo, Fn(FMA, Fn(Neg, s), u, f))
	slo := Fn(Div, rest, u)

	const c = 2 / math.Ln2
	chi := float64(float32(c))
	z := Fn(Mul, s, s)
	tail := Fn(Mul, Fn(Mul, s, z), horner(z, c/9, c/7, c/5, c/3))
	p := Fn(Mul, C(chi), s)
	perr := Fn(FMA, C(chi), s, Fn(Neg, p))
	perr = Fn(Add, perr, Fn(FMA, C(c-chi), s, Fn(FMA, C(chi), slo, tail)))
	t := Fn(Add, e, p) // |p| ≤ ½ ≤ |e|, or e = 0: the error of the sum is exact
	terr := Fn(Add, Fn(Sub, p, Fn(Sub, t, e)), perr)
	hi = Fn(Add, t, terr)
	return hi, Fn(Sub, terr, Fn(Sub, hi, t))
}

// taylorExp2 has the coefficients of 2^r, the highest first; on |r| ≤ ½ the first term left out is below 6e-9.
func taylorExp2() []float64 {
	coef := make([]float64, 8)
	c := 1.0
	for i := range coef {
		coef[len(coef)-1-i] = c
		c *= math.Ln2 / float64(i+1)
	}
	return coef
}
