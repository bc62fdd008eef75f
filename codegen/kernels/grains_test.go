package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgc/codegen/packing"
	"pgc/ir/quant"
	"pgc/ir/scalar"
	"pgc/ir/target/targettest"
	"pgc/ir/tile"
)

// TestGrains runs kernels with every combination of the coarsest, the finest and some other grains: how much a task takes
// changes no bit.
func TestGrains(t *testing.T) {
	const k = 130
	rng := rand.New(rand.NewPCG(11, 12))
	x0 := []*scalar.Expr{scalar.X(0, scalar.F32)}
	for _, tgt := range targettest.Runnable(t) {
		check := func(name string, s Spec, out int, ins ...any) {
			t.Helper()
			kern, code := build(t, tgt, s)
			if m, ok := s.(*Matmul); len(kern.Grains) == 0 && !(ok && m.M.N == 7) { // few rows may have a panel a task already
				t.Errorf("%s on %s has no grains", name, tgt.Name)
			}
			tried := [][]int64{nil}
			for _, g := range kern.Grains {
				most := g.Most()
				var longer [][]int64
				for _, head := range tried {
					for _, n := range slices.Compact([]int64{most, max(1, most-1), max(1, most/2), 1}) {
						longer = append(longer, append(slices.Clone(head), n))
					}
				}
				tried = longer
			}
			var first []float32
			for _, grains := range tried {
				got := make([]float32, out)
				runGrains(t, kern, code, nil, grains, got, ins...)
				if first == nil {
					first = got
				}
				if !slices.EqualFunc(got, first, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }) {
					t.Errorf("%s on %s: grains %v and %v differ", name, tgt.Name, grains, tried[0])
				}
			}
		}
		for _, f := range formats {
			for _, rows := range []int64{1, 7, 70} {
				const n = 400
				s := &Matmul{M: Const(rows), K: k, XStride: k, X: f.x, BF16: f.bf16, Parts: []Part{{Blocks: 1, N: n, Elem: f.elem, Group: f.w, Accs: 1,
					Exprs: x0, Outs: []Out{{Elem: tile.F32, Strides: []int64{n, 0, 1}}}}}}
				var x any = randoms(rng, int(rows*k))
				switch {
				case f.x.Len > 0:
					x = rowBytes(rng, rows, k, f.x.Len)
				case f.bf16:
					x = floatBytes(rng, tile.BF16, rows*k)
				}
				w := floatBytes(rng, f.elem, packing.Len(1, n, packing.PaddedK(k, f.bf16)))
				if f.w.Len > 0 {
					w = groupBytes(rng, f.w, n, k)
				}
				check(fmt.Sprintf("%s, %d rows", f.name, rows), s, int(rows*n), x, w)
			}
		}

		in := []Operand{{Elem: tile.F32, Strides: []int64{1100, 1}}}
		check("map", &Map{Dims: []Size{Const(30), Const(1100)}, In: in, Exprs: []*scalar.Expr{scalar.Fn(scalar.Exp, scalar.X(0, scalar.F32))},
			Outs: []Out{{Elem: tile.F32, Strides: []int64{1100, 1}}}}, 33_000, randoms(rng, 33_000))
		check("map of one dimension", &Map{Dims: []Size{Const(30_000)}, In: []Operand{{Elem: tile.F32, Strides: []int64{1}}}, Exprs: x0,
			Outs: []Out{{Elem: tile.F32, Strides: []int64{1}}}}, 30_000, randoms(rng, 30_000))
		check("row", &Row{Outer: []Size{Const(30)}, C: Const(1100), In: in, Reduce: []Reduction{{Kind: scalar.Sum, Expr: scalar.X(0, scalar.F32)}},
			Expr: scalar.Fn(scalar.Mul, scalar.X(0, scalar.F32), scalar.X(1, scalar.F32)), Out: Out{Elem: tile.F32, Strides: []int64{1100, 1}}}, 33_000, randoms(rng, 33_000))
		const positions, heads, width = 600, 8, 72
		a := &Attention{S: Const(positions), T: Const(positions), G: heads, R: 1, H: width, Scale: .1, KV: tile.F32, Elem: tile.F32}
		a.Q, a.K, a.V = [4]int64{heads * width, width, width, 1}, [3]int64{heads * width, width, 1}, [3]int64{heads * width, width, 1}
		a.Out = a.Q
		n := positions * heads * width
		check("attention", a, n, randoms(rng, n), randoms(rng, n), randoms(rng, n))

		// Few rows are cut.
		const long = 9_000
		wide := []Operand{{Elem: tile.F32, Strides: []int64{long, 1}}}
		check("map of few rows", &Map{Dims: []Size{Const(3), Const(long)}, In: wide, Exprs: x0, Outs: []Out{{Elem: tile.F32, Strides: []int64{long, 1}}}},
			3*long, randoms(rng, 3*long))
		check("quantized row", &Row{Outer: []Size{Const(3)}, C: Const(long), In: wide, Expr: x0[0], Out: Out{Elem: tile.F32, Strides: []int64{long, 1}},
			Group: Group{Format: quant.Int8, Len: 128}}, int(3*quant.RowLayout(long, 128).Bytes/4), randoms(rng, 3*long))
		for _, h := range []int64{40, 100} {
			v := &Attention{S: Const(1), T: Const(positions), G: heads, R: 1, H: h, Scale: .1, KV: tile.F32, Elem: tile.F32, Step: AttentionValues}
			v.Q, v.K, v.V = [4]int64{heads * h, h, h, 1}, [3]int64{heads * h, h, 1}, [3]int64{heads * h, h, 1}
			v.Out = v.Q
			work := randoms(rng, int(v.WorkLen()))
			check(fmt.Sprintf("attention's values, heads of %d", h), v, int(heads*h), work, randoms(rng, int(positions*heads*h)))
		}
	}
}
