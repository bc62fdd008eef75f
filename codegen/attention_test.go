package codegen_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgc/frontend/text"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/target/targettest"
)

// TestSplitAttention runs the attention of one position over many keys, whose work three kernels share, against the evaluator, and
// with several numbers of threads.
func TestSplitAttention(t *testing.T) {
	m, err := text.Parse("attention.pgir", `symbol T <= 4100
symbol past <= 4099
symbol prefix <= 4100

func @plain(%q: input f32[1,1,8,60], %k: input f32[T,1,60], %v: input f32[T,1,60]) {
  %0 = attention %q, %k, %v {scale=0.25, causal=true, prefix=prefix, offset=past} : f32[1,1,8,60]
  return y=%0 : f32[1,1,8,60]
}

func @window(%q2: input f32[1,2,5,33], %k2: input bf16[T,2,33], %v2: input bf16[T,2,33]) {
  %0 = attention %q2, %k2, %v2 {scale=0.25, softcap=5, causal=true, window=150, prefix=prefix, offset=past} : f32[1,2,5,33]
  return y2=%0 : f32[1,2,5,33]
}
`)
	if err != nil {
		t.Fatal(err)
	}
	var plain []*ir.Func
	for _, f := range m.Funcs {
		plain = append(plain, f.Clone(&ir.Module{Symbols: m.Symbols}))
	}
	for _, tgt := range targettest.Runnable(t) {
		one, three := compiled(t, m, weights{}, tgt, 1), compiled(t, m, weights{}, tgt, 3)
		for _, f := range plain {
			if n := len(one.Program.Func(f.Name).Launches); n != 3 {
				t.Fatalf("%s: %d launches, expected 3", f.Name, n)
			}
			for _, T := range []int{1, 49, 96, 397} {
				syms := map[string]int{"T": T, "past": T - 1, "prefix": T / 2}
				in := map[string]*eval.Tensor{}
				for i, p := range f.Params {
					x, err := eval.Random(rand.New(rand.NewPCG(uint64(i), uint64(T))), p.Type, syms, ir.Range{Lo: -3, Hi: 3})
					if err != nil {
						t.Fatal(err)
					}
					in[p.Name] = x
					copy(one.Port(p.Name), x.Encode())
					copy(three.Port(p.Name), x.Encode())
				}
				call(t, one, f.Name, syms)
				call(t, three, f.Name, syms)
				for name, want := range reference(t, f, in, nil, syms) {
					got := one.Floats(name)[:len(want.Data)]
					worst := compare(got, want)
					t.Logf("%s %s, %d keys: worst error %.2g", tgt.Name, f.Name, T, worst)
					if !(worst < 1e-5) {
						t.Errorf("%s %s, %d keys: error %g", tgt.Name, f.Name, T, worst)
					}
					if !slices.Equal(got, three.Floats(name)[:len(got)]) {
						t.Errorf("%s %s, %d keys: three threads give other bits than one", tgt.Name, f.Name, T)
					}
				}
			}
		}
	}
}
