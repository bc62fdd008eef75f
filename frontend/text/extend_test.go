package text

import (
	"math"
	"testing"

	"pgc/frontend"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/scalar"
)

// softsign is all that adding an elementwise operation takes.
var softsign = ir.Define(ir.OpDef{Name: "softsign", Doc: "x/(1+|x|)", In: []ir.Operands{{Name: "x", Types: ir.Floats}}, Tol: ir.Tol{ULP: 2},
	Scalar: func(x []*scalar.Expr) *scalar.Expr {
		return scalar.Fn(scalar.Div, x[0], scalar.Fn(scalar.Add, scalar.C(1), scalar.Fn(scalar.Abs, x[0])))
	}})

// The new operation has inference, text, evaluation, fusion, a DSL function and conformance cases.
func TestAnElementwiseOperationIsOneVariable(t *testing.T) {
	m, err := Parse("f.pgir", `
symbol S <= 9
func @f(%x: input f32[S,3], %w: weight "w" bf16[3]) {
  %0 = softsign %x : f32[S,3]
  %1 = map %0, %w {exprs=[softsign(mul($0, $1))]} : f32[S,3]
  return y=%1
}`)
	if err != nil {
		t.Fatal(err)
	}
	built, err := frontend.Build(func(m *frontend.Module) {
		m.Func("f", func(f *frontend.Func) {
			f.Return("y", frontend.Apply(softsign, f.Input("x", ir.F32, m.Symbol("S", 9), 3)))
		})
	})
	if err != nil || built.Func("f").Ops[0].Def != softsign {
		t.Errorf("the DSL does not build it: %v", err)
	}
	x := eval.FromFloat32([]float32{1, -2, 0, 5, 0.5, -1}, 2, 3)
	w := &eval.Tensor{DType: ir.BF16, Shape: []int{3}, Data: []float64{2, 4, 8}}
	out, err := eval.Func(m.Funcs[0], map[string]*eval.Tensor{"x": x, "w": w}, map[string]int{"S": 2})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range out["y"].Data {
		s := func(v float64) float64 { return v / (1 + math.Abs(v)) }
		if want := s(s(x.Data[i]) * w.Data[i%3]); math.Abs(v-want) > 1e-15 {
			t.Errorf("element %d is %g, want %g", i, v, want)
		}
	}
	cases, err := eval.Cases(softsign)
	if err != nil || len(cases) == 0 {
		t.Errorf("%d conformance cases, %v", len(cases), err)
	}
}
