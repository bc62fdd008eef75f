package kernels

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/target/targettest"
	"pgc/ir/tile"
)

// TestArgmax runs a product that keeps the greatest of every 64 columns natively and in the interpreter, and compares
// with the columns.
func TestArgmax(t *testing.T) {
	const n, k = 203, 19
	rng := rand.New(rand.NewPCG(7, 7))
	x, bias, w := randoms(rng, k), randoms(rng, n), randoms(rng, n*k)
	for i := range k { // equals within a task and in another, and NaN
		w[70*k+i], w[75*k+i], w[140*k+i] = 3*x[i], 3*x[i], 3*x[i]
	}
	bias[70], bias[75], bias[140], bias[199] = 0, 0, 0, float32(math.NaN())
	panels, _ := pack(w, n, k, tile.F32)
	s := &Matmul{M: Const(1), K: k, XStride: k, Parts: []Part{{Blocks: 1, N: n, Elem: tile.F32, Accs: 1,
		Extra: []Operand{{Elem: tile.F32, Strides: []int64{0, 0, 1}}},
		Exprs: []*scalar.Expr{scalar.Fn(scalar.Add, scalar.X(0, scalar.F32), scalar.X(1, scalar.F32))},
		Outs:  []Out{{Elem: tile.F32}}, Argmax: ArgmaxColumns(n)}}}
	pairs := s.Parts[0].Partials()
	raw := func(v []float32) tile.Buffer {
		b, err := binary.Append(nil, binary.LittleEndian, v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, tgt := range targettest.Runnable(t) {
		kern, code := build(t, tgt, s)
		if tasks := kern.Tasks[0].Size.N; pairs != 4 || tasks != pairs {
			t.Fatalf("%s: %d tasks, %d pairs, expected 4", tgt.Name, tasks, pairs)
		}
		got := make([]float32, 2*pairs)
		run(t, kern, code, nil, got, x, panels, bias)
		out := tile.Buffer(make([]byte, 8*pairs))
		args := make([]any, len(kern.Args))
		for i, a := range kern.Args {
			args[i] = out
			if a.Kind == ArgIn {
				args[i] = raw([][]float32{x, panels.([]float32), bias}[a.Index])
			}
		}
		if err := tile.Run(kern.Tile, args, pairs); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(out, raw(got)) {
			t.Errorf("%s: native pairs %x, the interpreter's %x", tgt.Name, raw(got), out)
		}
		for task := range int(pairs) {
			best, at := math.Inf(-1), -1
			for c := task * 64; c < min(n, task*64+64); c++ {
				sum := float64(bias[c])
				for i := range k {
					sum += float64(x[i]) * float64(w[c*k+i])
				}
				if math.IsNaN(sum) {
					best, at = math.Inf(1), -1
					break
				}
				if sum > best {
					best, at = sum, c
				}
			}
			place := int32(math.Float32bits(got[int(pairs)+task]))
			if int(place) != at || !(float64(got[task]) == best || math.Abs(float64(got[task])-best) < 1e-4) {
				t.Errorf("%s task %d: %g at %d, want %g at %d", tgt.Name, task, got[task], place, best, at)
			}
		}
	}
}

// TestArgmaxIsSeveral: a backend that asks for the one kernel that an argmax is not gets an error, which says what to do.
func TestArgmaxIsSeveral(t *testing.T) {
	s := &Argmax{Matmul: &Matmul{M: Const(1), K: 8, XStride: 8, Parts: []Part{{Blocks: 1, N: 16, Elem: tile.F32, Accs: 1,
		Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)}, Outs: []Out{{Elem: tile.F32}}}}}}
	all, err := target.FindAll(target.Default)
	if err != nil {
		t.Fatal(err)
	}
	for _, tgt := range all {
		if _, err := Build("argmax_7", s, tgt); err == nil || !strings.Contains(err.Error(), "kernel argmax_7: ") || !strings.Contains(err.Error(), "fuse-argmax") {
			t.Errorf("%s: %v", tgt.Name, err)
		}
	}
}
