package ptx

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgc/codegen"
	"pgc/frontend/text"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/passes"
)

// attentionCase is a function of one attention, and symbols to run it with.
type attentionCase struct {
	name, source string
	syms         []map[string]int
	blind        []map[string]int // no row sees a key: results are not defined, accesses are
}

const attentionSymbols = "symbol S <= 90\nsymbol T <= 400\nsymbol past <= 399\nsymbol prefix <= 400\n"

var attentionCases = []attentionCase{
	{"siglip", `func @f(%q: input f32[70,3,1,72], %k: input f32[70,3,72], %v: input f32[70,3,72]) {
  %0 = attention %q, %k, %v {scale=0.11785113} : f32[70,3,1,72]
  return y=%0 : f32[70,3,1,72]
}`, []map[string]int{{}}, nil},
	{"prefix", attentionSymbols + `func @f(%q: input f32[S,1,8,256], %k: input bf16[T,1,256], %v: input bf16[T,1,256]) {
  %0 = attention %q, %k, %v {scale=0.0625, causal=true, prefix=prefix, offset=past, dtype=bf16} : bf16[S,1,8,256]
  return y=%0 : bf16[S,1,8,256]
}`, []map[string]int{{"S": 19, "T": 19, "past": 0, "prefix": 13}, {"S": 9, "T": 107, "past": 98, "prefix": 0}}, nil},
	{"window", attentionSymbols + `func @f(%q: input f32[S,2,3,27], %k: input bf16[T,2,27], %v: input bf16[T,2,27]) {
  %0 = attention %q, %k, %v {scale=0.3, softcap=5, causal=true, window=70, prefix=prefix, offset=past} : f32[S,2,3,27]
  return y=%0 : f32[S,2,3,27]
}`, []map[string]int{{"S": 41, "T": 160, "past": 119, "prefix": 3}, {"S": 87, "T": 87, "past": 0, "prefix": 33}}, []map[string]int{{"S": 5, "T": 10, "past": 250, "prefix": 3}}},
	{"wide", attentionSymbols + `func @f(%q: input f32[S,1,5,43], %k: input f16[T,1,43], %v: input f16[T,1,43]) {
  %0 = attention %q, %k, %v {scale=0.2, causal=true, offset=past, dtype=f16} : f16[S,1,5,43]
  return y=%0 : f16[S,1,5,43]
}`, []map[string]int{{"S": 30, "T": 95, "past": 65}}, nil},
	// Operands that do not begin at multiples of 16 bytes, though their rows could.
	{"shifted", attentionSymbols + `func @f(%x: input f32[S,1,4,48], %c: input bf16[T,1,48]) {
  %q = slice %x {axis=3, start=2, limit=34} : f32[S,1,4,32]
  %k = slice %c {axis=2, start=3, limit=35} : bf16[T,1,32]
  %v = slice %c {axis=2, start=9, limit=41} : bf16[T,1,32]
  %0 = attention %q, %k, %v {scale=0.2, causal=true, prefix=prefix, offset=past} : f32[S,1,4,32]
  return y=%0 : f32[S,1,4,32]
}`, []map[string]int{{"S": 17, "T": 80, "past": 63, "prefix": 70}}, nil},
	{"one_shifted", attentionSymbols + `func @f(%x: input f32[1,1,4,48], %c: input bf16[T,1,48]) {
  %q = slice %x {axis=3, start=2, limit=34} : f32[1,1,4,32]
  %k = slice %c {axis=2, start=3, limit=35} : bf16[T,1,32]
  %v = slice %c {axis=2, start=9, limit=41} : bf16[T,1,32]
  %0 = attention %q, %k, %v {scale=0.2, causal=true, prefix=prefix, offset=past} : f32[1,1,4,32]
  return y=%0 : f32[1,1,4,32]
}`, []map[string]int{{"T": 80, "past": 79, "prefix": 70}}, nil},
	{"one", attentionSymbols + `func @f(%q: input f32[1,1,8,256], %k: input bf16[T,1,256], %v: input bf16[T,1,256]) {
  %0 = attention %q, %k, %v {scale=0.0625, causal=true, prefix=prefix, offset=past, dtype=bf16} : bf16[1,1,8,256]
  return y=%0 : bf16[1,1,8,256]
}`, []map[string]int{{"T": 1, "past": 0, "prefix": 0}, {"T": 64, "past": 63, "prefix": 0}, {"T": 333, "past": 332, "prefix": 100}}, nil},
	{"one_window", attentionSymbols + `func @f(%q: input f32[1,2,11,33], %k: input f32[T,2,33], %v: input f32[T,2,33]) {
  %0 = attention %q, %k, %v {scale=0.25, softcap=5, causal=true, window=150, prefix=prefix, offset=past} : f32[1,2,11,33]
  return y=%0 : f32[1,2,11,33]
}`, []map[string]int{{"T": 49, "past": 48, "prefix": 20}, {"T": 397, "past": 396, "prefix": 200}}, nil},
	{"one_of_72", attentionSymbols + `func @f(%q: input f32[1,2,2,72], %k: input f32[T,2,72], %v: input f32[T,2,72]) {
  %0 = attention %q, %k, %v {scale=0.12, causal=true, offset=past} : f32[1,2,2,72]
  return y=%0 : f32[1,2,2,72]
}`, []map[string]int{{"T": 130, "past": 129}}, nil},
}

