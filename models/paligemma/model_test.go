package paligemma

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgc/ir"
	"pgc/models"
	"pgc/models/config"
)

// defaults reads a configuration whose vocabulary may be too small for its special tokens.
func defaults(t *testing.T, text string) Config {
	t.Helper()
	s, err := config.Parse("config.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c := Read(s)
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return c
}

func TestCanonical(t *testing.T) {
	for _, key := range []string{"language_model.model.layers.0.mlp.up_proj.weight", "model.language_model.layers.0.mlp.up_proj.weight"} {
		if got := Canonical(key); got != "language_model.layers.0.mlp.up_proj.weight" {
			t.Errorf("%s gives %s", key, got)
		}
	}
	for _, key := range []string{"vision_tower.vision_model.post_layernorm.bias", "vision_tower.post_layernorm.bias",
		"model.vision_tower.post_layernorm.bias", "model.vision_tower.vision_model.post_layernorm.bias"} {
		if got := Canonical(key); got != "vision_tower.post_layernorm.bias" {
			t.Errorf("%s gives %s", key, got)
		}
	}
}

// TestDefaults checks what missing keys mean: the defaults of transformers 5.23's GemmaConfig, Gemma2Config and
// SiglipVisionConfig, and PaliGemmaConfig's own when there is no vision_config.
func TestDefaults(t *testing.T) {
	c := defaults(t, `{"model_type":"paligemma","text_config":{"model_type":"gemma"},"vision_config":{}}`)
	want := Text{ModelType: "gemma", VocabSize: 256000, HiddenSize: 3072, IntermediateSize: 24576, NumHiddenLayers: 28, NumAttentionHeads: 16,
		NumKeyValueHeads: 16, HeadDim: 256, RMSNormEps: 1e-6, RopeTheta: 1e4, QueryPreAttnScalar: 256, TieWordEmbeddings: true}
	if diff := cmp.Diff(want, c.Text); diff != "" {
		t.Error(diff)
	}
	vision := Vision{HiddenSize: 768, IntermediateSize: 3072, NumHiddenLayers: 12, NumAttentionHeads: 12, ImageSize: 224, PatchSize: 16, LayerNormEps: 1e-6}
	if diff := cmp.Diff(vision, c.Vision); diff != "" {
		t.Error(diff)
	}
	if c.ImageTokenIndex != 256000 {
		t.Errorf("image_token_index %d, want 256000", c.ImageTokenIndex)
	}
	c = defaults(t, `{"model_type":"paligemma"}`)
	want = Text{ModelType: "gemma", VocabSize: 257152, HiddenSize: 2048, IntermediateSize: 16384, NumHiddenLayers: 18, NumAttentionHeads: 8,
		NumKeyValueHeads: 1, HeadDim: 256, RMSNormEps: 1e-6, RopeTheta: 1e4, QueryPreAttnScalar: 256, TieWordEmbeddings: true}
	if diff := cmp.Diff(want, c.Text); diff != "" {
		t.Error(diff)
	}
	c = defaults(t, `{"model_type":"paligemma","text_config":{"model_type":"gemma2","num_hidden_layers":3,"final_logit_softcapping":null,"rope_parameters":{"rope_theta":500}}}`)
	want = Text{ModelType: "gemma2", VocabSize: 256000, HiddenSize: 2304, IntermediateSize: 9216, NumHiddenLayers: 3, NumAttentionHeads: 8,
		NumKeyValueHeads: 4, HeadDim: 256, RMSNormEps: 1e-6, RopeTheta: 500, QueryPreAttnScalar: 256, AttnLogitSoftcapping: 50,
		SlidingWindow: 4096, LayerTypes: []string{"sliding_attention", "full_attention", "sliding_attention"}, TieWordEmbeddings: true}
	if diff := cmp.Diff(want, c.Text); diff != "" {
		t.Error(diff)
	}
	vision = Vision{HiddenSize: 1152, IntermediateSize: 4096, NumHiddenLayers: 27, NumAttentionHeads: 16, ImageSize: 224, PatchSize: 14, LayerNormEps: 1e-6}
	if diff := cmp.Diff(vision, c.Vision); diff != "" {
		t.Error(diff)
	}
}

// TestScales expects the factors of SigLIP's norms among the weights of a graph, and no others.
func TestScales(t *testing.T) {
	c := defaults(t, `{"model_type":"paligemma","text_config":{"model_type":"gemma2"},"vision_config":{}}`).WithLayers(1)
	weights, err := models.Weights(c)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range weights {
		if Model.Scale(w.Name) {
			got = append(got, w.Name)
		}
	}
	layer := "vision_tower.encoder.layers.0."
	want := []string{layer + "layer_norm1.weight", layer + "layer_norm2.weight", "vision_tower.post_layernorm.weight"}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestDeclarations expects the weights of all functions, in their order, from those that Weights builds.
func TestDeclarations(t *testing.T) {
	for _, config := range []string{
		`{"model_type":"paligemma","text_config":{"model_type":"gemma"},"vision_config":{}}`,
		`{"model_type":"paligemma","text_config":{"model_type":"gemma2"},"vision_config":{}}`,
		`{"model_type":"paligemma","tie_word_embeddings":false,"text_config":{"model_type":"gemma2","tie_word_embeddings":false},"vision_config":{}}`,
	} {
		c := defaults(t, config).WithLayers(2)
		got, err := models.Weights(c)
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Graph(models.Options{MaxTokens: c.Facts().ImageTokens + 1, DType: func(string) ir.DType { return ir.F32 }})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(models.Declared(m), got); diff != "" {
			t.Errorf("%s: all functions declare other weights than Weights says:\n%s", config, diff)
		}
	}
}
