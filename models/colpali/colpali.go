// Package colpali describes ColPali: PaliGemma with a projection of the last hidden states to short vectors of length
// 1, by which pages are found (Faysse et al. 2024, "ColPali: Efficient Document Retrieval with Vision Language
// Models"). It follows transformers' modeling_colpali.py and processing_colpali.py.
package colpali

import (
	"slices"
	"strings"

	. "pgc/frontend"
	"pgc/ir"
	"pgc/models"
	"pgc/models/config"
	"pgc/models/paligemma"
	"pgc/runtime/entry"
	"pgc/runtime/manifest"
)

// projection names the weights of the linear layer from hidden states to the vectors.
const projection = "embedding_proj_layer"

// Model is the record of ColPali.
var Model = models.Model{
	Type:      "colpali",
	Read:      read,
	Canonical: canonical,
	Hub:       hub,
	Ignored:   func(key string) bool { return paligemma.Ignored(key) || key == paligemma.Model.Head },
	Roles:     append(slices.Clone(paligemma.Roles), models.RoleOf{Prefix: projection + ".", Role: models.RetrievalHead}),
	Scale:     paligemma.Model.Scale,
	Embedding: paligemma.Model.Embedding,
	Embeds:    embeds,
	Released:  released,
}

// Config is the configuration of a model.
type Config struct {
	paligemma.Config     // vlm_config
	EmbeddingDim     int // elements of a vector
}

var inert = config.Keys(config.Inert, "vocab_size hidden_size image_token_index pad_token_id bos_token_id eos_token_id tie_word_embeddings text_config")

// read reads config.json with the defaults of transformers' ColPaliConfig.
func read(s *config.Section) models.Config {
	vlm, _ := s.Section("vlm_config")
	if kind := vlm.String("model_type", "paligemma"); kind != "paligemma" {
		vlm.Fail("model_type", "is %.80q, expected \"paligemma\"", kind)
	}
	c := Config{Config: paligemma.Read(vlm), EmbeddingDim: s.Size("embedding_dim", 128, 1<<16)}
	s.Rest(inert)
	return c
}

// Facts are those of PaliGemma under another name.
func (c Config) Facts() models.Facts {
	f := c.Config.Facts()
	f.Kind = "colpali (" + f.TextModelType + ")"
	return f
}

// WithVocabulary returns the configuration with n rows in the vocabulary.
func (c Config) WithVocabulary(n int) models.Config {
	c.Config = c.Config.WithVocabulary(n).(paligemma.Config)
	return c
}

// WithLayers returns the configuration with n layers in the encoder and in the decoder.
func (c Config) WithLayers(n int) models.Config {
	c.Config = c.Config.WithLayers(n).(paligemma.Config)
	return c
}

// Tied returns the configuration as it is: the model has no head.
func (c Config) Tied(bool) models.Config { return c }

// Graph returns the module:
//
//	encode_image(pixels [3,size,size]) -> state features [tokens, hidden], from row on
//	embed(ids [S], slots [S], state features) -> embeddings [S, dim], vectors of length 1
//
// With adapters kept beside the model, both have a form for each. All tokens of a call see each other. slots [S] holds the row of features
// for image tokens and -1 for text.
func (c Config) Graph(o models.Options) (*ir.Module, error) {
	return Build(func(m *Module) {
		S := m.Symbol(entry.SymTokens, o.MaxTokens)
		paligemma.EncodeImage(m, c.Config, o)
		paligemma.Define(m, c.Config, o, entry.Embed, func(f *Func, p paligemma.Parts) {
			ids, slots := f.Input(entry.InIDs, ir.I32, S), f.Input(entry.InSlots, ir.I32, S)
			x := p.Hidden(ids, slots, p.Features(), S)
			x = p.Biased(projection, x, c.EmbeddingDim)
			f.Return(entry.OutEmbeddings, Div(x, Sqrt(ReduceSum(Mul(x, x)))))
		})
	})
}

// canonical maps a tensor's name in the layouts of transformers 4 and 5 and of colpali-engine, which calls the
// projection custom_text_proj, to embedding_proj_layer.… and to PaliGemma's names.
func canonical(stored string) string {
	key := strings.TrimPrefix(stored, "vlm.")
	if rest, ok := strings.CutPrefix(key, "custom_text_proj."); ok {
		return projection + "." + rest
	}
	return paligemma.Canonical(key)
}

// hub maps a canonical name to the one that the hub's checkpoints have.
func hub(key string) string {
	if strings.HasPrefix(key, projection) {
		return key
	}
	return "vlm." + paligemma.Hub(key)
}

// embeds lays out the prompts as transformers' ColPaliProcessor does: image tokens, <bos> and a fixed text; or <bos>,
// the query behind a prefix, ten <pad> as room for thought, and a newline.
func embeds(c models.Config, processor *config.Section) *manifest.Embedding {
	f := c.Facts()
	bos := manifest.Segment{Token: f.BOSTokenID, Count: 1}
	return &manifest.Embedding{
		Dim: c.(Config).EmbeddingDim,
		Image: []manifest.Segment{{Token: f.ImageTokenIndex, Count: f.ImageTokens}, bos,
			{Text: processor.String("visual_prompt_prefix", "Describe the image.") + "\n"}},
		Query: []manifest.Segment{bos, {Text: processor.String("query_prefix", "Question: "), User: true},
			{Token: f.PADTokenID, Count: 10}, {Text: "\n"}},
	}
}

// released returns the configuration of vidore/colpali-v1.3-hf.
func released() map[string]any {
	return map[string]any{"colpali-v1.3": map[string]any{"model_type": "colpali", "architectures": []string{"ColPaliForRetrieval"},
		"embedding_dim": 128, "vlm_config": paligemma.Released("paligemma-3b", 448)}}
}
