package passes_test

import (
	"fmt"
	"testing"

	"pgc/ir"
	"pgc/models/paligemma"
	"pgc/passes"
	"pgc/runtime/entry"
)

// released is the shape of a released model with some layers.
func released(t testing.TB, gemma2 bool, layers, imageSize int, dtype ir.DType) *ir.Module {
	t.Helper()
	cfg := paligemma.Config{
		Vision: paligemma.Vision{HiddenSize: 1152, IntermediateSize: 4304, NumHiddenLayers: layers, NumAttentionHeads: 16, ImageSize: imageSize, PatchSize: 14, LayerNormEps: 1e-6},
		Text: paligemma.Text{VocabSize: 257216, HiddenSize: 2048, IntermediateSize: 16384, NumHiddenLayers: layers, NumAttentionHeads: 8,
			NumKeyValueHeads: 1, HeadDim: 256, RMSNormEps: 1e-6, RopeTheta: 1e4, QueryPreAttnScalar: 256, TieWordEmbeddings: true}}
	if gemma2 {
		x := &cfg.Text
		x.ModelType, x.HiddenSize, x.IntermediateSize, x.NumKeyValueHeads = "gemma2", 2304, 9216, 4
		x.AttnLogitSoftcapping, x.FinalLogitSoftcapping, x.SlidingWindow = 50, 30, 4096
		for i := range layers {
			x.LayerTypes = append(x.LayerTypes, []string{"sliding_attention", "full_attention"}[i%2])
		}
	}
	stored := func(key string) ir.DType {
		if len(key) > 7 && key[len(key)-7:] == ".weight" && dtype.IsQuantized() && (key[len(key)-12:] == "_proj.weight" || key == "language_model.embed_tokens.weight") {
			return dtype
		}
		return ir.BF16
	}
	m, err := paligemma.Graph(cfg, paligemma.Options{MaxTokens: 2048, DType: stored, QuantizeActivations: dtype.IsQuantized()})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// kernelsOf counts the operations that launch kernels.
func kernelsOf(f *ir.Func) (n int) {
	for _, op := range f.Ops {
		switch op.Def {
		case ir.OpMap, ir.OpRow, ir.OpMatmul, ir.OpAttention:
			n++
		}
	}
	return n
}

// TestModelsFuse holds the fused models to what they should be: per layer so many kernels, nothing that a fusion should
// have taken, no tensor of scores, an arena near the least possible.
func TestModelsFuse(t *testing.T) {
	for _, c := range []struct {
		gemma2  bool
		dtype   ir.DType
		kernels map[string]int // per layer, at most
	}{
		{false, ir.BF16, map[string]int{"encode_image": 7, "prefill": 7, "decode": 5, "decode_batch": 7}},
		{true, ir.BF16, map[string]int{"encode_image": 7, "prefill": 9, "decode": 5, "decode_batch": 9}},
		{false, ir.I4G128, map[string]int{"encode_image": 8, "prefill": 9, "decode": 9, "decode_batch": 9}},
	} {
		name := fmt.Sprintf("gemma2=%v %s", c.gemma2, c.dtype)
		few, many := released(t, c.gemma2, 2, 448, c.dtype), released(t, c.gemma2, 4, 448, c.dtype)
		for _, m := range []*ir.Module{few, many} {
			if err := passes.Optimize(m, passes.Options{Check: true}); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range many.Funcs {
			per := (kernelsOf(f) - kernelsOf(few.Func(f.Name))) / 2
			a := passes.ArenaOf(f)
			t.Logf("%s @%s: %d kernels, %d of them a layer; arena %d bytes, %d alive at once", name, f.Name, kernelsOf(f), per, a.Bytes, a.LowerBound)
			if most, ok := c.kernels[f.Name]; ok && per > most {
				t.Errorf("%s @%s: %d kernels a layer, expected at most %d", name, f.Name, per, most)
			}
			if float64(a.Bytes) > 1.05*float64(a.LowerBound) {
				t.Errorf("%s @%s: the arena is more than 5 %% over what is alive at once", name, f.Name)
			}
			for _, op := range f.Ops {
				switch op.Def {
				case ir.OpMap, ir.OpRow, ir.OpMatmul, ir.OpAttention, ir.OpReshape, ir.OpTranspose, ir.OpSlice, ir.OpBroadcast,
					ir.OpDynamicSlice, ir.OpDynamicUpdateSlice, ir.OpSymbol, ir.OpIota, ir.OpConstant:
				default:
					if f.Name == entry.Attend && (op.Def == ir.OpEinsum || op.Def == ir.OpConcat) {
						continue // scores that are a result
					}
					if op.Def == ir.OpArgmax && op.Result().Type.Shape[0] != ir.D(1) {
						continue // of the logits of several rows, which are written
					}
					t.Errorf("%s @%s: %s is left", name, f.Name, op)
				}
				for _, v := range op.Results {
					long := 0
					for _, d := range v.Type.Shape {
						if d == ir.Sym("S") || d == ir.Sym("T") || f.Name == "encode_image" && d == ir.D(1024) {
							long++
						}
					}
					if long > 1 {
						t.Errorf("%s @%s: a tensor of scores: %s", name, f.Name, op)
					}
				}
			}
		}
	}
}