// attended parses and compiles a case; its function is also returned as it was.
func attended(t *testing.T, name, source string) (*device, *ir.Func) {
	t.Helper()
	m, err := text.Parse(name+".pgir", source)
	if err != nil {
		t.Fatal(err)
	}
	plain := m.Clone().Func("f")
	return newDevice(t, m, nil), plain
}

// attentionKernels are the kernels of all cases.
func attentionKernels(t *testing.T) (ks []*Kernel) {
	t.Helper()
	for _, c := range attentionCases {
		d, _ := attended(t, c.name, c.source)
		for _, k := range d.r.Kernels {
			one := *k
			one.Name, one.Text = c.name+"_"+k.Name, strings.Replace(k.Text, ".entry ", ".entry "+c.name+"_", 1)
			ks = append(ks, &one)
		}
	}
	return ks
}

// A token's attention meets in no bank of shared memory.
func TestAttentionMeetsInNoBank(t *testing.T) {
	for _, c := range attentionCases {
		if !strings.HasPrefix(c.name, "one") {
			continue
		}
		d, plain := attended(t, c.name, c.source)
		in, _ := tensors(t, plain, c.syms[0])
		for _, launches := range launchesOf(t, func() { d.call("f", in, c.syms[0]) }) {
			for _, l := range launches {
				stats := launch(t, parsed(t, l.kernel), l.kernel, l.tasks, l.args...)
				if stats.Conflicts != 0 {
					t.Errorf("%s: %d waits for banks", c.name, stats.Conflicts)
				}
			}
		}
	}
}

// TestAttention compares attention of one position and of many with the evaluator: what differs are the last bits of
// operands in two bfloat16 numbers.
func TestAttention(t *testing.T) {
	for _, c := range attentionCases {
		t.Run(c.name, func(t *testing.T) {
			d, plain := attended(t, c.name, c.source)
			for _, syms := range c.syms {
				in, _ := tensors(t, plain, syms)
				got := d.call("f", in, syms)["y"]
				worst := difference(got, reference(t, plain, in, nil, syms)["y"])
				t.Logf("%v: error %.2g of the largest", syms, worst)
				allowed := 5e-5
				if d.m.Func("f").Results[0].Value.Type.DType != ir.F32 { // rounded once more
					allowed = 4e-3
				}
				if !(worst < allowed) {
					t.Errorf("%v: error %g", syms, worst)
				}
			}
			if d.count["attention"] < len(c.syms) {
				t.Errorf("kernels %v", d.count)
			}
		})
	}
}

// Positions of a batch give the bits that each has by itself, whatever lies behind them, and 0 before the first.
func TestAttentionOfABatch(t *testing.T) { recordedBatch.run(t) }

var recordedBatch = &remade{test: func(t *testing.T) {
	for _, c := range []struct {
		heads, attrs, kv string
	}{{"1,8,64", "", "bf16"}, {"2,3,33", ", softcap=5, window=70", "f32"}} {
		var g, r, h int
		if _, err := fmt.Sscanf(c.heads, "%d,%d,%d", &g, &r, &h); err != nil {
			t.Fatal(err)
		}
		batch, plain := attended(t, "batch", fmt.Sprintf(`func @f(%%q: input f32[4,1,%s], %%k: input %s[4,200,%d,%d], %%v: input %[2]s[4,200,%[3]d,%[4]d], %%at: input i32[4]) {
  %%0 = attention %%q, %%k, %%v, %%at {scale=0.2, causal=true%[5]s} : f32[4,1,%[1]s]
  return y=%%0 : f32[4,1,%[1]s]
}`, c.heads, c.kv, g, h, c.attrs))
		one, _ := attended(t, "one", fmt.Sprintf(attentionSymbols+`func @f(%%q: input f32[1,%s], %%k: input %s[T,%d,%d], %%v: input %[2]s[T,%[3]d,%[4]d]) {
  %%0 = attention %%q, %%k, %%v {scale=0.2, causal=true, offset=past%[5]s} : f32[1,%[1]s]
  return y=%%0 : f32[1,%[1]s]
}`, c.heads, c.kv, g, h, c.attrs))
		in, _ := tensors(t, plain, nil)
		positions := []int32{130, -1, 0, 63}
		in["at"] = eval.FromInt32(positions, 4)
		keys := 200 * g * h
		for b, p := range positions { // what lies behind a position is never read
			for i := (int(p) + 1) * g * h; i < keys; i++ {
				in["k"].Data[b*keys+i], in["v"].Data[b*keys+i] = math.NaN(), math.NaN()
			}
		}
		got := batch.call("f", in, nil)["y"].Data
		n := g * r * h
		for b, p := range positions {
			mine := got[b*n : (b+1)*n]
			if p < 0 {
				if slices.ContainsFunc(mine, func(v float64) bool { return v != 0 }) {
					t.Errorf("%s: results at position %d", c.heads, p)
				}
				continue
			}
			alone := maps.Clone(in)
			alone["q"] = tensorOf(in["q"].DType, in["q"].Data[b*n:(b+1)*n], 1, g, r, h)
			for _, name := range []string{"k", "v"} {
				alone[name] = tensorOf(in[name].DType, in[name].Data[b*keys:][:(int(p)+1)*g*h], int(p)+1, g, h)
			}
			want := one.call("f", alone, map[string]int{"T": int(p) + 1, "past": int(p)})["y"].Data
			if !slices.Equal(mine, want) {
				t.Errorf("%s: the bits at position %d are not those of one sequence", c.heads, p)
			}
		}
	}
}}

