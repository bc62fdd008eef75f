// Package hf reads Hugging Face checkpoints: configuration, weights in every key layout, tokenizer and preprocessor.
//
// Everything in a checkpoint is untrusted: what is unknown, missing or inconsistent is one error naming file and key,
// found before any long work. The package imports models/paligemma (whose configuration it fills), ir and
// runtime/safetensors.
package hf

import (
	"fmt"
	"math"
	"slices"

	"pgc/models/paligemma"
)

// Config is config.json with its defaults filled in.
type Config struct {
	Model           paligemma.Config
	ModelType       string // of the text model: gemma or gemma2
	ImageTokenIndex int
	BOS, PAD        int
	EOSList         []int
}

// ReadConfig reads dir/config.json.
func ReadConfig(dir string) (*Config, error) {
	s, err := readJSON(dir, "config.json", maxConfig)
	if err != nil {
		return nil, err
	}
	return s.config()
}

// ParseConfig reads the text of a config.json; file names it in errors.
func ParseConfig(file string, text []byte) (*Config, error) {
	s, err := parseJSON(file, text)
	if err != nil {
		return nil, err
	}
	return s.config()
}

func (s *section) config() (*Config, error) {
	c, err := parseConfig(s)
	if err != nil {
		return nil, err
	}
	c.inVocabulary(s, "pad_token_id", c.PAD)
	c.inVocabulary(s, "bos_token_id", c.BOS)
	c.inVocabulary(s, "eos_token_id", c.EOSList...)
	c.inVocabulary(s, "image_token_index", c.ImageTokenIndex)
	return c, s.err
}

func parseConfig(s *section) (*Config, error) {
	if kind := s.string("model_type", ""); kind != "paligemma" {
		return nil, fmt.Errorf("%s: model_type is %.80q, expected \"paligemma\"", s.file, kind)
	}
	if s.has("quantization_config") {
		return nil, fmt.Errorf("%s: quantization_config is set: expected a checkpoint of float weights", s.file)
	}
	c := &Config{ImageTokenIndex: s.int("image_token_id", s.int("image_token_index", 256000))}
	text, hasText := s.section("text_config")
	c.ModelType = text.string("model_type", "gemma")
	if c.ModelType != "gemma" && c.ModelType != "gemma2" {
		return nil, fmt.Errorf("%s: text_config.model_type is %.80q, expected \"gemma\" or \"gemma2\"", s.file, c.ModelType)
	}
	gemma2 := c.ModelType == "gemma2"
	c.Model.Text = parseText(text, hasText, gemma2)
	// The head is tied by the outer setting; transformers does not read the text model's.
	c.Model.Text.TieWordEmbeddings = s.bool("tie_word_embeddings", true)
	vision, hasVision := s.section("vision_config")
	if kind := vision.string("model_type", "siglip_vision_model"); kind != "siglip_vision_model" {
		return nil, fmt.Errorf("%s: vision_config.model_type is %.80q, expected \"siglip_vision_model\"", s.file, kind)
	}
	c.Model.Vision = parseVision(vision, hasVision)
	c.checkSizes(s, text, vision)
	c.readIDs(s, text)
	s.rest(inertTop)
	text.rest(map[bool]map[string]bool{false: inertGemma, true: inertGemma2}[gemma2])
	vision.rest(inertVision)
	for _, sub := range []*section{vision, text, s} { // the picture's sizes are compared with the others'
		if sub.err != nil {
			return nil, sub.err
		}
	}
	return c, nil
}

// checkSizes compares sizes that the configuration gives more than once.
func (c *Config) checkSizes(s, text, vision *section) {
	if n := s.int("projection_dim", c.Model.Text.HiddenSize); n != c.Model.Text.HiddenSize {
		s.fail("projection_dim", "is %d, but text_config.hidden_size is %d", n, c.Model.Text.HiddenSize)
	}
	tokens := c.Model.Vision.Tokens()
	for _, sub := range []*section{text, vision} {
		if n := sub.int("num_image_tokens", tokens); n != tokens {
			sub.fail("num_image_tokens", "is %d, but image_size %d and patch_size %d make %d", n, c.Model.Vision.ImageSize, c.Model.Vision.PatchSize, tokens)
		}
	}
}

