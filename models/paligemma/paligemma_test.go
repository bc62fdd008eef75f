package paligemma

import (
	"math"
	"testing"

	"pgc/ir"
)

// TestFrequencies looks at the rotary frequencies in the graph of a model whose weights and cache are bf16: they are those of
// float32, bit for bit, and none was rounded to bf16.
func TestFrequencies(t *testing.T) {
	cfg := Config{Vision: Vision{HiddenSize: 8, IntermediateSize: 8, NumHiddenLayers: 1, NumAttentionHeads: 2, ImageSize: 4, PatchSize: 2, LayerNormEps: 1e-6},
		Text: Text{VocabSize: 11, HiddenSize: 8, IntermediateSize: 8, NumHiddenLayers: 1, NumAttentionHeads: 2, NumKeyValueHeads: 1, HeadDim: 256,
			RMSNormEps: 1e-6, RopeTheta: 1e4, QueryPreAttnScalar: 256, TieWordEmbeddings: true}}
	m, err := Graph(cfg, Options{MaxTokens: 9, KV: ir.BF16, DType: func(string) ir.DType { return ir.BF16 }})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range m.Funcs {
		for _, op := range f.Ops {
			if op.Def != ir.OpConstant || op.Out.Type.Rank() != 2 || op.Out.Type.Last() != ir.D(128) {
				continue
			}
			found++
			if op.Out.Type.DType != ir.F32 {
				t.Errorf("@%s: frequencies are %s", f.Name, op.Out.Type)
			}
			for i, v := range op.Attrs.(ir.ConstantAttrs).Values {
				if want := float64(float32(math.Pow(1e4, -float64(2*i)/256))); math.Abs(v-want) > 1e-7*want {
					t.Errorf("@%s: frequency %d is %g, want %g", f.Name, i, v, want)
				}
			}
		}
	}
	if found < 3 {
		t.Errorf("frequencies in %d functions, want prefill, forward and decode", found)
	}
}
