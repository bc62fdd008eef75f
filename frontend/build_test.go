package frontend

import (
	"strings"
	"testing"

	"pgc/ir"
)

func TestBuild(t *testing.T) {
	m, err := Build(func(m *Module) {
		S, T := m.Symbol("S", 1024), m.Symbol("T", 2048)
		past := m.Symbol("past", 2047)
		m.Func("decode", func(f *Func) {
			x := f.Input("x", ir.F32, S, 16)
			cos, sin := f.Input("cos", ir.F32, S, 4), f.Input("sin", ir.F32, S, 4)
			norm := f.Weight("norm.weight", ir.BF16, 16)
			wq := f.Weight("q.weight", ir.BF16, 8, 16)
			cache := f.State("k0", ir.F32, 2048, 1, 8)
			h := RMSNorm(x, norm, 1e-6)
			q := Rotary(Reshape(Linear(h, wq, nil), S, 1, 8), cos, sin)
			cache2 := DynamicUpdateSlice(cache, q, f.Symbol(past))
			keys := Slice(cache2, 0, 0, T)
			p := Softmax(Mul(Einsum("sgh,tgh->gst", q, keys), 0.25))
			f.Return("y", Reshape(Einsum("gst,tgh->sgh", p, keys), S, 8))
			f.Return("n", LayerNorm(x, norm, norm, 1e-5))
			f.Update(cache, cache2)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	text := m.String()
	if n := strings.Count(text, "convert %norm.weight"); n != 1 {
		t.Errorf("norm.weight is converted %d times, want once:\n%s", n, text)
	}
	for _, want := range []string{`einsum %9, %10 {spec="ab,cb->ac"} : f32[S,8]`, "return y=", "update %k0="} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if t.Failed() || testing.Verbose() {
		t.Log(text)
	}
}

func TestMisuseIsAnErrorWithItsPlace(t *testing.T) {
	var x *Value // the operand of each case
	var f *Func
	for want, body := range map[string]func(){
		"shapes do not broadcast: [2,3] and [5]":                       func() { Add(x, f.Input("y", ir.F32, 5)) },
		"operand 1 of mul is a string, expected a *Value":              func() { Mul(x, "2") },
		"0.5 is not a value of type i32":                               func() { Add(f.Iota(0, 3), 0.5) },
		"expected one type":                                            func() { Add(x, f.Iota(0, 3)) },
		"cannot reshape [2,3] to [7]":                                  func() { Reshape(x, 7) },
		"dimension is a float64":                                       func() { Reshape(x, 7.0) },
		"axis 2 is not a dimension of f32[2,3]":                        func() { Slice(x, 2, 0, 1) },
		"axis -3 is not a dimension":                                   func() { Concat(-3, x, x) },
		"slice limit 4 exceeds axis 1":                                 func() { Slice(x, 1, 0, 4) },
		"label b is 3 in x [2,3] and 2 in y [2,3]":                     func() { Einsum("ab,bc->ac", x, x) },
		"linear: x is f32[2,3] and w is f32[3,2]":                      func() { Linear(x, f.Weight("w", ir.F32, 3, 2), nil) },
		"linear: w is f32[4,3] and bias is f32[3]":                     func() { Linear(x, f.Weight("w", ir.F32, 4, 3), f.Weight("b", ir.F32, 3)) },
		`weight "v" is declared as f32[4] and as f32[5]`:               func() { f.Weight("v", ir.F32, 4); f.Weight("v", ir.F32, 5) },
		`parameter "x" is declared twice`:                              func() { f.Input("x", ir.F32) },
		"only a state can be updated":                                  func() { f.Update(x, x) },
		"state s is f32[9,3], its update is f32[2,3]":                  func() { f.Update(f.State("s", ir.F32, 9, 3), x) },
		"rotary: x is f32[2,3]":                                        func() { Rotary(x, x, x) },
		"a value is nil":                                               func() { f.Return("y", nil) },
		"update is f32[2,3], state is f32[9,4]":                        func() { DynamicUpdateSlice(f.State("s", ir.F32, 9, 4), x, f.Symbol(ir.D(0))) },
		"symbol n is not declared":                                     func() { f.Symbol(ir.Sym("n")) },
		"slice limit S (at most 8) may exceed axis 0 of f32[2,3]":      func() { Slice(x, 0, 0, ir.Sym("S")) },
		"symbol S is declared with the bounds 8 and 9":                 nil,
		"type f32[Q]: symbol Q is not declared":                        func() { f.Input("q", ir.F32, ir.Sym("Q")) },
		"result name \"two words\" is not an identifier, occurs twice": func() { f.Return("two words", x) },
	} {
		m, err := Build(func(m *Module) {
			m.Symbol("S", 8)
			if body == nil {
				m.Symbol("S", 9)
				return
			}
			m.Func("f", func(fn *Func) {
				f, x = fn, fn.Input("x", ir.F32, 2, 3)
				body()
			})
		})
		if err == nil || m != nil {
			t.Errorf("no error, want one with %q", want)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want it to contain %q", err, want)
		}
		verified := strings.Contains(want, "not declared") || strings.Contains(want, "result name")
		if !verified && !strings.HasPrefix(err.Error(), "build_test.go:") {
			t.Errorf("%q does not begin with its place", err)
		}
	}
}

func TestOtherPanicsPass(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a panic of the model was swallowed")
		}
	}()
	_, _ = Build(func(*Module) { panic("bug") })
}