// Batches of many rows are those of each sequence.
func TestAttentionOfManyRowsOfABatch(t *testing.T) { recordedBatchRows.run(t) }

var recordedBatchRows = &remade{test: func(t *testing.T) {
	d, plain := attended(t, "batch", `func @f(%q: input f32[3,5,2,3,40], %k: input bf16[3,90,2,40], %v: input bf16[3,90,2,40], %at: input i32[3]) {
  %0 = attention %q, %k, %v, %at {scale=0.2, causal=true, window=20} : f32[3,5,2,3,40]
  return y=%0 : f32[3,5,2,3,40]
}`)
	in, _ := tensors(t, plain, nil)
	in["at"] = eval.FromInt32([]int32{70, -3, 0}, 3)
	got := d.call("f", in, nil)["y"]
	if worst := difference(got, reference(t, plain, in, nil, nil)["y"]); !(worst < 5e-5) {
		t.Errorf("error %g", worst)
	}
}}

func tensorOf(d ir.DType, data []float64, shape ...int) *eval.Tensor {
	x := eval.New(d, shape...)
	copy(x.Data, data)
	return x
}

// The bits of a row depend neither on the rows beside it nor on the keys behind those that it sees.
func TestAttentionRowsStandAlone(t *testing.T) {
	d, plain := attended(t, "rows", attentionSymbols+`func @f(%q: input f32[S,1,3,24], %k: input bf16[T,1,24], %v: input bf16[T,1,24]) {
  %0 = attention %q, %k, %v {scale=0.3, causal=true, window=90, offset=past} : f32[S,1,3,24]
  return y=%0 : f32[S,1,3,24]
}`)
	syms := map[string]int{"S": 61, "T": 301, "past": 240}
	in, _ := tensors(t, plain, syms)
	all := d.call("f", in, syms)["y"].Data
	rng := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		s := 2 + rng.IntN(30)
		first := rng.IntN(61 - s)
		part := maps.Clone(in)
		part["q"] = tensorOf(ir.F32, in["q"].Data[first*72:(first+s)*72], s, 1, 3, 24)
		keys := 240 + first + s
		for _, name := range []string{"k", "v"} {
			part[name] = tensorOf(ir.BF16, in[name].Data[:keys*24], keys, 1, 24)
		}
		got := d.call("f", part, map[string]int{"S": s, "T": keys, "past": 240 + first})["y"].Data
		if !slices.Equal(got, all[first*72:(first+s)*72]) {
			t.Errorf("rows %d to %d have other bits by themselves", first, first+s)
		}
	}
}

// Heads that no kernel is made for are an error that says what to do.
func TestLongHeads(t *testing.T) {
	m, err := text.Parse("long.pgir", `func @f(%q: input f32[1,1,1,264], %k: input f32[9,1,264], %v: input f32[9,1,264]) {
  %0 = attention %q, %k, %v {scale=0.1} : f32[1,1,1,264]
  return y=%0 : f32[1,1,1,264]
}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := passes.Optimize(m, passes.Options{Off: passesOff()}); err != nil {
		t.Fatal(err)
	}
	_, err = codegen.Compile(t.Context(), m, Backend())
	if err == nil || !strings.HasSuffix(err.Error(), "heads of 264 elements, expected 256 at most: compile with --target cpu") {
		t.Errorf("error %v", err)
	}
}
