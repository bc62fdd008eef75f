package ptx

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgc/frontend/text"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/models/paligemma"
)

// graphCase is a module in text whose function @f is run, the kernels that it must become, and the error allowed
// relative to the largest value.
type graphCase struct {
	name, source string
	syms         map[string]int
	kernels      map[string]int
	tolerance    float64
}

const symbolS = "symbol S <= 90\nsymbol past <= 20\n"

var graphCases = []graphCase{
	{"rms_norm", symbolS + `func @f(%x: input f32[S,45], %w: weight "w" bf16[45]) {
  %0 = mul %x, %x : f32[S,45]
  %1 = reduce_mean %0 : f32[S,1]
  %2 = constant {dtype=f32, shape=[], values=[1e-06]} : f32[]
  %3 = add %1, %2 : f32[S,1]
  %4 = rsqrt %3 : f32[S,1]
  %5 = mul %x, %4 : f32[S,45]
  %6 = convert %w {dtype=f32} : f32[45]
  %7 = constant {dtype=f32, shape=[], values=[1]} : f32[]
  %8 = add %6, %7 : f32[45]
  %9 = mul %5, %8 : f32[S,45]
  return y=%9 : f32[S,45]
}`, map[string]int{"S": 7}, map[string]int{"row": 1}, 1e-6},
	{"layer_norm", symbolS + `func @f(%x: input f32[S,3,71], %w: weight "w" f32[71], %b: weight "b" f32[71]) {
  %0 = reduce_mean %x : f32[S,3,1]
  %1 = sub %x, %0 : f32[S,3,71]
  %2 = mul %1, %1 : f32[S,3,71]
  %3 = reduce_mean %2 : f32[S,3,1]
  %4 = constant {dtype=f32, shape=[], values=[1e-06]} : f32[]
  %5 = add %3, %4 : f32[S,3,1]
  %6 = rsqrt %5 : f32[S,3,1]
  %7 = mul %1, %6 : f32[S,3,71]
  %8 = mul %7, %w : f32[S,3,71]
  %9 = add %8, %b : f32[S,3,71]
  return y=%9 : f32[S,3,71]
}`, map[string]int{"S": 5}, map[string]int{"row": 1}, 1e-6},
	{"softmax", symbolS + `func @f(%x: input f32[S,131]) {
  %0 = reduce_max %x : f32[S,1]
  %1 = sub %x, %0 : f32[S,131]
  %2 = exp %1 : f32[S,131]
  %3 = reduce_sum %2 : f32[S,1]
  %4 = div %2, %3 : f32[S,131]
  return y=%4 : f32[S,131]
}`, map[string]int{"S": 9}, map[string]int{"row": 1}, 1e-6},
	{"rotary", symbolS + `func @f(%x: input f32[S,3,14]) {
  %0 = iota {shape=[S,1], axis=0} : i32[S,1]
  %1 = symbol {name=past} : i32[]
  %2 = add %0, %1 : i32[S,1]
  %3 = convert %2 {dtype=f32} : f32[S,1]
  %4 = constant {dtype=f32, shape=[7], values=[1, 0.27, 0.072, 0.019, 0.0052, 0.0014, 0.00037]} : f32[7]
  %5 = mul %3, %4 : f32[S,7]
  %6 = cos %5 : f32[S,7]
  %7 = sin %5 : f32[S,7]
  %8 = reshape %6 {shape=[S,1,7]} : f32[S,1,7]
  %9 = reshape %7 {shape=[S,1,7]} : f32[S,1,7]
  %10 = slice %x {axis=2, start=0, limit=7} : f32[S,3,7]
  %11 = slice %x {axis=2, start=7, limit=14} : f32[S,3,7]
  %12 = mul %10, %8 : f32[S,3,7]
  %13 = mul %11, %9 : f32[S,3,7]
  %14 = sub %12, %13 : f32[S,3,7]
  %15 = mul %11, %8 : f32[S,3,7]
  %16 = mul %10, %9 : f32[S,3,7]
  %17 = add %15, %16 : f32[S,3,7]
  %18 = concat %14, %17 {axis=2} : f32[S,3,14]
  return y=%18 : f32[S,3,14]
}`, map[string]int{"S": 13, "past": 11}, nil, 1e-6},
	{"embedding", symbolS + `func @f(%ids: input i32[S], %table: weight "t" bf16[50,45]) {
  %0 = convert %table {dtype=f32} : f32[50,45]
  %1 = gather %0, %ids : f32[S,45]
  %2 = constant {dtype=f32, shape=[], values=[6.7]} : f32[]
  %3 = mul %1, %2 : f32[S,45]
  return y=%3 : f32[S,45]
}`, map[string]int{"S": 6}, map[string]int{"map": 1}, 1e-6},
	{"chain", symbolS + `func @f(%x: input f32[S,5,17], %y: input f32[5,1]) {
  %0 = gelu_tanh %x : f32[S,5,17]
  %1 = silu %0 : f32[S,5,17]
  %2 = add %1, %y : f32[S,5,17]
  %3 = sin %2 : f32[S,5,17]
  %4 = max %3, %x : f32[S,5,17]
  return y=%4 : f32[S,5,17]
}`, map[string]int{"S": 4}, map[string]int{"map": 1}, 1e-6},
	{"bias_residual", symbolS + `func @f(%x: input f32[S,37], %w: weight "w" bf16[45,37], %b: weight "b" f32[45], %r: input f32[S,45]) {
  %0 = convert %w {dtype=f32} : f32[45,37]
  %1 = einsum %x, %0 {spec="ab,cb->ac"} : f32[S,45]
  %2 = add %1, %b : f32[S,45]
  %3 = add %2, %r : f32[S,45]
  return y=%3 : f32[S,45]
}`, map[string]int{"S": 67}, map[string]int{"rows": 1, "matmul": 1}, 1e-6}, // which makes x bfloat16
	{"geglu", symbolS + `func @f(%x: input f32[S,39], %g: weight "g" bf16[71,39], %u: weight "u" bf16[71,39]) {
  %0 = convert %g {dtype=f32} : f32[71,39]
  %1 = einsum %x, %0 {spec="ab,cb->ac"} : f32[S,71]
  %2 = gelu_tanh %1 : f32[S,71]
  %3 = convert %u {dtype=f32} : f32[71,39]
  %4 = einsum %x, %3 {spec="ab,cb->ac"} : f32[S,71]
  %5 = mul %2, %4 : f32[S,71]
  return y=%5 : f32[S,71]
}`, map[string]int{"S": 9}, map[string]int{"rows": 1, "matmul": 1}, 1e-6},
	// The norm is the product's prologue and rounds to bfloat16.
	{"norm_and_product", symbolS + `func @f(%x: input f32[S,45], %w: weight "w" bf16[31,45]) {
  %0 = mul %x, %x : f32[S,45]
  %1 = reduce_mean %0 : f32[S,1]
  %2 = constant {dtype=f32, shape=[], values=[1e-06]} : f32[]
  %3 = add %1, %2 : f32[S,1]
  %4 = rsqrt %3 : f32[S,1]
  %5 = mul %x, %4 : f32[S,45]
  %6 = convert %w {dtype=f32} : f32[31,45]
  %7 = einsum %5, %6 {spec="ab,cb->ac"} : f32[S,31]
  return y=%7 : f32[S,31]
}`, map[string]int{"S": 5}, nil, 1.0 / 256},
	{"convolutions", symbolS + `func @f(%x: input f32[5,4,3], %w: weight "w" f32[33,3,3,2], %b: weight "b" f32[33], %v: weight "v" f32[33,17,4,4], %c: weight "c" f32[17]) {
  %0 = conv2d %x, %w, %b {stride=2, padding=1} : f32[3,3,33]
  %1 = relu %0 : f32[3,3,33]
  %2 = conv_transpose2d %1, %v, %c {stride=2, padding=1} : f32[6,6,17]
  %3 = relu %2 : f32[6,6,17]
  return y=%3 : f32[6,6,17]
}`, nil, map[string]int{"einsum": 2, "map": 17, "row": 1}, 1e-6},
	{"float32 gate", symbolS + `func @f(%x: input f32[S,45], %g: weight "g" f32[19,45], %u: weight "u" f32[19,45], %b: weight "b" f32[19]) {
  %0 = einsum %x, %g {spec="ab,cb->ac"} : f32[S,19]
  %1 = gelu_tanh %0 : f32[S,19]
  %2 = einsum %x, %u {spec="ab,cb->ac"} : f32[S,19]
  %3 = add %2, %b : f32[S,19]
  %4 = mul %1, %3 : f32[S,19]
  return y=%4 : f32[S,19]
}`, map[string]int{"S": 11}, map[string]int{"einsum": 2, "map": 1}, 1e-6},
}

