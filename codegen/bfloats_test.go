package codegen_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/target/targettest"
)

// TestBFloatProducts compares products of bfloat16 with the evaluator, and their bits between a row alone and the same
// row among others, between one thread and two, and, as no value here is subnormal, between instruction sets, but for
// arm64's bf16 and AMX, whose sums are their own (TestOddSums and TestBFloatTiles of package kernels).
func TestBFloatProducts(t *testing.T) {
	for i, shape := range [][3]int{{301, 290, 67}, {205, 301, 35}, {9, 256, 33}, {7, 37, 45}, {1, 1, 1}, {13, 515, 300}} {
		rows, k, n := shape[0], shape[1], shape[2]
		rng := rand.New(rand.NewPCG(uint64(rows), uint64(k)))
		x, err := eval.Random(rng, ir.T(ir.F32, ir.Dims(rows, k)...), nil, ir.Range{Lo: -1, Hi: 1})
		if err != nil {
			t.Fatal(err)
		}
		var first []float32
		for _, tgt := range targettest.Runnable(t) {
			for _, threads := range []int{1, 2}[:2-min(i, 1)] {
				name := fmt.Sprintf("%s %v, %d threads", tgt.Name, shape, threads)
				m := gatedModule(t, "bf16", "bf16", k, n)
				w := randomWeights(t, m)
				want := reference(t, m.Func("many"), map[string]*eval.Tensor{"many.x": x}, w, map[string]int{"S": rows})["many.y"]
				e := compiled(t, m, w, tgt, threads)
				put(t, e, "many", "many.x", x.Float32()...)
				call(t, e, "many", map[string]int{"S": rows})
				got := get[float32](t, e, "many", "many.y", rows*n)
				if worst := compare(got, want); !(worst < 2e-6) {
					t.Errorf("%s: error %g of the largest value", name, worst)
				}
				last := rows - 1
				put(t, e, "one", "one.x", x.Float32()[last*k:]...)
				call(t, e, "one", nil)
				if alone := get[float32](t, e, "one", "one.y", n); !slices.Equal(alone, got[last*n:]) {
					t.Errorf("%s: the last row differs alone and among others", name)
				}
				if tgt.Has("bf16", "amx-bf16") {
					continue
				}
				if first == nil {
					first = got
				}
				for i, v := range got {
					if math.Float32bits(v) != math.Float32bits(first[i]) {
						t.Fatalf("%s: element %d is %g, %g on the first instruction set", name, i, v, first[i])
					}
				}
			}
		}
	}
}