// readIDs reads the special tokens; the outer configuration goes before the text model's.
func (c *Config) readIDs(s, text *section) {
	from := func(key string) *section {
		here, there := s.has(key), text.has(key)
		if there && !here {
			return text
		}
		return s
	}
	c.PAD, c.BOS = from("pad_token_id").int("pad_token_id", 0), from("bos_token_id").int("bos_token_id", 2)
	c.EOSList = []int{1}
	if eos := from("eos_token_id"); eos.has("eos_token_id") {
		c.EOSList = eos.ids("eos_token_id")
	}
}

// inVocabulary demands that ids have rows in the embedding.
func (c *Config) inVocabulary(s *section, key string, ids ...int) {
	for _, id := range ids {
		if id >= c.Model.Text.VocabSize {
			s.fail(key, "is %d, beyond text_config.vocab_size %d", id, c.Model.Text.VocabSize)
		}
	}
}

// tanhGelu are the names of the tanh form of GELU. "gelu" is another function, but Gemma's configuration means this one.
var tanhGelu = []string{"gelu_pytorch_tanh", "gelu_fast", "gelu_new", "gelu_python_tanh", "gelu_accurate"}

// Bounds of sizes, far beyond any model: what follows from them fits into memory and into 64 bits.
const (
	maxSize   = 1 << 24
	maxLayers = 1 << 10
)

// parseText fills Gemma's configuration; the defaults of missing keys are those of GemmaConfig and Gemma2Config. Without a
// text_config they are those PaliGemmaConfig gives: Gemma 2B.
func parseText(s *section, present, gemma2 bool) paligemma.Text {
	d := paligemma.Text{VocabSize: 256000, HiddenSize: 3072, IntermediateSize: 24576, NumHiddenLayers: 28, NumAttentionHeads: 16,
		NumKeyValueHeads: 16, HeadDim: 256}
	if !present {
		d = paligemma.Text{VocabSize: 257152, HiddenSize: 2048, IntermediateSize: 16384, NumHiddenLayers: 18, NumAttentionHeads: 8,
			NumKeyValueHeads: 1, HeadDim: 256}
	}
	if gemma2 {
		d = paligemma.Text{VocabSize: 256000, HiddenSize: 2304, IntermediateSize: 9216, NumHiddenLayers: 26, NumAttentionHeads: 8,
			NumKeyValueHeads: 4, HeadDim: 256}
	}
	t := paligemma.Text{Gemma2: gemma2,
		VocabSize: s.size("vocab_size", d.VocabSize, maxSize), HiddenSize: s.size("hidden_size", d.HiddenSize, maxSize),
		IntermediateSize: s.size("intermediate_size", d.IntermediateSize, maxSize),
		NumHiddenLayers:  s.size("num_hidden_layers", d.NumHiddenLayers, maxLayers), NumAttentionHeads: s.size("num_attention_heads", d.NumAttentionHeads, maxSize),
		NumKeyValueHeads: s.size("num_key_value_heads", d.NumKeyValueHeads, maxSize), HeadDim: s.size("head_dim", d.HeadDim, maxSize),
		RMSNormEps: s.float("rms_norm_eps", 1e-6), RopeTheta: s.float("rope_theta", 1e4)}
	if rope, ok := s.section("rope_parameters"); ok {
		if kind := rope.string("rope_type", "default"); kind != "default" {
			s.fail("rope_parameters.rope_type", "is %.80q, expected \"default\"", kind)
		}
		t.RopeTheta = rope.float("rope_theta", t.RopeTheta)
		rope.rest(nil)
		if s.err == nil {
			s.err = rope.err
		}
	}
	s.only("rope_scaling", nil)
	s.only("attention_bias", false)
	if !(t.RopeTheta > 0) {
		s.fail("rope_theta", "is %g, expected a positive number", t.RopeTheta)
	}
	s.positive("rms_norm_eps", t.RMSNormEps)
	key := "hidden_act"
	if gemma2 {
		key = "hidden_activation"
	}
	if act := s.string(key, tanhGelu[0]); !slices.Contains(tanhGelu, act) && (gemma2 || act != "gelu") {
		s.fail(key, "is %.80q, expected \"gelu_pytorch_tanh\"", act)
	}
	s.only("use_bidirectional_attention", true)
	t.QueryPreAttnScalar = float64(t.HeadDim)
	if gemma2 {
		t.QueryPreAttnScalar = s.positive("query_pre_attn_scalar", s.float("query_pre_attn_scalar", 256))
		t.AttnLogitSoftcapping = capOf(s, "attn_logit_softcapping", 50)
		t.FinalLogitSoftcapping = capOf(s, "final_logit_softcapping", 30)
		t.SlidingLayers = slidingLayers(s, t.NumHiddenLayers)
		t.SlidingWindow = s.size("sliding_window", 4096, math.MaxInt32)
		if v, ok := s.raw["sliding_window"]; ok && string(v) == "null" && slices.Contains(t.SlidingLayers, true) {
			s.fail("sliding_window", "is null, but there are layers of sliding_attention: expected a number of tokens")
		}
	}
	if t.NumAttentionHeads%t.NumKeyValueHeads != 0 {
		s.fail("num_attention_heads", "is %d, expected a multiple of num_key_value_heads %d", t.NumAttentionHeads, t.NumKeyValueHeads)
	}
	if t.HeadDim%2 != 0 {
		s.fail("head_dim", "is %d, expected an even number for the rotary embedding", t.HeadDim)
	}
	return t
}

