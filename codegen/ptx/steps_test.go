package ptx

import (
	"testing"

	"pgc/ir"
	"pgc/models/paligemma"
)

// mostKernels is how many kernels functions take at most: each costs about a microsecond, even in a graph.
var mostKernels = map[string]int{"step": 95, "step_batch": 95, "prefill": 272}

// A token of PaliGemma 3B, from the choice of the last one to its own, takes five kernels a layer and five more, and so do
// those of eight sequences. A prompt takes fifteen a layer.
func TestKernelsOfAStep(t *testing.T) {
	m, err := paligemma.Graph(paligemma.Config{
		Vision: paligemma.Vision{HiddenSize: 1152, IntermediateSize: 4304, NumHiddenLayers: 1, NumAttentionHeads: 16, ImageSize: 224, PatchSize: 14, LayerNormEps: 1e-6},
		Text: paligemma.Text{VocabSize: 257216, HiddenSize: 2048, IntermediateSize: 16384, NumHiddenLayers: 18, NumAttentionHeads: 8,
			NumKeyValueHeads: 1, HeadDim: 256, RMSNormEps: 1e-6, RopeTheta: 1e4, QueryPreAttnScalar: 256, TieWordEmbeddings: true}},
		paligemma.Options{MaxTokens: 1024, KV: ir.BF16, FreshKeys: true, DType: func(string) ir.DType { return ir.BF16 }})
	if err != nil {
		t.Fatal(err)
	}
	r := compileModule(t, m, false)
	for _, f := range r.Program.Funcs {
		t.Logf("%s: %d launches", f.Name, len(f.Launches))
	}
	for name, most := range mostKernels {
		if n := len(r.Program.Func(name).Launches); n > most {
			t.Errorf("%s takes %d kernels, at most %d allowed", name, n, most)
		}
	}
}
