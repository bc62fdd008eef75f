package weights

import (
	"io"
	"math"
	"strings"
	"testing"

	"pgc/ir"
	"pgc/ir/floats"
	"pgc/ir/quant"
)

// TestNotFinite finds an infinite value or a NaN at every place of pieces of every length, and nothing in finite ones.
func TestNotFinite(t *testing.T) {
	for _, d := range []ir.DType{ir.F32, ir.BF16, ir.F16} {
		for n := range 19 {
			v := make([]float32, n)
			for i := range v {
				v[i] = []float32{65504, -65504, 0, float32(math.Copysign(0, -1)), 6e-8}[i%5]
			}
			if at := notFinite(floats.Append(nil, v, d), d); at != -1 {
				t.Errorf("%v: %d finite values, found one that is not at %d", d, n, at)
			}
			for i := range v {
				for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
					was := v[i]
					v[i] = float32(bad)
					if at := notFinite(floats.Append(nil, v, d), d); at != i {
						t.Errorf("%v: %v at %d of %d values found at %d", d, bad, i, n, at)
					}
					v[i] = was
				}
			}
		}
	}
}

// TestWriteFinite refuses values that are infinite or NaN, or become so in their storage type, in every layout.
func TestWriteFinite(t *testing.T) {
	const rows, cols = 37, 19
	const broken = "tensor w has a value that is infinite or NaN in row 23, expected finite values"
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	group := ir.Quantized(quant.Int8, 32)
	for _, c := range []struct {
		stored ir.DType
		value  float32
		says   string
	}{
		{ir.F32, nan, broken}, {ir.BF16, nan, broken}, {ir.F16, nan, broken}, {group, nan, broken},
		{ir.F32, inf, broken}, {ir.BF16, inf, broken}, {ir.F16, inf, broken}, {group, inf, broken},
		{ir.F16, 65536, "tensor w holds numbers over 65504, which f16 cannot"},
		{ir.BF16, math.MaxFloat32, "tensor w holds numbers over 3.3e38, which bf16 cannot"},
		{ir.F32, math.MaxFloat32, ""}, {ir.BF16, 65536, ""},
	} {
		v := make([]float32, rows*cols)
		v[23*cols+11] = c.value
		w := &ir.Value{Key: "w", Type: ir.T(c.stored, ir.Dims(rows, cols)...)}
		plain, packed, inColumns := &Plan{}, &Plan{}, &Plan{}
		plain.Plain(w)
		inColumns.Matrix(Matrix{W: w, Layout: columns(1, rows, cols), Blocks: 1})
		packed.Matrix(Matrix{W: w, Layout: panels(1, 1, rows, cols), Blocks: 1})
		for _, plan := range []*Plan{plain, packed, inColumns} {
			if plan != packed && c.stored.IsQuantized() {
				continue
			}
			tensor := Tensor{DType: ir.F32, Shape: []int{rows, cols}, Data: floats.Append(nil, v, ir.F32)}
			err := plan.Write(io.Discard, counting{tensor}, Writing{})
			if err == nil && c.says != "" || err != nil && (c.says == "" || !strings.HasPrefix(err.Error(), c.says)) {
				t.Errorf("%v stored as %v: %v, expected %q", c.value, plan.Weights()[0], err, c.says)
			}
		}
	}
}
