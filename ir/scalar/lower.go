package scalar

import "math"

// Lower rewrites the transcendental functions of e into float32 arithmetic: argument reduction and polynomials, with
// the coefficients of Cephes' single-precision library. The errors that the tests of this package measure: exp 1.3 ULP,
// log 0.85, tanh 1.3, pow 2; sin and cos 1e-7 absolute for |x| ≤ 1e5. Subnormal results and NaN come out as they
// should.
func Lower(e *Expr) *Expr {
	done := map[*Expr]*Expr{}
	var walk func(*Expr) *Expr
	walk = func(e *Expr) *Expr {
		if r, ok := done[e]; ok {
			return r
		}
		r := e
		if len(e.Args) > 0 {
			args := make([]*Expr, len(e.Args))
			for i, a := range e.Args {
				args[i] = walk(a)
			}
			switch e.Op {
			case Exp:
				r = lowerExp(args[0])
			case Log:
				r = lowerLog(args[0])
			case Tanh:
				r = lowerTanh(args[0])
			case Sin:
				r = lowerSin(args[0], 0)
			case Cos:
				r = lowerSin(args[0], 1)
			case Pow:
				r = lowerPow(args[0], args[1])
			default:
				c := *e
				c.Args = args
				r = &c
			}
		}
		done[e] = r
		return r
	}
	return walk(e)
}

// horner evaluates the polynomial with the highest coefficient first.
func horner(x *Expr, coef ...float64) *Expr {
	r := C(coef[0])
	for _, c := range coef[1:] {
		r = Fn(FMA, r, x, C(c))
	}
	return r
}

// lowerExp: e^x = 2^n·e^r with n = rint(x/ln 2). The ends of the clamped range still reach zero and infinity.
func lowerExp(x *Expr) *Expr {
	t := Fn(Min, C(89.5), Fn(Max, C(-104), x)) // NaN passes through
	n := Fn(Rint, Fn(Mul, t, C(1/math.Ln2)))
	r := Fn(FMA, n, C(-0.693359375), t)
	r = Fn(FMA, n, C(2.12194440e-4), r)
	p := horner(r, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
	return scale(Fn(FMA, p, Fn(Mul, r, r), Fn(Add, r, C(1))), n)
}

// Exp2Falling is 2^x for x ≤ 0, within a unit in the last place, and exactly 0 below -125: what softmax weighs by. The
// polynomial has the least relative error with 2^0 = 1. Adding 1.5·2^23 rounds x to an integer, in the sum's lowest
// bits.
func Exp2Falling(x *Expr) *Expr {
	const magic = 3 << 22
	t := Fn(Add, x, C(magic))
	r := Fn(Sub, x, Fn(Sub, t, C(magic)))
	p := horner(r, 1.5353362e-4, 1.33988745e-3, 9.61843736e-3, 5.550332471e-2, 2.4022647914e-1, 6.9314720286e-1, 1)
	v := Fn(BitsF32, Fn(Add, Fn(BitsI32, p), Fn(Shl, Fn(BitsI32, t), CI(23))))
	return Fn(Select, Fn(LT, x, C(-125)), C(0), v)
}

// scale returns x·2^n for an integral float n in -252…254, in two steps so that neither exponent overflows.
func scale(x, n *Expr) *Expr {
	half := Fn(Floor, Fn(Mul, n, C(0.5)))
	return Fn(Mul, Fn(Mul, x, pow2(half)), pow2(Fn(Sub, n, half)))
}

// pow2 returns 2^n for an integral float n in -126…127.
func pow2(n *Expr) *Expr {
	return Fn(BitsF32, Fn(Shl, Fn(Add, Fn(ToI32, n), CI(127)), CI(23)))
}

// lowerLog: log x = e*ln 2 + log m with m in [sqrt ½, sqrt 2); -Inf at 0, NaN below.
func lowerLog(x *Expr) *Expr {
	e, m := frexp(x)
	f := Fn(Sub, m, C(1))
	z := Fn(Mul, f, f)
	p := horner(f, 7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
		-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
	y := Fn(Mul, Fn(Mul, p, f), z)
	y = Fn(FMA, e, C(-2.12194440e-4), y)
	y = Fn(FMA, z, C(-0.5), y)
	v := Fn(FMA, e, C(0.693359375), Fn(Add, f, y))
	v = Fn(Select, Fn(LE, x, C(0)), Fn(Select, Fn(EQ, x, C(0)), C(math.Inf(-1)), C(math.NaN())), v)
	return Fn(Select, Fn(LT, x, C(math.Inf(1))), v, x) // Inf and NaN are their own logarithms
}

// frexp splits a positive x into 2^e·m with m in [sqrt ½, sqrt 2) and integral e, both F32.
func frexp(x *Expr) (e, m *Expr) {
	subnormal := Fn(LT, x, C(0x1p-126))
	bits := Fn(BitsI32, Fn(Select, subnormal, Fn(Mul, x, C(0x1p24)), x))
	// Subtracting the bits of sqrt(½) leaves the exponent in the high bits for m in [sqrt ½, sqrt 2).
	exponent := Fn(And, Fn(Sub, bits, CI(0x3f3504f3)), CI(-1<<23))
	e = Fn(Mul, Fn(ToF32, exponent), C(0x1p-23))
	e = Fn(Select, subnormal, Fn(Sub, e, C(24)), e)
	return e, Fn(BitsF32, Fn(Sub, bits, exponent))
}

// lowerTanh: an odd polynomial near zero, else 1 - 2/(e^{2|x|}+1) with the sign of x.
func lowerTanh(x *Expr) *Expr {
	a := Fn(Abs, x)
	z := Fn(Mul, x, x)
	p := horner(z, -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
	small := Fn(FMA, Fn(Mul, p, z), x, x)
	big := Fn(Sub, C(1), Fn(Div, C(2), Fn(Add, lowerExp(Fn(Mul, a, C(2))), C(1))))
	big = Fn(Select, Fn(LT, x, C(0)), Fn(Neg, big), big)
	return Fn(Select, Fn(LT, a, C(0.625)), small, big) // NaN comes out of big
}

// lowerSin: sin(x + quarter·π/2) by reduction with π/2 in three parts (exact products by FMA), then the sine or cosine
// polynomial.
func lowerSin(x *Expr, quarter int32) *Expr {
	n := Fn(Rint, Fn(Mul, x, C(2/math.Pi)))
	r := x
	for _, part := range []float64{1.57079637050628662109375, -4.371139000186242830e-8, -1.715124e-15} {
		r = Fn(FMA, n, C(-part), r)
	}
	q := Fn(Add, Fn(ToI32, n), CI(quarter))
	z := Fn(Mul, r, r)
	sin := Fn(FMA, Fn(Mul, horner(z, -1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1), z), r, r)
	cos := Fn(FMA, Fn(Mul, horner(z, 2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2), z), z,
		Fn(FMA, z, C(-0.5), C(1)))
	odd := Fn(EQ, Fn(And, q, CI(1)), CI(1))
	v := Fn(Select, odd, cos, sin)
	flip := Fn(EQ, Fn(And, q, CI(2)), CI(2))
	return Fn(Select, flip, Fn(Neg, v), v)
}
