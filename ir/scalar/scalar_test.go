package scalar

import (
	"math"
	"strings"
	"testing"
)

// ulps is the distance of a float32 value from the exact one, in units in the last place of the exact one.
func ulps(got, want float64) float64 {
	w := min(math.Abs(float64(float32(want))), 0x1.fffffcp127)
	return math.Abs(got-want) / (float64(math.Nextafter32(float32(w), float32(math.Inf(1)))) - w)
}

// sweep calls visit with n float32 numbers from … to, evenly in value when linear and else evenly in representation,
// which visits every binade.
func sweep(from, to float64, n int, linear bool, visit func(x float64)) {
	order := func(x float64) int64 { // float32 numbers in ascending order as integers
		b := int64(int32(math.Float32bits(float32(x))))
		if b < 0 {
			b = math.MinInt32 - b
		}
		return b
	}
	lo, hi := order(from), order(to)
	for i := range n {
		if linear {
			visit(float64(float32(from + (to-from)*float64(i)/float64(n-1))))
			continue
		}
		b := lo + (hi-lo)*int64(i)/int64(n-1)
		if b < 0 {
			b = math.MinInt32 - b
		}
		visit(float64(math.Float32frombits(uint32(int32(b)))))
	}
}

func TestLowerAccuracy(t *testing.T) {
	const points = 200_000
	for _, c := range []struct {
		name     string
		op       Op
		ref      func(float64) float64
		from, to float64
		linear   bool
		ulp, abs float64
	}{
		{"exp", Exp, math.Exp, -87.3, 88.7, true, 1.3, 0},
		{"exp everywhere", Exp, math.Exp, -103, 88.7, false, 1.3, 0},
		{"log", Log, math.Log, 1e-45, 3e38, false, 0.85, 0},
		{"log near 1", Log, math.Log, 0.5, 2, true, 0.85, 0},
		{"tanh", Tanh, math.Tanh, -12, 12, true, 1.3, 0},
		{"tanh everywhere", Tanh, math.Tanh, -100, 100, false, 1.3, 0},
		{"sin", Sin, math.Sin, -100, 100, true, 0, 1e-7},
		{"cos", Cos, math.Cos, -100, 100, true, 0, 1e-7},
		{"sin small", Sin, math.Sin, -1, 1, false, 1.5, 0},
		{"sin far", Sin, math.Sin, 1e3, 1e5, true, 0, 1.2e-7},
		{"cos far", Cos, math.Cos, -1e5, -1e3, true, 0, 1.2e-7},
		{"exp2 falling", 0, math.Exp2, -125, 0, true, 1, 0},
		{"exp2 falling near 0", 0, math.Exp2, -1, 0, true, 1, 0},
	} {
		low := CompileF32(Exp2Falling(X(0, F32)))
		if c.op != 0 {
			low = CompileF32(Lower(Fn(c.op, X(0, F32))))
		}
		var in []float64
		sweep(c.from, c.to, points, c.linear, func(x float64) { in = append(in, x) })
		out := make([]float64, len(in))
		low.Run([][]float64{in}, out)
		worst, at := 0.0, 0.0
		for i, x := range in {
			e := math.Abs(out[i] - c.ref(x))
			if c.ulp > 0 {
				e = ulps(out[i], c.ref(x))
			}
			if !(e <= worst) {
				worst, at = e, x
			}
		}
		t.Logf("%-16s worst error %.3g at %g", c.name, worst, at)
		if limit := c.ulp + c.abs; !(worst <= limit) {
			t.Errorf("%s: error %g at %g, limit %g", c.name, worst, at, limit)
		}
	}
}

func TestLowerPowAccuracy(t *testing.T) {
	low := CompileF32(Lower(Fn(Pow, X(0, F32), X(1, F32))))
	worst, atX, atY, checked := 0.0, 0.0, 0.0, 0
	for _, y := range []float64{-40, -3, -1, -0.5, -1e-3, 0.1, 1.0 / 3, 0.5, 1, 1.5, 2, 2.2, 3, 7.75, 17, 100, 5000} {
		y = float64(float32(y))
		var in, ys []float64
		sweep(1e-40, 3e38, 20_000, false, func(x float64) { in, ys = append(in, x), append(ys, y) })
		sweep(0.9, 1.1, 5_000, true, func(x float64) { in, ys = append(in, x), append(ys, y) })
		out := make([]float64, len(in))
		low.Run([][]float64{in, ys}, out)
		for i, x := range in {
			want := math.Pow(x, y)
			if want > math.MaxFloat32 || want < 0x1p-126 {
				if want > 1.01*math.MaxFloat32 && !math.IsInf(out[i], 1) || want < 0x1p-150 && out[i] != 0 {
					t.Fatalf("pow(%g, %g) = %g, want %g", x, y, out[i], want)
				}
				continue
			}
			checked++
			if e := ulps(out[i], want); !(e <= worst) {
				worst, atX, atY = e, x, y
			}
		}
	}
	t.Logf("pow: worst error %.3g ULP at (%g, %g) of %d", worst, atX, atY, checked)
	if !(worst <= 2) {
		t.Errorf("pow(%g, %g): %g ULP, limit 2", atX, atY, worst)
	}
}

