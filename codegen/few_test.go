package codegen_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgc/frontend/text"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/target"
	"pgc/ir/target/targettest"
)

// fewModule multiplies a row, and some rows, by two matrices as a gated unit has them, and by a third one with a bias.
// x is stored as operand says first, in groups of 8 bits or as bf16, or is f32.
func fewModule(t *testing.T, dtype, operand string, k, n int, counts []int) *ir.Module {
	t.Helper()
	var out strings.Builder
	for _, rows := range append([]int{1}, counts...) {
		next := 0
		line := func(format string, args ...any) string {
			fmt.Fprintf(&out, "  %%%d = %s\n", next, fmt.Sprintf(format, args...))
			next++
			return fmt.Sprintf("%%%d", next-1)
		}
		fmt.Fprintf(&out, "func @rows%d(\n    %%x%[1]d: input f32[%[1]d,%[2]d],\n", rows, k)
		for _, w := range []string{"gate", "up", "other"} {
			fmt.Fprintf(&out, "    %%%s: weight %[1]q %s[%d,%d],\n", w, dtype, n, k)
		}
		fmt.Fprintf(&out, "    %%bias: weight \"bias\" f32[%d]) {\n", n)
		x := fmt.Sprintf("%%x%d", rows)
		if operand != "f32" {
			x = line("convert %s {dtype=%s} : %s[%d,%d]", x, operand, operand, rows, k)
			x = line("convert %s {dtype=f32} : f32[%d,%d]", x, rows, k)
		}
		product := func(w string) string {
			if dtype != "f32" {
				w = line("convert %s {dtype=f32} : f32[%d,%d]", w, n, k)
			}
			return line(`einsum %s, %s {spec="ab,cb->ac"} : f32[%d,%d]`, x, w, rows, n)
		}
		gate, up := product("%gate"), product("%up")
		y := line("mul %s, %s : f32[%d,%d]", gate, up, rows, n)
		z := line("add %s, %%bias : f32[%d,%d]", product("%other"), rows, n)
		fmt.Fprintf(&out, "  return y%d=%s : f32[%d,%d], z%[1]d=%[5]s : f32[%[3]d,%[4]d]\n}\n\n", rows, y, rows, n, z)
	}
	m, err := text.Parse("few.pgir", out.String())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestFewRows multiplies two to eight rows, for which there is a schedule of its own, and compares every row bit for
// bit with the same row alone, and that with the evaluator.
func TestFewRows(t *testing.T) {
	counts := []int{3, 8}
	for _, tgt := range targettest.All(t) {
		for i, c := range []struct {
			dtype, operand string
			k, n           int
		}{
			{"f32", "f32", 45, 83}, {"bf16", "f32", 301, 67}, {"f16", "f32", 7, 16}, {"bf16", "bf16", 301, 67}, {"bf16", "bf16", 36, 32},
			{"i4g128", "f32", 201, 35}, {"i8g32", "f32", 45, 300},
			{"i8g32", "i8g32", 45, 67}, {"i8g128", "i8g128", 301, 300}, {"i4g32", "i8g32", 133, 19}, {"i4g128", "i8g128", 515, 67},
		} {
			if !strings.HasPrefix(c.operand, "i8") && !slices.ContainsFunc(targettest.Runnable(t), func(r target.Target) bool { return r.Name == tgt.Name }) {
				continue // the others differ in products of integers
			}
			name := fmt.Sprintf("%s %s × %s %d→%d", tgt.Name, c.operand, c.dtype, c.k, c.n)
			m := fewModule(t, c.dtype, c.operand, c.k, c.n, counts)
			w := randomWeights(t, m)
			plain := m.Func("rows1").Clone(&ir.Module{})
			e := compiled(t, m, w, tgt, 2)
			x, err := eval.Random(rand.New(rand.NewPCG(11, uint64(i))), ir.T(ir.F32, ir.Dims(8, c.k)...), nil, ir.Range{Lo: -1, Hi: 1})
			if err != nil {
				t.Fatal(err)
			}
			rows := x.Float32()
			alone := map[string][]float32{}
			worst := 0.0
			for r := range 8 {
				in := eval.New(ir.F32, 1, c.k)
				copy(in.Data, x.Data[r*c.k:])
				put(t, e, "rows1", "x1", rows[r*c.k:][:c.k]...)
				call(t, e, "rows1", nil)
				want := reference(t, plain, map[string]*eval.Tensor{"x1": in}, w, nil)
				for _, out := range []string{"y", "z"} {
					got := get[float32](t, e, "rows1", out+"1", c.n)
					worst = max(worst, compare(got, want[out+"1"]))
					alone[out] = append(alone[out], got...)
				}
			}
			t.Logf("%s: worst error %.2g of the largest value", name, worst)
			if !(worst < 1e-5) {
				t.Errorf("%s: error %g", name, worst)
			}
			for _, n := range counts {
				name := fmt.Sprint("rows", n)
				put(t, e, name, fmt.Sprint("x", n), rows[:n*c.k]...)
				call(t, e, name, nil)
				for _, out := range []string{"y", "z"} {
					for j, v := range get[float32](t, e, name, fmt.Sprint(out, n), n*c.n) {
						if want := alone[out][j]; math.Float32bits(v) != math.Float32bits(want) {
							t.Fatalf("%s: %s of %d rows: row %d, column %d is %g among others and %g alone", name, out, n, j/c.n, j%c.n, v, want)
						}
					}
				}
			}
		}
	}
}
