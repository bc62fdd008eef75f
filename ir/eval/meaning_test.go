package eval

import (
	"math"
	"testing"

	"pgc/ir"
	"pgc/ir/scalar"
)

// What a backend computes elementwise, the lowered body in float32, is within the tolerance of every operation.
func TestLoweredBodiesMeetTheirTolerance(t *testing.T) {
	for _, def := range ir.Ops() {
		if !def.Elementwise() {
			continue
		}
		cases, err := Cases(def)
		if err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for _, c := range cases {
			var args []*scalar.Expr
			var data [][]float64
			for i, v := range c.Func.Params {
				args = append(args, scalar.X(i, v.Type.DType.Scalar()))
				data = append(data, c.Inputs[v.Name].broadcast(c.Want[0].Shape))
			}
			got := New(c.Want[0].DType, c.Want[0].Shape...)
			scalar.CompileF32(scalar.Lower(def.Scalar(args))).Run(data, got.Data)
			w, err := c.Check(got)
			if err != nil {
				t.Error(err)
			}
			worst = max(worst, w)
		}
		t.Logf("%-10s worst error %.2f of the tolerance, %d cases", def.Name, worst, len(cases))
	}
}

// attend is attention by its definition, a query at a time.
func attend(c *Case, a ir.AttentionAttrs) *Tensor {
	q, k, v := c.Inputs["x0"], c.Inputs["x1"], c.Inputs["x2"]
	n := len(q.Shape) - 4
	batch := count(q.Shape[:n])
	s, g, r, h, keys := q.Shape[n], q.Shape[n+1], q.Shape[n+2], q.Shape[n+3], k.Shape[n]
	prefix, _ := a.Prefix.Eval(c.Syms)
	offset, _ := a.Offset.Eval(c.Syms)
	out := New(ir.F32, q.Shape...)
	for head := range batch * s * g * r {
		sequence, row, group := head/(g*r*s), head/(g*r)%s, head/r%g
		p := offset + row
		if at := c.Inputs["x3"]; at != nil {
			p = int(at.Data[sequence]) + row
		}
		var weights []float64
		var seen []int
		for j := range keys {
			if a.Causal && (j > p || a.Window != 0 && j <= p-a.Window) && (p >= prefix || j >= prefix) {
				continue
			}
			dot := 0.0
			for i := range h {
				dot += q.Data[head*h+i] * k.Data[((sequence*keys+j)*g+group)*h+i]
			}
			dot *= a.Scale
			if a.Softcap != 0 {
				dot = a.Softcap * math.Tanh(dot/a.Softcap)
			}
			weights, seen = append(weights, math.Exp(dot)), append(seen, j)
		}
		total := 0.0
		for _, w := range weights {
			total += w
		}
		for n, j := range seen {
			for i := range h {
				out.Data[head*h+i] += weights[n] / total * v.Data[((sequence*keys+j)*g+group)*h+i]
			}
		}
	}
	return out
}

func TestAttentionAgainstItsDefinition(t *testing.T) {
	cases, err := Cases(ir.OpAttention)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		a := c.Func.Ops[0].Attrs.(ir.AttentionAttrs)
		if a.DType != ir.Invalid {
			continue // its rounding is convert's
		}
		worst, err := Compare(c.Want[0], attend(c, a), ir.Tol{Norm: 1e-12})
		if err != nil {
			t.Errorf("%s %s: %v", c.Name, ir.FormatAttrs(ir.OpAttention, a), err)
		}
		t.Logf("error %.2g of the largest for %s", worst*1e-12, ir.FormatAttrs(ir.OpAttention, a))
	}
}

// fused evaluates one fused operation on given numbers and returns the elements of its results, one after another.
func fused(t *testing.T, def *ir.OpDef, attrs any, in ...*Tensor) []float64 {
	t.Helper()
	f := (&ir.Module{}).NewFunc("f")
	inputs := map[string]*Tensor{}
	var params []*ir.Value
	for i, x := range in {
		name := string(rune('a' + i))
		params = append(params, f.AddParam(ir.Input, name, "", ir.T(x.DType, ir.Dims(x.Shape...)...)))
		inputs[name] = x
	}
	results := ir.NewBuilder(f).Add(def, attrs, params...).Results
	for i, v := range results {
		f.Return(ResultName(i, len(results)), v)
	}
	if err := f.Verify(); err != nil {
		t.Fatal(err)
	}
	out, err := Func(f, inputs, nil)
	if err != nil {
		t.Fatal(err)
	}
	var data []float64
	for _, r := range f.Results {
		data = append(data, out[r.Name].Data...)
	}
	return data
}

