package ptx

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgc/codegen/kernels"
	"pgc/codegen/packing"
	"pgc/ir/quant"
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

var update = flag.Bool("update", false, "write what is emitted to testdata")

// Two small kernels as text: a map with one element a lane and a sum of rows. What the text computes is compared, too,
// so that -update cannot write a wrong one.
func TestText(t *testing.T) {
	cases := []rowCase{
		{"scale", &kernels.Map{Dims: []kernels.Size{overS, kernels.Const(45)}, In: []kernels.Operand{dense(45), column(tile.BF16)},
			Exprs: []*scalar.Expr{fn(scalar.Mul, f32(0), f32(1))}, Outs: []kernels.Out{{Elem: tile.F32, Strides: []int64{45, 1}}}},
			[]any{rowsOfS * 45, 45}, rowsOfS * 45},
		{"row_sum", &kernels.Row{Outer: []kernels.Size{overS}, C: kernels.Const(2048), In: []kernels.Operand{dense(2048)},
			Reduce: []kernels.Reduction{{Kind: scalar.Sum, Expr: f32(0)}}, Expr: f32(1), Out: kernels.Out{Elem: tile.F32, Strides: []int64{1, 0}}},
			[]any{rowsOfS * 2048}, rowsOfS},
	}
	rng := rand.New(rand.NewPCG(9, 8))
	for _, c := range cases {
		path := filepath.Join("testdata", c.name+".ptx")
		got := moduleOf([]*Kernel{one(t, c.name, c.spec)})
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		c.compare(t, rng)
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s (go test -update writes it):\n%s", path, d)
		}
	}
}

func TestTextIsDeterministic(t *testing.T) {
	module := func() string {
		var ks []*Kernel
		for _, c := range rowCases() {
			ks = append(ks, c.kernel(t))
		}
		for _, c := range append(fewCases(), manyCases()...) {
			ks = append(ks, c.kernels(t)...)
		}
		ks = append(ks, attentionKernels(t)...)
		return moduleOf(ks)
	}
	first := module()
	for range 5 {
		if module() != first {
			t.Fatal("the same kernels gave two texts")
		}
	}
}

// What the products' kernels are not made for is an error that says so.
func TestMatmulErrors(t *testing.T) {
	for want, change := range map[string]func(s *kernels.Matmul){
		"kernel m: PTX: weights are f16, expected bf16, int8 or int4": func(s *kernels.Matmul) { s.Parts[0].Elem = tile.F16 },
		"kernel m: PTX: weights are nf4, whose levels bfloat16 does not hold, expected bf16, int8 or int4": func(s *kernels.Matmul) {
			s.Parts[0].Group = packing.Group{Format: quant.NF4, Len: 64}
		},
		"kernel m: PTX: rows of x are integers, expected floats":                    func(s *kernels.Matmul) { s.X = packing.Group{Format: quant.Int8, Len: 32} },
		"kernel m: PTX: 3 accumulators, expected 1 or 2":                            func(s *kernels.Matmul) { s.Parts[0].Accs = 3 },
		"kernel m: PTX: an operand's columns are 2 elements apart, expected 0 or 1": func(s *kernels.Matmul) { s.Parts[0].Extra[1].Strides[2] = 2 },
		"kernel m: PTX: the result's columns are 3 elements apart, expected 1":      func(s *kernels.Matmul) { s.Parts[0].Outs[0].Strides[2] = 3 },
		"kernel m: PTX: kernel m_0: a scalar expression uses operand 3 of 3":        func(s *kernels.Matmul) { s.Parts[0].Exprs[0] = f32(3) },
	} {
		for _, c := range []productCase{fewCases()[0], manyCases()[0]} {
			s := c.spec()
			change(s)
			if _, err := build("m", s); err == nil || err.Error() != want {
				t.Errorf("%v: got %v, want %s", c, err, want)
			}
		}
	}
}