// The functions at the ends of their domains.
func TestLowerExtremes(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		op   Op
		want float64
		in   []float64
	}{
		{Exp, 0, []float64{-1e30}}, {Exp, 0, []float64{-inf}}, {Exp, inf, []float64{100}}, {Exp, inf, []float64{inf}},
		{Exp, 1, []float64{0}}, {Exp, nan, []float64{nan}}, {Exp, 0x1p-149, []float64{-103.2}}, {Exp, inf, []float64{88.8}},
		{Log, -inf, []float64{0}}, {Log, nan, []float64{-1}}, {Log, inf, []float64{inf}}, {Log, nan, []float64{nan}}, {Log, 0, []float64{1}},
		{Tanh, 1, []float64{50}}, {Tanh, -1, []float64{-50}}, {Tanh, 0, []float64{0}}, {Tanh, nan, []float64{nan}}, {Tanh, -1, []float64{-inf}},
		{Sin, 0, []float64{0}}, {Cos, 1, []float64{0}}, {Sin, nan, []float64{nan}}, {Cos, nan, []float64{nan}},
		{Pow, 1, []float64{0, 0}}, {Pow, 0, []float64{0, 2}}, {Pow, inf, []float64{0, -2}}, {Pow, -8, []float64{-2, 3}},
		{Pow, 4, []float64{-2, 2}}, {Pow, nan, []float64{-2, 0.5}}, {Pow, 1, []float64{nan, 0}}, {Pow, nan, []float64{nan, 1}},
		{Pow, nan, []float64{2, nan}}, {Pow, 1, []float64{1, inf}}, {Pow, inf, []float64{2, inf}}, {Pow, 0, []float64{2, -inf}},
		{Pow, inf, []float64{inf, 0.25}}, {Pow, 0, []float64{inf, -0.25}}, {Pow, 0, []float64{0.5, 1e30}}, {Pow, -0.125, []float64{-8, -1}},
	} {
		args := []*Expr{X(0, F32), X(1, F32)}[:len(c.in)]
		got := EvalF32(Lower(Fn(c.op, args...)), c.in)
		if got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s%g = %g, want %g", c.op, c.in, got, c.want)
		}
		if exact := Eval(Fn(c.op, args...), c.in); float64(float32(exact)) != c.want && !(math.IsNaN(exact) && math.IsNaN(c.want)) {
			t.Errorf("the test expects %s%g = %g, math says %g", c.op, c.in, c.want, exact)
		}
	}
}

func TestExp2FallingAtTheEnds(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range [][2]float64{{0, 1}, {-1, 0.5}, {-125, 0x1p-125}, {-125.5, 0}, {-1e30, 0}, {-math.MaxFloat32, 0}, {-inf, 0}} {
		if got := EvalF32(Exp2Falling(X(0, F32)), c[:1]); got != c[1] {
			t.Errorf("2^%g = %g, want %g", c[0], got, c[1])
		}
	}
	if got := EvalF32(Exp2Falling(X(0, F32)), []float64{math.NaN()}); !math.IsNaN(got) {
		t.Errorf("2^NaN = %g", got)
	}
}

// Lower leaves nothing that a backend cannot emit.
func TestLowerLeavesPrimitives(t *testing.T) {
	x, y := X(0, F32), X(1, F32)
	e := Fn(Pow, Fn(Exp, Fn(Tanh, x)), Fn(Add, Fn(Log, x), Fn(Mul, Fn(Sin, y), Fn(Cos, y))))
	low := Lower(e)
	for _, in := range CompileF32(low).code {
		if in.op >= Exp {
			t.Errorf("%s is left", in.op)
		}
	}
	in := []float64{0.7, 0.3}
	if got, want := EvalF32(low, in), Eval(e, in); ulps(got, want) > 8 {
		t.Errorf("lowered %.9g, exact %.9g", got, want)
	}
}

