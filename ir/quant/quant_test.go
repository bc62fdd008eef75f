package quant

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// groups are groups of many lengths and kinds.
func groups(rng *rand.Rand) (out [][]float32) {
	for _, n := range []int{1, 2, 7, 8, 9, 31, 32, 64, 100, 127, 128} {
		for kind := range 8 {
			x := make([]float32, n)
			for i := range x {
				v := rng.NormFloat64()
				switch kind {
				case 1:
					v *= 1e-37
				case 2:
					v *= 3e38 / 4
				case 3:
					v = v*1e-3 + 77
				case 4:
					v = math.Trunc(v)
				case 5:
					v = -3.3
				case 6:
					v = math.Copysign(0, v)
				case 7:
					v = 3.3e38 * float64(1-2*(i&1))
				}
				x[i] = float32(min(max(v, -3.3e38), 3.3e38))
			}
			out = append(out, x)
		}
	}
	return out
}

// TestVectorsGiveTheSameBits compares the loops of this machine's vectors with those in Go.
func TestVectorsGiveTheSameBits(t *testing.T) {
	if !vectors {
		t.Skip("this machine has no vectors that the package uses")
	}
	defer func() { vectors = true }()
	rng := rand.New(rand.NewPCG(1, 2))
	weight := make([]float32, maxGroup)
	for i := range weight {
		weight[i] = rng.Float32()
	}
	type result struct {
		q    [3][]byte
		f    [5]float32
		bits [5]uint32
	}
	all := func(x []float32) (r result) {
		for i := range r.q {
			r.q[i] = make([]byte, len(x))
		}
		r.f[0], r.f[1] = Asymmetric4(x, r.q[0])
		r.f[2], r.f[3] = search4(x, weight, r.q[1])
		r.f[4] = Symmetric8(x, r.q[2])
		for i, v := range r.f {
			r.bits[i] = math.Float32bits(v)
		}
		return r
	}
	for _, x := range groups(rng) {
		vectors = true
		a := all(x)
		vectors = false
		b := all(x)
		for i := range a.q {
			if !bytes.Equal(a.q[i], b.q[i]) || a.bits != b.bits {
				t.Fatalf("%d values %v…: vectors give %v, Go gives %v", len(x), x[:min(4, len(x))], a, b)
			}
		}
	}
}

// TestGroups holds every group to what it promises: values of 8 bits are off by half a step at most, and those of 4
// bits are finite and together no worse than with the range of the group as scale.
func TestGroups(t *testing.T) {
	for _, x := range groups(rand.New(rand.NewPCG(3, 4))) {
		lo, hi := bounds(x)
		g := NewGroups(len(x), maxGroup)
		(*Rounding)(nil).Row(x, Int8, g)
		limit := float64(top(x))/254*1.0001 + Smallest
		for i, v := range x {
			if e := math.Abs(float64(g.Value(i, Int8)) - float64(v)); !(e <= limit) {
				t.Fatalf("8 bits: %g of a group from %g to %g became %g, expected an error of at most %g", v, lo, hi, g.Value(i, Int8), limit)
			}
		}
		(*Rounding)(nil).Row(x, Int4, g)
		for i, v := range x {
			if got := g.Value(i, Int4); got-got != 0 {
				t.Fatalf("4 bits: %g of a group from %g to %g became %g", v, lo, hi, got)
			}
		}
		q := make([]byte, len(x))
		ranged, fitted := assign(x, nil, q, clamped(hi/15-lo/15), clamped(lo)).squared, assign(x, nil, q, g.Scale[0], g.Min[0]).squared
		if fitted > ranged {
			t.Fatalf("the squared error of a group from %g to %g is %g, that of its range %g", lo, hi, fitted, ranged)
		}
	}
}

