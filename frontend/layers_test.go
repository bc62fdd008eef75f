package frontend

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgc/ir"
	"pgc/ir/eval"
)

// run evaluates a function of random f32 inputs with the given shapes and returns the inputs and its result.
func run(t *testing.T, body func(in ...*Value) *Value, shapes ...[]int) (in [][]float64, out []float64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 6))
	inputs := map[string]*eval.Tensor{}
	m, err := Build(func(m *Module) {
		m.Func("f", func(f *Func) {
			var values []*Value
			for i, shape := range shapes {
				dims := make([]any, len(shape))
				for j, n := range shape {
					dims[j] = n
				}
				name := string(rune('a' + i))
				values = append(values, f.Input(name, ir.F32, dims...))
				x, err := eval.Random(rng, values[i].Type(), nil, ir.Range{Lo: -2, Hi: 2})
				if err != nil {
					t.Fatal(err)
				}
				inputs[name] = x
				in = append(in, x.Data)
			}
			f.Return("y", body(values...))
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	results, err := eval.Func(m.Funcs[0], inputs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return in, results["y"].Data
}

// check compares a result with the values of a formula.
func check(t *testing.T, layer string, got []float64, want func(i int) float64) {
	t.Helper()
	worst := 0.0
	for i, v := range got {
		worst = max(worst, math.Abs(v-want(i)))
	}
	t.Logf("%s: worst error %.2g", layer, worst)
	if !(worst < 1e-12) {
		t.Errorf("%s: error %g", layer, worst)
	}
}

func mean(x []float64, f func(float64) float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += f(v)
	}
	return sum / float64(len(x))
}

func TestLayersAgainstTheirFormulas(t *testing.T) {
	const n, eps = 7, 1e-6
	in, out := run(t, func(in ...*Value) *Value { return RMSNorm(in[0], in[1], eps) }, []int{3, n}, []int{n})
	check(t, "RMSNorm", out, func(i int) float64 {
		row := in[0][i/n*n:][:n]
		return in[0][i] / math.Sqrt(mean(row, func(v float64) float64 { return v * v })+eps) * (1 + in[1][i%n])
	})

	in, out = run(t, func(in ...*Value) *Value { return LayerNorm(in[0], in[1], in[2], eps) }, []int{3, n}, []int{n}, []int{n})
	check(t, "LayerNorm", out, func(i int) float64 {
		row := in[0][i/n*n:][:n]
		mu := mean(row, func(v float64) float64 { return v })
		variance := mean(row, func(v float64) float64 { return (v - mu) * (v - mu) })
		return (in[0][i]-mu)/math.Sqrt(variance+eps)*in[1][i%n] + in[2][i%n]
	})

	in, out = run(t, func(in ...*Value) *Value { return Softmax(in[0]) }, []int{3, n})
	check(t, "Softmax", out, func(i int) float64 {
		return math.Exp(in[0][i]) / (n * mean(in[0][i/n*n:][:n], math.Exp))
	})

	const heads, half = 3, 4 // x is [2,3,8]
	in, out = run(t, func(in ...*Value) *Value { return Rotary(in[0], Cos(in[1]), Sin(in[1])) }, []int{2, heads, 2 * half}, []int{2, half})
	check(t, "Rotary", out, func(i int) float64 {
		row, c := i/(heads*2*half), i%(2*half)
		angle := in[1][row*half+c%half]
		if c < half {
			return in[0][i]*math.Cos(angle) - in[0][i+half]*math.Sin(angle)
		}
		return in[0][i]*math.Cos(angle) + in[0][i-half]*math.Sin(angle)
	})

	const k = 5 // x is [2,3,5], w is [4,5]
	in, out = run(t, func(in ...*Value) *Value { return Linear(in[0], in[1], in[2]) }, []int{2, 3, k}, []int{4, k}, []int{4})
	check(t, "Linear", out, func(i int) float64 {
		sum := in[2][i%4]
		for j := range k {
			sum += in[0][i/4*k+j] * in[1][i%4*k+j]
		}
		return sum
	})
}
