package colpali

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgc/models"
	"pgc/models/config"
	"pgc/runtime/manifest"
)

func parse(t *testing.T, text string) *config.Section {
	t.Helper()
	s, err := config.Parse("config.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const small = `{"model_type": "colpali", "vlm_config": {"model_type": "paligemma", "image_token_index": 90,
	"text_config": {"model_type": "gemma2", "vocab_size": 99, "hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 2,
	"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 6}, "vision_config": {"hidden_size": 10, "intermediate_size": 14,
	"num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 15, "patch_size": 5}}`

func TestRead(t *testing.T) {
	s := parse(t, small+`, "embedding_dim": 7}`)
	c := Model.Read(s)
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	f := c.Facts()
	if f.Kind != "colpali (gemma2)" || f.ImageTokens != 9 || f.VocabSize != 99 || c.(Config).EmbeddingDim != 7 {
		t.Errorf("%+v", c)
	}
	// Checkpoints of transformers 4 say the text model's configuration twice.
	if s := parse(t, small+`, "text_config": {"model_type": "gemma"}, "initializer_range": 0.02}`); Model.Read(s) == nil || s.Err() != nil {
		t.Error(s.Err())
	}
	if c := Model.Read(parse(t, `{}`)).(Config); c.EmbeddingDim != 128 || c.Text.HiddenSize != 2048 {
		t.Errorf("defaults %+v, expected Gemma 2B and 128 elements", c)
	}
	for text, want := range map[string]string{
		`{"vlm_config": {"model_type": "llava"}}`:             `config.json: vlm_config.model_type is "llava", expected "paligemma"`,
		`{"vlm_config": {"text_config": {"hidden_size": 0}}}`: "config.json: vlm_config.text_config.hidden_size is 0, expected a positive number",
		`{"embedding_dim": "x"}`:                              `config.json: embedding_dim is "x", expected a whole number`,
	} {
		s := parse(t, text)
		if Model.Read(s); s.Err() == nil || !strings.HasPrefix(s.Err().Error(), want) {
			t.Errorf("%s: error %v, expected %s", text, s.Err(), want)
		}
	}
}

// TestWeights lists what the graph declares beside PaliGemma's own, and that the head takes no part.
func TestWeights(t *testing.T) {
	list, err := models.Weights(Model.Read(parse(t, small+`}`)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]models.Weight{{Name: "embedding_proj_layer.weight", Shape: []int{128, 12}}, {Name: "embedding_proj_layer.bias", Shape: []int{128}}}, list[len(list)-2:]); diff != "" {
		t.Error(diff)
	}
	if slices.ContainsFunc(list, func(w models.Weight) bool { return w.Name == "lm_head.weight" }) || !Model.Ignored("lm_head.weight") {
		t.Error("the model has no head")
	}
	for _, w := range list {
		if got := Model.Canonical(Model.Hub(w.Name)); got != w.Name {
			t.Errorf("%s is %s on the hub, which is read as %s", w.Name, Model.Hub(w.Name), got)
		}
	}
}

func TestCanonical(t *testing.T) {
	for stored, want := range map[string]string{
		"vlm.language_model.model.layers.0.mlp.up_proj.weight":   "language_model.layers.0.mlp.up_proj.weight", // the hub, transformers 5
		"vlm.language_model.layers.0.mlp.up_proj.weight":         "language_model.layers.0.mlp.up_proj.weight",
		"vlm.model.language_model.layers.0.mlp.up_proj.weight":   "language_model.layers.0.mlp.up_proj.weight", // transformers 4.52
		"model.language_model.model.layers.0.mlp.up_proj.weight": "language_model.layers.0.mlp.up_proj.weight", // colpali-engine
		"vlm.vision_tower.vision_model.post_layernorm.bias":      "vision_tower.post_layernorm.bias",
		"vision_tower.post_layernorm.bias":                       "vision_tower.post_layernorm.bias",
		"vlm.language_model.lm_head.weight":                      "lm_head.weight",
		"embedding_proj_layer.bias":                              "embedding_proj_layer.bias",
		"custom_text_proj.weight":                                "embedding_proj_layer.weight",
	} {
		if got := Model.Canonical(stored); got != want {
			t.Errorf("%s gives %s, expected %s", stored, got, want)
		}
	}
}

func TestPrompts(t *testing.T) {
	c := Model.Read(parse(t, small+`}`))
	got := Model.Embeds(c, parse(t, `{"query_prefix": "Find: "}`))
	want := &manifest.Embedding{Dim: 128,
		Image: []manifest.Segment{{Token: 90, Count: 9}, {Token: 2, Count: 1}, {Text: "Describe the image.\n"}},
		Query: []manifest.Segment{{Token: 2, Count: 1}, {Text: "Find: ", User: true}, {Token: 0, Count: 10}, {Text: "\n"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
