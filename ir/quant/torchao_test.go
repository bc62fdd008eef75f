package quant

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"pgc/runtime/safetensors"
)

// matrix is a tensor of the fixture.
type matrix struct {
	rows, k int
	x       []float32
}

func (m matrix) row(i int) []float32 { return m.x[i*m.k : (i+1)*m.k] }

func fixture(t *testing.T) (f *safetensors.File, load func(name string) matrix) {
	t.Helper()
	f, err := safetensors.Open("testdata/torchao.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, func(name string) matrix {
		x, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("no tensor %s", name)
		}
		v, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		return matrix{x.Shape[0], x.Shape[1], v}
	}
}

// read quantizes the rows of a matrix to 4 bits and reads them back.
func read(w matrix, r *Rounding) matrix {
	out := matrix{w.rows, w.k, make([]float32, len(w.x))}
	g := NewGroups(w.k, 128)
	for i := range w.rows {
		r.Row(w.row(i), Int4, g)
		for k := range w.k {
			out.row(i)[k] = g.Value(k, Int4)
		}
	}
	return out
}

// error4 is the squared error of q over the square of w.
func error4(w, q []float64) float64 {
	e, all := 0.0, 1e-300
	for i := range w {
		e += (w[i] - q[i]) * (w[i] - q[i])
		all += w[i] * w[i]
	}
	return e / all
}

// product is a·bᵀ, for a whose rows may be longer.
func product(a, b matrix) []float64 {
	var out []float64
	for i := range a.rows {
		for j := range b.rows {
			s := 0.0
			for k, v := range b.row(j) {
				s += float64(v) * float64(a.row(i)[k])
			}
			out = append(out, s)
		}
	}
	return out
}

func double(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// TestErrorIsNotAboveTorchaos compares 4-bit groups of 128 with torchao's int4 weight-only of the same matrices: the
// error of the weights, and of products with normal activations, of each matrix; and of products with activations that
// have outlier channels, where a few columns of weights decide, on average over the matrices.
func TestErrorIsNotAboveTorchaos(t *testing.T) {
	f, load := fixture(t)
	activations := map[string]matrix{"normal": load("activations.normal"), "outlier": load("activations.outlier")}
	roundings := map[string]*Rounding{"plain": nil, "search": {Search: true}}
	ratios, compared := map[string]float64{}, 0
	for _, name := range f.Names() {
		if strings.HasPrefix(name, "activations.") {
			continue
		}
		w := load(name)
		for how, r := range roundings {
			q := read(w, r)
			for kind, got := range map[string]float64{
				"weight":  error4(double(w.x), double(q.x)),
				"normal":  error4(product(activations["normal"], w), product(activations["normal"], q)),
				"outlier": error4(product(activations["outlier"], w), product(activations["outlier"], q)),
			} {
				theirs, err := strconv.ParseFloat(f.Metadata[name+"."+kind], 64)
				if err != nil {
					t.Fatal(err)
				}
				compared++
				t.Logf("%-16s %-7s %-6s %.4g, torchao's is %.4g", name, kind, how, got, theirs)
				if kind == "outlier" {
					if theirs > 0 {
						ratios[how] += math.Log(got / theirs)
					}
				} else if got > theirs {
					t.Errorf("%s, %s: error %.4g of the %s, torchao's is %.4g", name, how, got, kind, theirs)
				}
			}
		}
	}
	for how, r := range ratios {
		if r >= 0 {
			t.Errorf("%s: errors of products with outliers are torchao's times %.3g on average", how, math.Exp(r/float64(compared/6)))
		}
	}
	if compared < 100 {
		t.Errorf("only %d comparisons", compared)
	}
}
