package paligemma

import (
	"math"
	"testing"

	"pgc/ir"
)

// TestFrequencies looks at the rotary frequencies in the graph of a model whose weights and cache are bf16: they are
// those that torch computes in float32, bit for bit, and none was rounded to bf16.
func TestFrequencies(t *testing.T) {
	cfg := Config{Vision: Vision{HiddenSize: 8, IntermediateSize: 8, NumHiddenLayers: 1, NumAttentionHeads: 2, ImageSize: 4, PatchSize: 2, LayerNormEps: 1e-6},
		Text: Text{VocabSize: 11, HiddenSize: 8, IntermediateSize: 8, NumHiddenLayers: 1, NumAttentionHeads: 2, NumKeyValueHeads: 1, HeadDim: 16,
			RMSNormEps: 1e-6, RopeTheta: 1e4, QueryPreAttnScalar: 16, TieWordEmbeddings: true}}
	m, err := Graph(cfg, Options{MaxTokens: 9, KV: ir.BF16, DType: func(string) ir.DType { return ir.BF16 }})
	if err != nil {
		t.Fatal(err)
	}
	// 1.0 / 10000**(torch.arange(0, 16, 2).float() / 16)
	torch := []uint32{0x3f800000, 0x3ea1e89b, 0x3dcccccd, 0x3d0186e3, 0x3c23d70a, 0x3b4f3e38, 0x3a83126f, 0x39a5cb60}
	found := 0
	for _, f := range m.Funcs {
		for _, op := range f.Ops {
			if op.Def != ir.OpConstant || op.Result().Type.Rank() != 2 || op.Result().Type.Last() != ir.D(8) {
				continue
			}
			found++
			if op.Result().Type.DType != ir.F32 {
				t.Errorf("@%s: frequencies are %s", f.Name, op.Result().Type)
			}
			for i, v := range op.Attrs.(ir.ConstantAttrs).Values {
				if float32(v) != math.Float32frombits(torch[i]) {
					t.Errorf("@%s: frequency %d is %g, want %g", f.Name, i, v, math.Float32frombits(torch[i]))
				}
			}
		}
	}
	if found < 3 {
		t.Errorf("frequencies in %d functions, want prefill, forward and decode", found)
	}
}
