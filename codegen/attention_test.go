package codegen_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgc/frontend/text"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/target/targettest"
	"pgc/runtime/engine"
)

// TestSplitAttention runs the attention of one position over many keys, whose work three kernels share, against the
// evaluator, and with several numbers of threads.
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
					for _, e := range []*engine.Engine{one, three} {
						if err := tensor(t, e, f.Name, p.Name).PutBytes(0, x.Encode()); err != nil {
							t.Fatal(err)
						}
					}
				}
				call(t, one, f.Name, syms)
				call(t, three, f.Name, syms)
				for name, want := range reference(t, f, in, nil, syms) {
					got := get[float32](t, one, f.Name, name, len(want.Data))
					worst := compare(got, want)
					t.Logf("%s %s, %d keys: worst error %.2g", tgt.Name, f.Name, T, worst)
					if !(worst < 1e-5) {
						t.Errorf("%s %s, %d keys: error %g", tgt.Name, f.Name, T, worst)
					}
					if !slices.Equal(got, get[float32](t, three, f.Name, name, len(got))) {
						t.Errorf("%s %s, %d keys: three threads give other bits than one", tgt.Name, f.Name, T)
					}
				}
			}
		}
	}
}

// TestAttentionOfABatch runs attention of sequences at positions of their own, as one kernel and as three, and compares
// each with attention of one sequence: the bits are equal. Where no sequence stands, at -1, the result is 0; what lies
// behind the positions is never read.
func TestAttentionOfABatch(t *testing.T) {
	m, err := text.Parse("attention.pgir", `symbol T <= 4100
symbol past <= 4099

func @three(%q: input f32[3,1,1,8,60], %k: input f32[3,T,1,60], %v: input f32[3,T,1,60], %at: input i32[3]) {
  %0 = attention %q, %k, %v, %at {scale=0.25, causal=true} : f32[3,1,1,8,60]
  return y=%0 : f32[3,1,1,8,60]
}

func @seven(%q: input f32[7,1,1,8,60], %k: input f32[7,4100,1,60], %v: input f32[7,4100,1,60], %at: input i32[7]) {
  %0 = attention %q, %k, %v, %at {scale=0.25, causal=true} : f32[7,1,1,8,60]
  return y=%0 : f32[7,1,1,8,60]
}

func @windows(%q: input f32[5,1,2,4,33], %k: input f32[5,300,2,33], %v: input f32[5,300,2,33], %at: input i32[5]) {
  %0 = attention %q, %k, %v, %at {scale=0.25, softcap=5, causal=true, window=100} : f32[5,1,2,4,33]
  return y=%0 : f32[5,1,2,4,33]
}

func @alone(%q1: input f32[1,1,8,60], %k1: input f32[T,1,60], %v1: input f32[T,1,60]) {
  %0 = attention %q1, %k1, %v1 {scale=0.25, causal=true, offset=past} : f32[1,1,8,60]
  return y1=%0 : f32[1,1,8,60]
}

func @window(%q1: input f32[1,2,4,33], %k1: input f32[T,2,33], %v1: input f32[T,2,33]) {
  %0 = attention %q1, %k1, %v1 {scale=0.25, softcap=5, causal=true, window=100, offset=past} : f32[1,2,4,33]
  return y1=%0 : f32[1,2,4,33]
}
`)
	if err != nil {
		t.Fatal(err)
	}
	type batch struct {
		name, alone string
		launches    int
		positions   []int32
		keys        int // of memory for each sequence
	}
	batches := []batch{
		{"three", "alone", 3, []int32{96, -1, 399}, 4100},
		{"seven", "alone", 3, []int32{0, 95, -1, 143, 4099, 48, 1}, 4100},
		{"windows", "window", 1, []int32{0, 299, -1, 99, 100}, 300},
	}
	shapes := map[string][]ir.Dim{}
	for _, b := range batches {
		shapes[b.name] = m.Func(b.name).Params[0].Type.Shape
	}
	for _, tgt := range targettest.Runnable(t) {
		e := compiled(t, m, weights{}, tgt, 3)
		for _, b := range batches {
			if n := len(e.Program.Func(b.name).Launches); n != b.launches {
				t.Fatalf("@%s: %d launches, expected %d", b.name, n, b.launches)
			}
			q := shapes[b.name]
			heads, dim := q[2].N, q[4].N
			row, query := heads*dim, heads*q[3].N*dim
			rng := rand.New(rand.NewPCG(uint64(len(b.positions)), 1))
			x := map[string][]float32{}
			for port, n := range map[string]int{"q": query, "k": b.keys * row, "v": b.keys * row} {
				x[port] = make([]float32, len(b.positions)*n)
			}
			for _, port := range []string{"q", "k", "v"} {
				for i := range x[port] {
					x[port][i] = rng.Float32()*6 - 3
				}
			}
			for s, at := range b.positions {
				for _, port := range []string{"k", "v"} {
					hidden := x[port][s*b.keys*row:][:b.keys*row]
					for i := (int(at) + 1) * row; i < len(hidden); i++ {
						hidden[i] = float32(math.NaN())
					}
				}
			}
			for port, data := range x {
				put(t, e, b.name, port, data...)
			}
			put(t, e, b.name, "at", b.positions...)
			call(t, e, b.name, map[string]int{"T": b.keys})
			got := get[float32](t, e, b.name, "y", len(b.positions)*query)
			for s, at := range b.positions {
				want := make([]float32, query)
				if at >= 0 {
					put(t, e, b.alone, "q1", x["q"][s*query:][:query]...)
					put(t, e, b.alone, "k1", x["k"][s*b.keys*row:][:(int(at)+1)*row]...)
					put(t, e, b.alone, "v1", x["v"][s*b.keys*row:][:(int(at)+1)*row]...)
					call(t, e, b.alone, map[string]int{"T": int(at) + 1, "past": int(at)})
					want = get[float32](t, e, b.alone, "y1", query)
				}
				if !sameBits(got[s*query:][:query], want) {
					t.Errorf("%s @%s: sequence %d at %d differs from one alone: %g…, expected %g…", tgt.Name, b.name, s, at, got[s*query:][:3], want[:3])
				}
			}
		}
	}
}
