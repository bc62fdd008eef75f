package floats

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgc/ir"
)

// TestRoundTrip decodes every 16-bit float, and encoding gives its bits again; NaNs stay NaNs.
func TestRoundTrip(t *testing.T) {
	for _, d := range []ir.DType{ir.BF16, ir.F16} {
		var data []byte
		for i := range 1 << 16 {
			data = append(data, byte(i), byte(i>>8))
		}
		v := make([]float32, 1<<16)
		Decode(v, data, d)
		again := Append(nil, v, d)
		for i, x := range v {
			same := again[2*i] == data[2*i] && again[2*i+1] == data[2*i+1]
			if x != x {
				y := make([]float32, 1)
				Decode(y, again[2*i:], d)
				same = y[0] != y[0]
			}
			if !same {
				t.Fatalf("%s: %04x comes back as %02x%02x", d, i, again[2*i+1], again[2*i])
			}
		}
	}
}

// TestRound rounds halfway cases to even and past the largest value to infinity.
func TestRound(t *testing.T) {
	for _, c := range []struct {
		d       ir.DType
		v, want float32
	}{
		{ir.BF16, 1 + 1.0/256, 1}, {ir.BF16, 1 + 3.0/256, 1 + 4.0/256}, {ir.BF16, 1 + 1.0/255, 1 + 1.0/128},
		{ir.F16, 1 + 1.0/2048, 1}, {ir.F16, 65520, float32(math.Inf(1))}, {ir.F16, 65519, 65504},
		{ir.F32, 1 + 1.0/(1<<23), 1 + 1.0/(1<<23)},
	} {
		v := []float32{c.v}
		if Round(v, c.d); v[0] != c.want {
			t.Errorf("%s: %g becomes %g, expected %g", c.d, c.v, v[0], c.want)
		}
	}
}

// TestAddProduct compares the vector loop with the plain one, which differ where a product is rounded on its own, or
// twice.
func TestAddProduct(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 40 {
		d, a, l := make([]float32, n), make([]float32, n), math.Float32frombits(0x3f800001+r.Uint32N(64))
		for i := range d {
			a[i] = math.Float32frombits(0x3f800001 + r.Uint32N(64)) // products end in bits far below
			d[i] = math.Float32frombits(0x4b000000+r.Uint32N(4)) * [2]float32{1, -1}[i%2]
		}
		want := make([]float32, n)
		for i := range want {
			want[i] = fma(l, a[i], d[i])
			exact := new(big.Float).SetPrec(200).SetFloat64(float64(l))
			exact.Mul(exact, big.NewFloat(float64(a[i]))).Add(exact, big.NewFloat(float64(d[i])))
			if f, _ := exact.Float32(); f != want[i] {
				t.Fatalf("%g·%g + %g is %g, expected %g", l, a[i], d[i], want[i], f)
			}
		}
		if AddProduct(d, a, l); !slices.Equal(d, want) {
			t.Fatalf("%d elements: %v, expected %v", n, d, want)
		}
	}
}
