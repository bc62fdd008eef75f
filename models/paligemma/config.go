// Package paligemma describes PaliGemma 1 and 2 in the DSL, in plain operations: the SigLIP image encoder, the linear
// projector, and the Gemma or Gemma 2 decoder.
//
// The code follows the papers (Beyer et al. 2024, "PaliGemma"; Steiner et al. 2024, "PaliGemma 2"; Zhai et al. 2023,
// "Sigmoid loss for language image pre-training"; Gemma Team 2024) and transformers' modeling_siglip.py,
// modeling_gemma.py, modeling_gemma2.py and modeling_paligemma.py, whose names weights and settings keep. Nothing here
// knows about fusion, layouts or machines. It imports frontend and ir.
package paligemma

import "pgc/ir"

// Vision is the configuration of the SigLIP tower.
type Vision struct {
	HiddenSize, IntermediateSize, NumHiddenLayers, NumAttentionHeads int
	ImageSize, PatchSize                                             int
	LayerNormEps                                                     float64
}

// Tokens is the number of patches of a picture, the tokens it becomes.
func (v Vision) Tokens() int { return (v.ImageSize / v.PatchSize) * (v.ImageSize / v.PatchSize) }

// Text is the configuration of the decoder.
type Text struct {
	Gemma2                                                   bool
	VocabSize, HiddenSize, IntermediateSize, NumHiddenLayers int
	NumAttentionHeads, NumKeyValueHeads, HeadDim             int
	RMSNormEps, RopeTheta, QueryPreAttnScalar                float64
	AttnLogitSoftcapping, FinalLogitSoftcapping              float64 // 0 is off
	SlidingWindow                                            int     // 0 is off
	SlidingLayers                                            []bool  // which layers attend through the window
	TieWordEmbeddings                                        bool
}

// Config is the configuration of a model.
type Config struct {
	Vision Vision
	Text   Text
}

// Options says how to build the functions of a model.
type Options struct {
	// MaxTokens is the capacity of the KV cache in tokens, image tokens included.
	MaxTokens int
	// DType is the storage type of a weight, by its canonical name.
	DType func(key string) ir.DType
	// KV is the storage type of the KV cache; the zero value is f32.
	KV ir.DType
	// Integers makes products with integer matrices integer products: x is stored in groups of 8 bits first.
	Integers bool
	// BFloats makes products with bfloat16 matrices products of bfloat16: x is rounded to it first. Sums are float32.
	BFloats bool
	// Trace makes every layer's result an output, named as in the reference files of golden/.
	Trace bool
}