func near(t *testing.T, what string, got []float64, want ...float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
		return
	}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-12 {
			t.Errorf("%s[%d] = %.15g, want %.15g", what, i, got[i], want[i])
		}
	}
}

func TestFusedAgainstArithmetic(t *testing.T) {
	x := FromFloat32([]float32{1, 2, 3, 4, -1, 0.5}, 2, 3)
	o := ir.Operand
	sum := func(e *ir.Expr) ir.Reduction { return ir.Reduction{Kind: scalar.Sum, Expr: e} }

	near(t, "sum of squares over x", fused(t, ir.OpRow, ir.RowAttrs{Reduce: []ir.Reduction{sum(ir.Call(ir.OpMul, o(0), o(0)))},
		Out: ir.Call(ir.OpDiv, o(0), ir.Reduced(0))}, x), 1./14, 2./14, 3./14, 4/17.25, -1/17.25, 0.5/17.25)
	// The second reduction uses the first; the reduced expression does not mention the widest operand.
	near(t, "sum of 1s", fused(t, ir.OpRow, ir.RowAttrs{Reduce: []ir.Reduction{{Kind: scalar.Maximum, Expr: o(0)},
		sum(ir.Call(ir.OpDiv, ir.Reduced(0), ir.Reduced(0)))}, Out: ir.Call(ir.OpMul, ir.Reduced(1), ir.Reduced(0))}, x),
		9, 9, 9, 12, 12, 12)
	near(t, "two halves", fused(t, ir.OpMap, ir.MapAttrs{Exprs: []*ir.Expr{ir.Call(ir.OpNeg, o(0)), ir.Num(7)}}, x),
		-1, -2, -3, 7, 7, 7, -4, 1, -0.5, 7, 7, 7)
	near(t, "embedding", fused(t, ir.OpMap, ir.MapAttrs{Exprs: []*ir.Expr{ir.Call(ir.OpAdd, o(0), o(2))},
		Gathers: []ir.Gather{{Table: 0, Index: 1}}}, x, FromInt32([]int32{1, 0, 1}, 3), FromFloat32([]float32{10}, 1)),
		14, 9, 10.5, 11, 12, 13, 14, 9, 10.5)
	w := FromFloat32([]float32{1, 0, 0, 0, 1, 1}, 2, 3) // picks x0 and x1+x2
	near(t, "matmul", fused(t, ir.OpMatmul, ir.MatmulAttrs{Accs: 2, Epilogue: []*ir.Expr{ir.Call(ir.OpAdd, ir.Call(ir.OpMul, ir.Acc(0), ir.Acc(1)), o(0))}},
		x, w, w, FromFloat32([]float32{100, 200}, 2)), 101, 225, 116, 200.25)
	// Two heads of one column: accumulators are the rows 0 and 1 of w, values alternate by head; then a part of its
	// own; then x.
	heads := FromFloat32([]float32{1, 0, 0, 0, 1, 1}, 2, 1, 3)
	near(t, "parts", fused(t, ir.OpMatmul, ir.MatmulAttrs{
		Prologue: []*ir.Expr{ir.Call(ir.OpMul, o(0), ir.Num(2)), o(0)}, Accs: 2,
		Epilogue: []*ir.Expr{ir.Acc(0), ir.Call(ir.OpNeg, ir.Acc(0)), ir.Acc(1)}},
		x, heads, w), 2, -2, 10, -10, 8, -8, -1, 1, 2, 10, 8, -1, 1, 2, 3, 4, -1, 0.5)
}

// The logarithm of a sum of exponentials neither overflows nor loses infinities and NaN.
func TestLogSumExp(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		row  []float32
		want float64
	}{
		{[]float32{1000, 1000}, 1000 + math.Ln2},
		{[]float32{-1000, -1000, -1000, -1000}, -1000 + 2*math.Ln2},
		{[]float32{1, -inf}, 1},
		{[]float32{-inf, -inf}, math.Inf(-1)},
		{[]float32{1, inf, -inf}, math.Inf(1)},
		{[]float32{1, nan}, math.NaN()},
		{nil, math.Inf(-1)},
	} {
		got := fused(t, ir.OpReduceLogSumExp, nil, FromFloat32(c.row, 1, len(c.row)))[0]
		if got != c.want && !(math.Abs(got-c.want) < 1e-12) && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("of %v: %g, expected %g", c.row, got, c.want)
		}
	}
}
