package passes_test

import (
	"testing"
	"time"

	"pgc/ir"
	"pgc/models/paligemma"
	"pgc/passes"
)

// model3B is the shape of PaliGemma 3B at 224 pixels.
func model3B(t testing.TB) *ir.Module {
	t.Helper()
	cfg := paligemma.Config{
		Vision: paligemma.Vision{HiddenSize: 1152, IntermediateSize: 4304, NumHiddenLayers: 27, NumAttentionHeads: 16, ImageSize: 224, PatchSize: 14, LayerNormEps: 1e-6},
		Text: paligemma.Text{VocabSize: 257216, HiddenSize: 2048, IntermediateSize: 16384, NumHiddenLayers: 18, NumAttentionHeads: 8,
			NumKeyValueHeads: 1, HeadDim: 256, RMSNormEps: 1e-6, RopeTheta: 1e4, QueryPreAttnScalar: 256, TieWordEmbeddings: true}}
	m, err := paligemma.Graph(cfg, paligemma.Options{MaxTokens: 1024, DType: func(string) ir.DType { return ir.BF16 }})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestPlan checks on the 3B graphs that no two buffers in use overlap, and how near the arena is to what must be alive.
func TestPlan(t *testing.T) {
	m := model3B(t)
	start := time.Now()
	if err := passes.Optimize(m, passes.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Logf("the pipeline took %v", time.Since(start))
	for _, f := range m.Funcs {
		if err := passes.CheckPlan(f); err != nil {
			t.Error(err)
		}
		arena := passes.ArenaOf(f)
		t.Logf("@%-13s %3d operations, arena %9d bytes, alive at once %9d", f.Name, len(f.Ops), arena.Bytes, arena.LowerBound)
		if float64(arena.Bytes) > 1.05*float64(arena.LowerBound) {
			t.Errorf("@%s: the arena is more than 5 %% over what is alive at once", f.Name)
		}
	}
}

// TestDeterministic optimizes twice and compares the text.
func TestDeterministic(t *testing.T) {
	var texts [2]string
	for i := range texts {
		m := model3B(t)
		if err := passes.Optimize(m, passes.Options{}); err != nil {
			t.Fatal(err)
		}
		texts[i] = m.String()
	}
	if texts[0] != texts[1] {
		t.Error("two runs of the pipeline give different graphs")
	}
}