// tensors makes random inputs and weights, all of them numbers that bfloat16 holds.
func tensors(t *testing.T, f *ir.Func, syms map[string]int) (in map[string]*eval.Tensor, w weights) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 5))
	in, w = map[string]*eval.Tensor{}, weights{}
	for _, p := range f.Params {
		r := ir.Range{Lo: -2, Hi: 2}
		if p.Type.DType == ir.I32 {
			r = ir.Range{Lo: 0, Hi: 49}
		}
		x, err := eval.Random(rng, p.Type, syms, r)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range x.Data {
			x.Data[i] = float64(math.Float32frombits(math.Float32bits(float32(v)) &^ 0xffff))
		}
		if p.Kind == ir.Weight {
			w[p.Key] = x
		} else {
			in[p.Name] = x
		}
	}
	return in, w
}

// reference evaluates a function.
func reference(t *testing.T, f *ir.Func, in map[string]*eval.Tensor, w weights, syms map[string]int) map[string]*eval.Tensor {
	t.Helper()
	all := map[string]*eval.Tensor{}
	for _, p := range f.Params {
		if p.Kind == ir.Weight {
			all[p.Key] = w[p.Key]
		} else {
			all[p.Name] = in[p.Name]
		}
	}
	out, err := eval.Func(f, all, syms)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// difference is the largest one relative to the largest value.
func difference(got, want *eval.Tensor) float64 {
	worst, top := 0.0, 1e-9
	for i, v := range want.Data {
		if d := math.Abs(got.Data[i] - v); !(d <= worst) {
			worst = d
		}
		top = max(top, math.Abs(v))
	}
	return worst / top
}

// TestGraphsMatchEvaluator optimizes functions, runs them in PTX, and compares with the evaluator on what was not
// optimized.
func TestGraphsMatchEvaluator(t *testing.T) {
	for _, c := range graphCases {
		t.Run(c.name, func(t *testing.T) {
			m, err := text.Parse(c.name+".pgir", c.source)
			if err != nil {
				t.Fatal(err)
			}
			plain := m.Clone().Func("f")
			in, w := tensors(t, plain, c.syms)
			d := newDevice(t, m, w)
			got := d.call("f", in, c.syms)["y"]
			worst := difference(got, reference(t, plain, in, w, c.syms)["y"])
			t.Logf("error %.2g of the largest; kernels %v", worst, d.count)
			if !(worst <= c.tolerance) {
				t.Errorf("error %g, at most %g allowed", worst, c.tolerance)
			}
			for kind, n := range c.kernels {
				if d.count[kind] != n || len(d.count) != len(c.kernels) {
					t.Errorf("kernels %v, expected %v", d.count, c.kernels)
				}
			}
		})
	}
}

// TestModel runs a whole small PaliGemma with every product on tensor cores, its activations rounded to bfloat16 in
// front of them.
func TestModel(t *testing.T) { recordedModel.run(t) }

var recordedModel = &remade{test: func(t *testing.T) {
	cfg := paligemma.Config{
		Vision: paligemma.Vision{HiddenSize: 39, IntermediateSize: 53, NumHiddenLayers: 1, NumAttentionHeads: 3, ImageSize: 21, PatchSize: 7, LayerNormEps: 1e-6},
		Text: paligemma.Text{VocabSize: 301, HiddenSize: 43, IntermediateSize: 71, NumHiddenLayers: 2, NumAttentionHeads: 5,
			NumKeyValueHeads: 1, HeadDim: 10, RMSNormEps: 1e-6, RopeTheta: 1e4, QueryPreAttnScalar: 10, TieWordEmbeddings: true}}
	plain, err := paligemma.Graph(cfg, paligemma.Options{MaxTokens: 30, DType: func(string) ir.DType { return ir.BF16 }})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	w := weights{}
	for _, f := range plain.Funcs {
		for _, p := range f.Params {
			if p.Kind != ir.Weight || w[p.Key] != nil {
				continue
			}
			r := 1.7 / math.Sqrt(float64(max(1, p.Type.Last().N)))
			if w[p.Key], err = eval.Random(rng, p.Type, nil, ir.Range{Lo: -r, Hi: r}); err != nil {
				t.Fatal(err)
			}
		}
	}
	size, patches := cfg.Vision.ImageSize, cfg.Vision.Tokens()
	pixels, err := eval.Random(rng, ir.T(ir.F32, ir.Dims(3, size, size)...), nil, ir.Range{Lo: -1, Hi: 1})
	if err != nil {
		t.Fatal(err)
	}
	tokens := patches + 6
	ids, slots := eval.New(ir.I32, tokens), eval.New(ir.I32, tokens)
	for i := range ids.Data {
		ids.Data[i], slots.Data[i] = float64(rng.IntN(cfg.Text.VocabSize)), -1
		if i < patches {
			slots.Data[i] = float64(i)
		}
	}
	in := map[string]*eval.Tensor{"pixels": pixels, "ids": ids, "slots": slots}
	for _, f := range plain.Funcs {
		for _, p := range f.Params {
			if shape, err := p.Type.Eval(nil); err == nil && p.Kind == ir.State {
				in[p.Name] = eval.New(p.Type.DType, shape...)
			}
		}
	}
	syms := map[string]int{"S": tokens, "T": tokens, "past": 0, "prefix": patches + 3, "row": 0, "R": tokens, "slot": 2}
	features := reference(t, plain.Func("encode_image"), in, w, syms)["features"]
	in["features"] = features
	filled := reference(t, plain.Func("prefill"), in, w, syms)

	d := newDevice(t, plain.Clone(), w)
	check := func(what string, got, want *eval.Tensor) {
		worst := difference(got, want)
		t.Logf("%s: error %.2g of the largest; kernels %v", what, worst, d.count)
		if !(worst < 0.02) {
			t.Errorf("%s: error %g", what, worst)
		}
		clear(d.count)
	}
	d.call("encode_image", in, syms)
	check("features of the image", d.state("features"), features)
	// greedily compares the logits of the last token with those of the evaluator, and the greatest of them with what
	// greedy chooses.
	greedily := func(what string) {
		in := map[string]*eval.Tensor{"last": d.state("last")}
		got := d.call("logits", in, nil)["logits"]
		check("logits of "+what, got, reference(t, plain.Func("logits"), in, w, nil)["logits"])
		best := 0
		for i, v := range got.Data {
			if v > got.Data[best] {
				best = i
			}
		}
		d.call("greedy", nil, nil)
		if next := d.state("next").Data[0]; int(next) != best {
			t.Errorf("greedy chooses %g of %s, the greatest logit is %d", next, what, best)
		}
		clear(d.count)
	}
	d.call("prefill", in, syms)
	check("the prompt", d.state("last"), filled["last"])
	greedily("the prompt")
	// One token more; the norms are prologues of the products.
	next := maps.Clone(in)
	maps.Copy(next, filled)
	next["next"] = eval.FromInt32([]int32{17}, 1)
	syms["T"], syms["past"] = tokens+1, tokens
	want := reference(t, plain.Func("decode"), next, w, syms)["last"]
	d.setState("next", next["next"])
	d.call("decode", nil, syms)
	check("a token", d.state("last"), want)
	decoded := d.state("last")
	greedily("a token")
	// The same token again, with the choice in one function.
	chosen := d.state("next").Data[0]
	d.setState("next", next["next"])
	d.call("step", nil, syms)
	if !slices.Equal(d.state("last").Data, decoded.Data) || d.state("next").Data[0] != chosen {
		t.Errorf("a step chooses %g, decode and greedy %g", d.state("next").Data[0], chosen)
	}
	if !d.prologue {
		t.Error("no product has a prologue")
	}
	// And once more as the only one of a batch: its keys go to their place again, and nothing else changes.
	ids, positions := eval.New(ir.I32, paligemma.MaxBatch), eval.New(ir.I32, paligemma.MaxBatch)
	for i := range positions.Data {
		positions.Data[i] = -1
	}
	ids.Data[syms["slot"]], positions.Data[syms["slot"]] = next["next"].Data[0], float64(tokens)
	keys := d.state("k1")
	cleared, row := eval.New(keys.DType, keys.Shape...), cfg.Text.NumKeyValueHeads*cfg.Text.HeadDim
	copy(cleared.Data, keys.Data)
	clear(cleared.Data[(syms["slot"]*keys.Shape[1]+tokens)*row:][:row])
	d.setState("k1", cleared)
	d.setState("next_batch", ids)
	d.call("step_batch", map[string]*eval.Tensor{"positions": positions}, syms)
	hidden := cfg.Text.HiddenSize
	if !slices.Equal(d.state("last_batch").Data[syms["slot"]*hidden:][:hidden], decoded.Data) || d.state("next_batch").Data[syms["slot"]] != chosen {
		t.Error("a step of a batch has other bits than one of its sequence alone")
	}
	if !slices.Equal(d.state("k1").Data, keys.Data) || slices.Equal(cleared.Data, keys.Data) {
		t.Error("a step of a batch leaves other keys than one of its sequence alone")
	}
}}
