// Package paligemma describes PaliGemma 1 and 2 in the DSL, in plain operations: the SigLIP image encoder, the linear
// projector, and the Gemma or Gemma 2 decoder.
//
// The code follows the papers (Beyer et al. 2024, "PaliGemma"; Steiner et al. 2024, "PaliGemma 2"; Zhai et al. 2023,
// "Sigmoid loss for language image pre-training"; Gemma Team 2024) and transformers' modeling_siglip.py,
// modeling_gemma.py, modeling_gemma2.py and modeling_paligemma.py, whose names weights and settings keep. Nothing here
// knows about fusion, layouts or machines.
package paligemma

import (
	"fmt"

	"pgc/ir"
	"pgc/models"
)

// Vision is the configuration of the SigLIP tower.
type Vision struct {
	HiddenSize, IntermediateSize, NumHiddenLayers, NumAttentionHeads int
	ImageSize, PatchSize                                             int
	LayerNormEps                                                     float64
}

// Tokens is the number of patches of an image, the tokens it becomes.
func (v Vision) Tokens() int { return (v.ImageSize / v.PatchSize) * (v.ImageSize / v.PatchSize) }

// The values of text_config.model_type and of layer_types.
const (
	gemma            = "gemma"
	gemma2           = "gemma2"
	slidingAttention = "sliding_attention"
	fullAttention    = "full_attention"
)

// Text is the configuration of the decoder.
type Text struct {
	ModelType                                                string // gemma, also where it is empty, or gemma2
	VocabSize, HiddenSize, IntermediateSize, NumHiddenLayers int
	NumAttentionHeads, NumKeyValueHeads, HeadDim             int
	RMSNormEps, RopeTheta, QueryPreAttnScalar                float64
	AttnLogitSoftcapping, FinalLogitSoftcapping              float64  // 0 is off
	SlidingWindow                                            int      // 0 is off
	LayerTypes                                               []string // sliding_attention or full_attention, for each layer; full where there are none
	TieWordEmbeddings                                        bool
}

// Config is the configuration of a model.
type Config struct {
	Vision Vision
	Text   Text

	ImageTokenIndex, BOSTokenID, PADTokenID int
	EOSTokenID                              []int
}

// Facts are the settings that the rest of the house reads.
func (c Config) Facts() models.Facts {
	full, sliding, window := c.Text.kinds()
	return models.Facts{FullLayers: full, SlidingLayers: sliding, SlidingWindow: window, Kind: fmt.Sprintf("paligemma (%s)", c.Text.ModelType), TextModelType: c.Text.ModelType,
		ImageSize: c.Vision.ImageSize, ImageTokens: c.Vision.Tokens(), HiddenSize: c.Text.HiddenSize, VocabSize: c.Text.VocabSize,
		NumHiddenLayers: min(c.Text.NumHiddenLayers, c.Vision.NumHiddenLayers), TieWordEmbeddings: c.Text.TieWordEmbeddings,
		ImageTokenIndex: c.ImageTokenIndex, BOSTokenID: c.BOSTokenID, PADTokenID: c.PADTokenID, EOSTokenID: c.EOSTokenID}
}

// WithLayers returns the configuration with n layers in the encoder and in the decoder.
func (c Config) WithLayers(n int) models.Config {
	c.Text.NumHiddenLayers, c.Vision.NumHiddenLayers = n, n
	return c
}

// WithVocabulary returns the configuration with n rows in the vocabulary.
func (c Config) WithVocabulary(n int) models.Config {
	c.Text.VocabSize = n
	return c
}

// Tied returns the configuration with the embedding as its head, or with a head of its own.
func (c Config) Tied(tied bool) models.Config {
	c.Text.TieWordEmbeddings = tied
	return c
}

// Graph builds the module; see the function Graph.
func (c Config) Graph(o models.Options) (*ir.Module, error) { return Graph(c, o) }

// Options says how to build the functions of a model.
type Options = models.Options