func TestFMA32RoundsOnce(t *testing.T) {
	x, z := float64(float32(1+math.Pow(2, -12))), math.Pow(2, -60)
	// x*x = 1 + 2^-11 + 2^-24 exactly half way between two float32; the tiny z decides.
	up := float64(math.Nextafter32(float32(1+math.Pow(2, -11)), 2))
	if got := FMA32(x, x, z); got != up {
		t.Errorf("got %.12g, want %.12g", got, up)
	}
	if got := FMA32(x, x, -z); got != float64(float32(1+math.Pow(2, -11))) {
		t.Errorf("got %.12g", got)
	}
}

func TestIntegersWrap(t *testing.T) {
	x, y := X(0, I32), X(1, I32)
	for _, c := range []struct {
		e          *Expr
		a, b, want float64
	}{
		{Fn(Add, x, y), math.MaxInt32, 1, math.MinInt32},
		{Fn(Mul, x, y), 1 << 20, 1 << 12, 0},
		{Fn(Sub, x, y), -5, 7, -12},
		{Fn(Shl, x, y), 3, 4, 48},
		{Fn(And, x, y), -8, 13, 8},
		{Fn(ToI32, X(0, F32)), -2.7, 0, -2},
		{Fn(BitsI32, X(0, F32)), 1, 0, 0x3f800000},
	} {
		if got := Eval(c.e, []float64{c.a, c.b}); got != c.want {
			t.Errorf("%s of %g and %g = %g, want %g", c.e, c.a, c.b, got, c.want)
		}
	}
}

// A DAG whose tree would have 2^60 nodes is evaluated, substituted and lowered in no time.
func TestSharingIsKept(t *testing.T) {
	e := X(0, F32)
	for range 60 {
		e = Fn(Mul, Fn(Add, e, e), C(0.5))
	}
	if got := EvalF32(Lower(Subst(e, []*Expr{Fn(Exp, X(0, F32))})), []float64{0}); got != 1 {
		t.Errorf("got %g, want 1", got)
	}
}

func TestMisuseNamesTheTypes(t *testing.T) {
	defer func() {
		if s, ok := recover().(string); !ok || !strings.Contains(s, "add of f32 and i32") {
			t.Errorf("got %v", s)
		}
	}()
	Fn(Add, X(0, F32), X(1, I32))
}

func BenchmarkExp(b *testing.B) {
	ev := CompileF32(Lower(Fn(Exp, X(0, F32))))
	in, out := make([]float64, 1024), make([]float64, 1024)
	b.SetBytes(1024)
	for b.Loop() {
		ev.Run([][]float64{in}, out)
	}
}

func TestStringTellsExpressionsApart(t *testing.T) {
	x := X(0, F32)
	e := Fn(Exp, x)
	for want, e := range map[string]*Expr{
		"mul(&0=exp($0), &0)":                   Fn(Mul, e, Fn(Exp, X(0, F32))),
		"select(lt($0, 1.0), 1, 0)":             Fn(Select, Fn(LT, x, C(1)), CI(1), CI(0)),
		"select(lt($0, 1e-07), 1.0, 0.0)":       Fn(Select, Fn(LT, x, C(1e-7)), C(1), C(0)),
		"add(fma(&0=neg($0), &0, +Inf), 2.5)":   Fn(Add, Fn(FMA, Fn(Neg, x), Fn(Neg, x), C(math.Inf(1))), C(2.5)),
		"add(&0=mul($0, $0), neg(add(&0, $0)))": Fn(Add, Fn(Mul, x, x), Fn(Neg, Fn(Add, Fn(Mul, x, x), x))),
	} {
		if got := e.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for range 60 {
		e = Fn(Mul, Fn(Add, e, e), C(0.5))
	}
	if n := len(e.String()); n > 60*50 {
		t.Errorf("the text of 120 shared nodes has %d bytes", n)
	}
}

// EvalF32 computes e with every float operation rounded to float32, as a backend does; FMA is rounded once.
func EvalF32(e *Expr, args []float64) float64 { return CompileF32(e).one(args) }

// Subst returns e with every Arg i replaced by args[i]; shared nodes stay shared.
func Subst(e *Expr, args []*Expr) *Expr {
	done := map[*Expr]*Expr{}
	var walk func(*Expr) *Expr
	walk = func(e *Expr) *Expr {
		if r, ok := done[e]; ok {
			return r
		}
		r := e
		if e.Op == Arg {
			r = args[e.Index]
		} else if len(e.Args) > 0 {
			c := *e
			c.Args = make([]*Expr, len(e.Args))
			for i, a := range e.Args {
				c.Args[i] = walk(a)
			}
			r = &c
		}
		done[e] = r
		return r
	}
	return walk(e)
}