// TestFormats holds every row of the table to what those who read it rely on.
func TestFormats(t *testing.T) {
	for _, f := range Formats() {
		r := f.Traits()
		if Named(r.Name) != f || r.Stem == "" || r.Bits != 4 && r.Bits != 8 || r.encode == nil {
			t.Errorf("%s: the row is %+v", f, r)
		}
		if (r.Codes == Lookup) != (len(r.Levels) == 1<<r.Bits) || !slices.IsSorted(r.Levels) {
			t.Errorf("%s: %d levels, expected one for each code of a lookup, in increasing order", f, len(r.Levels))
		}
		for _, n := range r.Lengths {
			if n <= 0 || n > maxGroup || n%16 != 0 {
				t.Errorf("%s: groups of %d, expected at most %d and a multiple of the 16 values that loops take at once", f, n, maxGroup)
			}
			if r.Integers && !slices.Contains(Activation.Traits().Lengths, n) {
				t.Errorf("%s: products of integers in groups of %d, which activations do not have", f, n)
			}
		}
	}
}

// TestNaN shows that a value that is infinite or NaN gives a scale that is not finite, wherever it is.
func TestNaN(t *testing.T) {
	for _, bad := range []float64{math.Inf(1), math.Inf(-1), math.NaN()} {
		for at := range 13 {
			x := make([]float32, 13)
			for i := range x {
				x[i] = float32(i)
			}
			x[at] = float32(bad)
			q := make([]byte, len(x))
			s4, m4 := Asymmetric4(x, q)
			s, m := search4(x, nil, q)
			s8 := Symmetric8(x, q)
			if (s4-s4 == 0 && m4-m4 == 0) || (s-s == 0 && m-m == 0) || s8-s8 == 0 {
				t.Errorf("%g at %d: scales %g, %g and %g", bad, at, s4, s, s8)
			}
		}
	}
}

// TestConstant shows that constants survive, as bfloat16 has them.
func TestConstant(t *testing.T) {
	for _, v := range []float32{0, 1, -2.5, 3e38, 1e-30} {
		x := []float32{v, v, v, v, v, v, v, v, v}
		q := make([]byte, len(x))
		for _, f := range []func() (float32, float32){func() (float32, float32) { return Asymmetric4(x, q) }, func() (float32, float32) { return search4(x, nil, q) }} {
			s, m := f()
			if s != 0 || m != BF16(v) || affineValue(q[3], s, m) != BF16(v) {
				t.Errorf("%g: scale %g, min %g, value %g", v, s, m, affineValue(q[3], s, m))
			}
		}
	}
}

// TestMomentsMatter shows that rounding with moments of the inputs makes the error of the products smaller than
// without, for inputs that are correlated and have outlier channels, on rows that the moments do not hold.
func TestMomentsMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, k := range []int{72, 192, 600} {
		mix := make([]float32, 12*k) // inputs lie near a space of 12 dimensions
		for i := range mix {
			mix[i] = float32(rng.NormFloat64())
			if i%k%37 == 3 {
				mix[i] *= 10
			}
		}
		inputs := func(n int) matrix {
			x := matrix{n, k, make([]float32, n*k)}
			for r := range n {
				for d := range 12 {
					c := float32(rng.NormFloat64())
					for i := range k {
						x.row(r)[i] += c * mix[d*k+i]
					}
				}
				for i := range k {
					x.row(r)[i] += float32(rng.NormFloat64())
				}
			}
			return x
		}
		w := matrix{16, k, make([]float32, 16*k)}
		for i := range w.x {
			w.x[i] = float32(rng.NormFloat64())
		}
		m := NewMoments(k)
		for range 3 {
			m.Add(inputs(203).x)
		}
		fresh := inputs(64)
		want := product(fresh, w)
		plain := error4(want, product(fresh, read(w, nil)))
		search := error4(want, product(fresh, read(w, &Rounding{Search: true})))
		with := error4(want, product(fresh, read(w, &Rounding{Inputs: m})))
		t.Logf("k = %d: squared error of products %.4g plain, %.4g with search, %.4g with moments", k, plain, search, with)
		if !(with < 0.5*plain) {
			t.Errorf("k = %d: error %.4g with moments, %.4g without", k, with, plain)
		}
		if nothing := error4(double(w.x), double(read(w, &Rounding{Inputs: NewMoments(k)}).x)); !(nothing < 0.02) {
			t.Errorf("k = %d: moments of no rows give an error of %.4g", k, nothing)
		}
	}
}
