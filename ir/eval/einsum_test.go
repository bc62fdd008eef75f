package eval

import (
	"math/rand/v2"
	"strings"
	"testing"

	"pgc/ir"
)

// naive computes a contraction by the definition: a loop over every combination of labels.
func naive(e ir.Einsum, x, y *Tensor, sizes map[rune]int, shape []int) *Tensor {
	out := New(ir.F32, shape...)
	labels := e.X + without(e.Y, e.X)
	at := map[rune]int{}
	offset := func(t *Tensor, labels string) int {
		n := 0
		for i, l := range labels {
			n = n*t.Shape[i] + at[l]
		}
		return n
	}
	var loop func(i int)
	loop = func(i int) {
		if i == len(labels) {
			out.Data[offset(out, e.Out)] += x.Data[offset(x, e.X)] * y.Data[offset(y, e.Y)]
			return
		}
		l := rune(labels[i])
		for at[l] = 0; at[l] < sizes[l]; at[l]++ {
			loop(i + 1)
		}
	}
	loop(0)
	return out
}

func TestEinsumAgainstItsDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	specs := []string{"ab,cb->ac", "ab,bc->ca", "abcd,ebd->bcae", "abcd,dae->cabe", "a,b->ab", "a,a->", "ab,ab->ba", "abc,adc->dab", ",a->a", "ab,->ba"}
	worst := 0.0
	for _, spec := range specs {
		for range 5 {
			e, err := ir.ParseEinsum(spec)
			if err != nil {
				t.Fatal(err)
			}
			sizes := map[rune]int{}
			typeOf := func(labels string) ir.Type {
				var dims []int
				for _, l := range labels {
					if _, ok := sizes[l]; !ok {
						sizes[l] = 1 + rng.IntN(7)
					}
					dims = append(dims, sizes[l])
				}
				return ir.T(ir.F32, ir.Dims(dims...)...)
			}
			c, err := newCase(ir.OpEinsum, ir.Sample{In: []ir.Type{typeOf(e.X), typeOf(e.Y)}, Attrs: ir.EinsumAttrs{Spec: spec}})
			if err != nil {
				t.Fatal(err)
			}
			w, err := Compare(c.Want[0], naive(e, c.Inputs["x0"], c.Inputs["x1"], sizes, c.Want[0].Shape), ir.Tol{Norm: 1e-14})
			if err != nil {
				t.Errorf("%s %v: %v", spec, sizes, err)
			}
			worst = max(worst, w*1e-14)
		}
	}
	t.Logf("worst error %.2g of the largest", worst)
}

func BenchmarkEinsum(b *testing.B) {
	x, y := New(ir.F32, 256, 512), New(ir.F32, 1024, 512)
	f := (&ir.Module{}).NewFunc("f")
	px, py := f.AddParam(ir.Input, "x", "", ir.T(ir.F32, ir.Dims(256, 512)...)), f.AddParam(ir.Input, "y", "", ir.T(ir.F32, ir.Dims(1024, 512)...))
	f.Return("z", ir.NewBuilder(f).Op(ir.OpEinsum, ir.EinsumAttrs{Spec: "ab,cb->ac"}, px, py))
	in := map[string]*Tensor{"x": x, "y": y}
	for b.Loop() {
		if _, err := Func(f, in, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(2*256*512*1024*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

// Labels of one operand that the result lacks, doubled labels and strange ones are refused.
func TestEinsumSpecErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"ab,bc":     "not of the form",
		"ab->a":     "not of the form",
		"aa,ab->b":  "occurs twice",
		"ab,bc->ad": "label d of the result is in no operand",
		"ab,cd->ac": "label b is in one operand only",
		"aB,Bc->ac": "not a lower-case letter",
	} {
		if _, err := ir.ParseEinsum(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", spec, err, want)
		}
	}
	if got := ir.CanonicalEinsum("sgrh, tgh -> grst"); got != "abcd,ebd->bcae" {
		t.Errorf("canonical form is %s", got)
	}
}
