package scalar

import (
	"math"
	"testing"
)

// ulps is the distance of a float32 value from the exact one, in units in the last place of the exact one.
func ulps(got, want float64) float64 {
	if got == want || math.IsNaN(got) && math.IsNaN(want) {
		return 0
	}
	w := float32(want)
	unit := float64(math.Nextafter32(float32(math.Abs(float64(w))), float32(math.Inf(1)))) - math.Abs(float64(w))
	return math.Abs(got-want) / unit
}

func TestLowerAccuracy(t *testing.T) {
	x := X(0, F32)
	for _, c := range []struct {
		name     string
		op       Op
		ref      func(float64) float64
		from, to float64
		ulp, abs float64
	}{
		{"exp", Exp, math.Exp, -87.3, 88.7, 2, 0},
		{"log", Log, math.Log, 1e-30, 1e5, 2, 0},
		{"log near 1", Log, math.Log, 0.5, 2, 2, 0},
		{"tanh", Tanh, math.Tanh, -12, 12, 3, 0},
		{"tanh near 0", Tanh, math.Tanh, -1e-3, 1e-3, 3, 0},
		{"sin", Sin, math.Sin, -100, 100, 0, 1.5e-7},
		{"cos", Cos, math.Cos, -100, 100, 0, 1.5e-7},
		{"sin far", Sin, math.Sin, 1000, 10000, 0, 2e-7},
		{"cos far", Cos, math.Cos, 1000, 10000, 0, 2e-7},
	} {
		low := Lower(Fn(c.op, x))
		worst, at := 0.0, 0.0
		for i := 0; i <= 60_000; i++ {
			v := float64(float32(c.from + (c.to-c.from)*float64(i)/60_000))
			got, want := EvalF32(low, []float64{v}), c.ref(v)
			e := math.Abs(got - want)
			if c.ulp > 0 {
				e = ulps(got, want)
			}
			if e > worst {
				worst, at = e, v
			}
		}
		t.Logf("%-12s worst error %.3g at %g", c.name, worst, at)
		if limit := c.ulp + c.abs; worst > limit {
			t.Errorf("%s: error %g at %g, limit %g", c.name, worst, at, limit)
		}
	}
}

func TestLowerExtremes(t *testing.T) {
	x := X(0, F32)
	inf := math.Inf(1)
	for _, c := range []struct {
		op       Op
		in, want float64
	}{
		{Exp, -1e30, 0}, {Exp, -inf, 0}, {Exp, 100, inf}, {Exp, 0, 1}, {Log, 0, -inf}, {Log, -1, math.NaN()},
		{Log, inf, inf}, {Tanh, 50, 1}, {Tanh, -50, -1}, {Tanh, 0, 0}, {Sin, 0, 0}, {Cos, 0, 1},
	} {
		got := EvalF32(Lower(Fn(c.op, x)), []float64{c.in})
		if got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s(%g) = %g, want %g", c.op, c.in, got, c.want)
		}
	}
}

func TestFMA32RoundsOnce(t *testing.T) {
	x, y, z := float64(float32(1+math.Pow(2, -12))), float64(float32(1+math.Pow(2, -12))), math.Pow(2, -60)
	// x*y = 1 + 2^-11 + 2^-24 exactly half way between two float32; the tiny z decides upwards.
	want := float64(math.Nextafter32(float32(1+math.Pow(2, -11)), 2))
	if got := FMA32(x, y, z); got != want {
		t.Errorf("got %.12g, want %.12g", got, want)
	}
	if got := FMA32(x, y, -z); got != float64(float32(1+math.Pow(2, -11))) {
		t.Errorf("got %.12g", got)
	}
}
