package text

import (
	"testing"
	"time"

	"pgc/ir"
	"pgc/models/paligemma"
)

// model3B is the text of a 3B model.
func model3B(t testing.TB) string {
	t.Helper()
	m, err := paligemma.Graph(paligemma.Config{
		Vision: paligemma.Vision{HiddenSize: 1152, IntermediateSize: 4304, NumHiddenLayers: 27, NumAttentionHeads: 16, ImageSize: 224, PatchSize: 14, LayerNormEps: 1e-6},
		Text: paligemma.Text{VocabSize: 257216, HiddenSize: 2048, IntermediateSize: 16384, NumHiddenLayers: 18, NumAttentionHeads: 8,
			NumKeyValueHeads: 1, HeadDim: 256, RMSNormEps: 1e-6, RopeTheta: 1e4, QueryPreAttnScalar: 256, TieWordEmbeddings: true}},
		paligemma.Options{MaxTokens: 1024, DType: func(string) ir.DType { return ir.BF16 }})
	if err != nil {
		t.Fatal(err)
	}
	return m.String()
}

func TestParseModel(t *testing.T) {
	src := model3B(t)
	start := time.Now()
	again, err := Format("model", src)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes parsed, verified and printed in %v", len(src), time.Since(start))
	if again != src {
		t.Error("the text of a model changes when it is parsed and printed")
	}
}

func BenchmarkParseModel(b *testing.B) {
	src := model3B(b)
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		if _, err := Parse("model", src); err != nil {
			b.Fatal(err)
		}
	}
}
