package codegen_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgc/frontend/text"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/target/targettest"
)

// gatedModule rounds x to a type and multiplies it by the two matrices of a gated unit, stored as dtype, for many rows
// and for one.
func gatedModule(t *testing.T, dtype, operand string, k, n int) *ir.Module {
	t.Helper()
	body := func(name, rows string) string {
		return fmt.Sprintf(`func @%s(
    %%%[1]s.x: input f32[%[2]s,%[3]d],
    %%gate: weight "gate" %[5]s[%[4]d,%[3]d],
    %%up: weight "up" %[5]s[%[4]d,%[3]d]) {
  %%0 = convert %%%[1]s.x {dtype=%[6]s} : %[6]s[%[2]s,%[3]d]
  %%1 = convert %%0 {dtype=f32} : f32[%[2]s,%[3]d]
  %%2 = convert %%gate {dtype=f32} : f32[%[4]d,%[3]d]
  %%3 = convert %%up {dtype=f32} : f32[%[4]d,%[3]d]
  %%4 = einsum %%1, %%2 {spec="ab,cb->ac"} : f32[%[2]s,%[4]d]
  %%5 = einsum %%1, %%3 {spec="ab,cb->ac"} : f32[%[2]s,%[4]d]
  %%6 = mul %%4, %%5 : f32[%[2]s,%[4]d]
  return %[1]s.y=%%6 : f32[%[2]s,%[4]d]
}
`, name, rows, k, n, dtype, operand)
	}
	m, err := text.Parse("gated.pgir", "symbol S <= 400\n\n"+body("many", "S")+"\n"+body("one", "1"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestIntegerProducts compares products of quantized rows and matrices with the evaluator, whose integers are the same,
// and a row alone with the same row among others, bit for bit. Extreme cases have the greatest and the least integers
// everywhere, of every pattern of signs within a word: sums of products that an instruction could saturate.
func TestIntegerProducts(t *testing.T) {
	for _, tgt := range targettest.All(t) {
		for _, dtype := range []string{"i8g32", "i8g128", "i4g32", "i4g64", "i4g128"} {
			for n, shape := range [][3]int{{205, 300, 67}, {9, 256, 33}, {7, 37, 45}, {1, 16, 1}, {13, 515, 300}} {
				if n > 1 && !strings.HasSuffix(dtype, "32") {
					break // the length of groups changes loops, not their ends
				}
				extreme := shape[1] == 256
				rows, k, n := shape[0], shape[1], shape[2]
				name := fmt.Sprintf("%s %s %v", tgt.Name, dtype, shape)
				m := gatedModule(t, dtype, "i8"+dtype[2:], k, n)
				rng := rand.New(rand.NewPCG(uint64(rows), uint64(k)))
				w := randomWeights(t, m)
				x, err := eval.Random(rng, ir.T(ir.F32, ir.Dims(rows, k)...), nil, ir.Range{Lo: -1, Hi: 1})
				if err != nil {
					t.Fatal(err)
				}
				inputs := []*eval.Tensor{x}
				if extreme {
					fill(w["gate"], 1)
					fill(w["up"], -1)
					inputs = extremes(x.Shape)
				}
				e := compiled(t, m, w, tgt, 2)
				for i, x := range inputs {
					want := reference(t, m.Func("many"), map[string]*eval.Tensor{"many.x": x}, w, map[string]int{"S": rows})["many.y"]
					put(t, e, "many", "many.x", x.Float32()...)
					call(t, e, "many", map[string]int{"S": rows})
					got := get[float32](t, e, "many", "many.y", rows*n)
					worst := compare(got, want)
					t.Logf("%s, %d: worst error %.2g of the largest value", name, i, worst)
					if !(worst < 2e-6) {
						t.Errorf("%s, %d: error %g", name, i, worst)
					}
					last := rows - 1
					put(t, e, "one", "one.x", x.Float32()[last*k:]...)
					call(t, e, "one", nil)
					for j, v := range get[float32](t, e, "one", "one.y", n) {
						if v != got[last*n+j] {
							t.Fatalf("%s, %d: column %d of the last row is %g alone and %g among others", name, i, j, v, got[last*n+j])
						}
					}
				}
			}
		}
	}
}

// extremes are inputs whose integers are all 127 or -127: equal, with zeros, and of changing signs.
func extremes(shape []int) []*eval.Tensor {
	signs := []func(i int) bool{
		func(int) bool { return true }, func(int) bool { return false },
		func(i int) bool { return i%2 == 0 }, func(i int) bool { return i/2%2 == 0 }, func(i int) bool { return i/4%2 == 0 }, func(i int) bool { return i%3 == 0 },
	}
	var out []*eval.Tensor
	for _, positive := range signs {
		x := eval.New(ir.F32, shape...)
		for i := range x.Data {
			if x.Data[i] = -1; positive(i) {
				x.Data[i] = 1
			}
		}
		out = append(out, x)
	}
	zeros := eval.New(ir.F32, shape...)
	fill(zeros, 1)
	return append(out, zeros)
}

// fill makes a tensor's values alternate in blocks so that every group spans the greatest range: the value, and once in
// 32 zero, for minima and maxima to differ.
func fill(t *eval.Tensor, v float64) {
	for i := range t.Data {
		if t.Data[i] = v; i%32 == 0 {
			t.Data[i] = 0
		}
	}
}

// TestTwoGroupLengths quantizes the same rows twice, in groups of 32 and of 64, for products with matrices of either:
// two kernels that differ in the length of groups alone.
func TestTwoGroupLengths(t *testing.T) {
	const rows, k, n = 5, 192, 33
	body := ""
	for i, dtype := range []string{"i8g32", "i8g64"} {
		body += fmt.Sprintf(`  %%q%[1]d = convert %%x {dtype=%[2]s} : %[2]s[S,192]
  %%x%[1]d = convert %%q%[1]d {dtype=f32} : f32[S,192]
  %%w%[1]d = convert %%m%[1]d {dtype=f32} : f32[33,192]
  %%y%[1]d = einsum %%x%[1]d, %%w%[1]d {spec="ab,cb->ac"} : f32[S,33]
`, i, dtype)
	}
	m, err := text.Parse("groups.pgir", `symbol S <= 8

func @f(%x: input f32[S,192], %m0: weight "m0" i8g32[33,192], %m1: weight "m1" i8g64[33,192]) {
`+body+`  return y0=%y0 : f32[S,33], y1=%y1 : f32[S,33]
}
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tgt := range targettest.Runnable(t) {
		w := randomWeights(t, m)
		x, err := eval.Random(rand.New(rand.NewPCG(3, 2)), ir.T(ir.F32, ir.Dims(rows, k)...), nil, ir.Range{Lo: -1, Hi: 1})
		if err != nil {
			t.Fatal(err)
		}
		syms := map[string]int{"S": rows}
		want := reference(t, m.Func("f"), map[string]*eval.Tensor{"x": x}, w, syms)
		e := compiled(t, m, w, tgt, 2)
		put(t, e, "f", "x", x.Float32()...)
		call(t, e, "f", syms)
		for name, y := range want {
			if worst := compare(get[float32](t, e, "f", name, rows*n), y); !(worst < 2e-6) {
				t.Errorf("%s: %s: error %g", tgt.Name, name, worst)
			}
		}
	}
}

// TestFormats compares products of float32 rows with matrices in every type of groups, and rows looked up in such
// matrices, with the evaluator, whose weights are rounded likewise: many rows, few and one, and K that is no multiple
// of a group. A row of a product has the same bits alone and among others.
func TestFormats(t *testing.T) {
	const n = 45
	for _, d := range ir.Groups.List() {
		for _, k := range []int{37, 201} {
			m, err := text.Parse("formats.pgir", formatsText(d, n, k))
			if err != nil {
				t.Fatal(err)
			}
			w := randomWeights(t, m)
			for _, tgt := range targettest.Runnable(t) {
				e := compiled(t, m.Clone(), w, tgt, 2)
				check := func(f string, inputs map[string]*eval.Tensor, syms map[string]int, size int, tol float64) []float32 {
					for name, x := range inputs {
						if x.DType == ir.I32 {
							ids := make([]int32, len(x.Data))
							for i, v := range x.Data {
								ids[i] = int32(v)
							}
							put(t, e, f, name, ids...)
						} else {
							put(t, e, f, name, x.Float32()...)
						}
					}
					call(t, e, f, syms)
					got := get[float32](t, e, f, f+".y", size)
					if worst := compare(got, reference(t, m.Func(f), inputs, w, syms)[f+".y"]); !(worst <= tol) {
						t.Errorf("%s: @%s of %s, k %d: error %g of the largest value", tgt.Name, f, d, k, worst)
					}
					return got
				}
				x, err := eval.Random(rand.New(rand.NewPCG(4, uint64(k))), ir.T(ir.F32, ir.Dims(21, k)...), nil, ir.Range{Lo: -1, Hi: 1})
				if err != nil {
					t.Fatal(err)
				}
				first := func(rows int) *eval.Tensor {
					return &eval.Tensor{DType: ir.F32, Shape: []int{rows, k}, Data: x.Data[:rows*k]}
				}
				many := check("many", map[string]*eval.Tensor{"many.x": x}, map[string]int{"S": 21}, 21*n, 2e-6)
				few := check("few", map[string]*eval.Tensor{"few.x": first(3)}, nil, 3*n, 2e-6)
				one := check("one", map[string]*eval.Tensor{"one.x": first(1)}, nil, n, 2e-6)
				if !slices.Equal(many[:3*n], few) || !slices.Equal(few[:n], one) {
					t.Errorf("%s: products with %s, k %d: rows differ alone and among others", tgt.Name, d, k)
				}
				check("lookup", map[string]*eval.Tensor{"lookup.ids": {DType: ir.I32, Shape: []int{3}, Data: []float64{n - 1, 0, 17}}}, nil, 3*k, 0)
			}
		}
	}
}

// formatsText multiplies by a matrix in groups and looks rows up in it.
func formatsText(d ir.DType, n, k int) string {
	source := "symbol S <= 30\n"
	for _, f := range [][2]string{{"many", "S"}, {"few", "3"}, {"one", "1"}} {
		source += fmt.Sprintf(`
func @%[1]s(%%%[1]s.x: input f32[%[2]s,%[3]d], %%w: weight "w" %[5]s[%[4]d,%[3]d]) {
  %%0 = convert %%w {dtype=f32} : f32[%[4]d,%[3]d]
  %%1 = einsum %%%[1]s.x, %%0 {spec="ab,cb->ac"} : f32[%[2]s,%[4]d]
  return %[1]s.y=%%1 : f32[%[2]s,%[4]d]
}
`, f[0], f[1], k, n, d)
	}
	return source + fmt.Sprintf(`
func @lookup(%%lookup.ids: input i32[3], %%w: weight "w" %[3]s[%[2]d,%[1]d]) {
  %%0 = gather %%w, %%lookup.ids : %[3]s[3,%[1]d]
  %%1 = convert %%0 {dtype=f32} : f32[3,%[1]d]
  return lookup.y=%%1 : f32[3,%[1]d]
}
`, k, n, d)
}
