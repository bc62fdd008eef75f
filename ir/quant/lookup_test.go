package quant

import (
	"math"
	"testing"
)

// TestNormalFloat4 holds NF4 to its definition. Levels are quantiles of the normal distribution, evenly spaced from the
// share 0.9677083 down to one half on both sides of zero, over the outermost (create_normal_map of bitsandbytes). Every
// level keeps its value. A value halfway between two levels becomes the lower one, the next float32 the upper one, also
// where the group's scale is not 1.
func TestNormalFloat4(t *testing.T) {
	const outermost = 0.9677083
	quantile := func(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }
	for i, v := range normalFloat4 {
		steps, from := 7.0, float64(7-i)
		if i > 7 {
			steps, from = 8, float64(i-7)
		}
		want := math.Copysign(quantile(0.5+(outermost-0.5)*from/steps)/quantile(outermost), float64(v))
		if math.Abs(float64(v)-want) > 1e-6 {
			t.Errorf("level %d is %g, the quantile %g", i, v, want)
		}
	}
	g := NewGroups(3, 64)
	code := func(x, scale float32) byte {
		(*Rounding)(nil).Row([]float32{scale, x * scale, -scale}, NF4, g)
		if g.Scale[0] != scale || g.Q[0] != 15 || g.Q[2] != 0 || g.Value(0, NF4) != scale {
			t.Fatalf("a group of %g at most has the scale %g and the codes %v", scale, g.Scale[0], g.Q)
		}
		return g.Q[1]
	}
	for _, scale := range []float32{1, 0x1p-100, 0x1p90} { // exact
		for i, v := range normalFloat4 {
			if got := code(v, scale); got != byte(i) || g.Value(1, NF4) != v*scale {
				t.Errorf("level %d of %g has code %d and value %g", i, scale, got, g.Value(1, NF4))
			}
		}
		for i := range 15 {
			v := (normalFloat4[i] + normalFloat4[i+1]) / 2
			if at, above := code(v, scale), code(math.Nextafter32(v, 2), scale); at != byte(i) || above != byte(i+1) {
				t.Errorf("halfway at %g of %g the code is %d, above it %d, expected %d and %d", v, scale, at, above, i, i+1)
			}
		}
	}
	(*Rounding)(nil).Row([]float32{0, 0, 0}, NF4, g)
	for i := range g.Q {
		if v := g.Value(i, NF4); v != 0 {
			t.Errorf("zero became %g", v)
		}
	}
	for _, bad := range []float64{math.Inf(-1), math.NaN()} {
		(*Rounding)(nil).Row([]float32{1, float32(bad), 0}, NF4, g)
		if g.Scale[0]-g.Scale[0] == 0 {
			t.Errorf("a group with %g has the scale %g", bad, g.Scale[0])
		}
	}
}
