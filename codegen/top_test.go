package codegen_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgc/codegen"
	"pgc/codegen/cpu"
	"pgc/frontend/text"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/target/targettest"
	"pgc/passes"
	"pgc/runtime/engine"
	"pgc/runtime/native"
)

// TestTop compares the greatest elements of rows, among them equal ones, infinite ones and NaN, with the evaluator's; on
// one thread and on three.
func TestTop(t *testing.T) {
	for _, size := range [][3]int{{2, 7, 1024}, {3, 1031, 100}, {1, 2240, 1024}, {4, 64, 64}, {2, 5000, 1}} {
		rows, n := size[0], size[1]
		k := min(size[2], n)
		source := fmt.Sprintf(`func @f(%%x: input f32[%d,%d]) {
  %%0, %%1, %%2 = top %%x {k=%d} : f32[%[1]d,%[4]d], i32[%[1]d,%[4]d], f32[%[1]d,1]
  return y0=%%0 : f32[%[1]d,%[4]d], y1=%%1 : i32[%[1]d,%[4]d], y2=%%2 : f32[%[1]d,1]
}`, rows, n, size[2], k)
		m, err := text.Parse("top.pgir", source)
		if err != nil {
			t.Fatal(err)
		}
		plain := m.Clone().Func("f")
		if err := passes.Optimize(m, passes.Options{Check: true}); err != nil {
			t.Fatal(err)
		}
		for _, tgt := range targettest.Runnable(t) {
			r, err := codegen.Compile(t.Context(), m, cpu.Backend(tgt))
			if err != nil {
				t.Fatal(err)
			}
			code, err := native.LoadCode(r.Code.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			defer code.Close()
			for _, threads := range []int{1, 3} {
				e, err := engine.New(r.Program, code.Bytes(), nil, threads)
				if err != nil {
					t.Fatal(err)
				}
				rng := rand.New(rand.NewPCG(7, uint64(n)))
				for kind, special := range [][]float64{{}, {1, 2}, {math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1)}, {math.Inf(-1)}} {
					x, in := make([]float32, rows*n), eval.New(ir.F32, rows, n)
					for i := range x {
						x[i] = float32(5 * rng.NormFloat64())
						if len(special) > 0 {
							x[i] = float32(special[rng.IntN(len(special))])
						}
						in.Data[i] = float64(x[i])
					}
					want, err := eval.Func(plain, map[string]*eval.Tensor{"x": in}, nil)
					if err != nil {
						t.Fatal(err)
					}
					put(t, e, "f", "x", x...)
					call(t, e, "f", nil)
					check := func(name string, got []float64, tol ir.Tol) {
						x := &eval.Tensor{DType: want[name].DType, Shape: want[name].Shape, Data: got}
						if _, miss := eval.Compare(x, want[name], tol); miss != nil {
							t.Errorf("%s, %v, kind %d, %d threads: %s: %v", tgt.Name, size, kind, threads, name, miss)
						}
					}
					check("y0", doubles(get[float32](t, e, "f", "y0", rows*k)), ir.Tol{})
					check("y1", doubles(get[int32](t, e, "f", "y1", rows*k)), ir.Tol{})
					check("y2", doubles(get[float32](t, e, "f", "y2", rows)), ir.OpTop.Tol)
				}
				e.Close()
			}
		}
	}
}

func doubles[T float32 | int32](list []T) []float64 {
	out := make([]float64, len(list))
	for i, v := range list {
		out[i] = float64(v)
	}
	return out
}