// capOf reads a soft cap: missing is the default, an explicit null is off.
func capOf(s *section, key string, missing float64) float64 {
	if v, ok := s.raw[key]; ok && string(v) == "null" {
		return 0
	}
	return s.positive(key, s.float(key, missing))
}

// slidingLayers reads layer_types; the default is every other layer, the first one sliding.
func slidingLayers(s *section, layers int) []bool {
	out := make([]bool, layers)
	for i := range out {
		out[i] = i%2 == 0
	}
	if !s.has("layer_types") {
		return out
	}
	var kinds []string
	if !s.get("layer_types", &kinds, "a list of names") || len(kinds) != layers {
		s.fail("layer_types", "is not a list of %d names, one per layer", layers)
		return out
	}
	for i, k := range kinds {
		if k != "sliding_attention" && k != "full_attention" {
			s.fail("layer_types", "holds %.80q, expected \"sliding_attention\" or \"full_attention\"", k)
		}
		out[i] = k == "sliding_attention"
	}
	return out
}

// parseVision fills SigLIP's configuration. With a vision_config the defaults are SigLIP-base's; without one they are
// those PaliGemmaConfig gives: So400m with an MLP of 4096.
func parseVision(s *section, present bool) paligemma.Vision {
	d := paligemma.Vision{HiddenSize: 768, IntermediateSize: 3072, NumHiddenLayers: 12, NumAttentionHeads: 12, ImageSize: 224, PatchSize: 16}
	if !present {
		d = paligemma.Vision{HiddenSize: 1152, IntermediateSize: 4096, NumHiddenLayers: 27, NumAttentionHeads: 16, ImageSize: 224, PatchSize: 14}
	}
	v := paligemma.Vision{HiddenSize: s.size("hidden_size", d.HiddenSize, maxSize), IntermediateSize: s.size("intermediate_size", d.IntermediateSize, maxSize),
		NumHiddenLayers: s.size("num_hidden_layers", d.NumHiddenLayers, maxLayers), NumAttentionHeads: s.size("num_attention_heads", d.NumAttentionHeads, maxSize),
		ImageSize: s.size("image_size", d.ImageSize, maxSize), PatchSize: s.size("patch_size", d.PatchSize, maxSize),
		LayerNormEps: s.float("layer_norm_eps", 1e-6)}
	s.positive("layer_norm_eps", v.LayerNormEps)
	if act := s.string("hidden_act", tanhGelu[0]); !slices.Contains(tanhGelu, act) {
		s.fail("hidden_act", "is %.80q, expected \"gelu_pytorch_tanh\"", act)
	}
	if n := s.int("num_channels", 3); n != 3 {
		s.fail("num_channels", "is %d, expected 3", n)
	}
	if v.HiddenSize%v.NumAttentionHeads != 0 {
		s.fail("hidden_size", "is %d, expected a multiple of num_attention_heads %d", v.HiddenSize, v.NumAttentionHeads)
	}
	if v.PatchSize > v.ImageSize {
		s.fail("patch_size", "is %d, greater than image_size %d", v.PatchSize, v.ImageSize)
	}
	return v
}
