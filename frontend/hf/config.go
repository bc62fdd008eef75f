// Package hf reads Hugging Face checkpoints: configuration, weights in every key layout, tokenizer and preprocessor.
//
// Everything in a checkpoint is untrusted: what is unknown, missing or inconsistent is one error naming file and key,
// found before any long work. The package imports models/paligemma (whose configuration it fills), ir and
// runtime/safetensors.
package hf

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"pgc/models/paligemma"
)

// Config is config.json with its defaults filled in.
type Config struct {
	Model           paligemma.Config
	ModelType       string // of the text model: gemma or gemma2
	ImageTokenIndex int
	BOS, EOS, PAD   int
	EOSList         []int
}

// section is a JSON object of a config file, read key by key with defaults.
type section struct {
	file, path string
	raw        map[string]json.RawMessage
	err        error
}

func (s *section) fail(key, format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%s: %s%s %s", s.file, s.path, key, fmt.Sprintf(format, args...))
	}
}

func (s *section) has(key string) bool {
	v, ok := s.raw[key]
	return ok && string(v) != "null"
}

func (s *section) int(key string, missing int) int {
	if !s.has(key) {
		return missing
	}
	var v int
	if err := json.Unmarshal(s.raw[key], &v); err != nil || v < 0 || v > math.MaxInt32 {
		s.fail(key, "is %s, expected a whole number", s.raw[key])
	}
	return v
}

func (s *section) positive(key string, missing int) int {
	v := s.int(key, missing)
	if v == 0 {
		s.fail(key, "is 0, expected a positive number")
	}
	return v
}

func (s *section) float(key string, missing float64) float64 {
	if !s.has(key) {
		return missing
	}
	var v float64
	if err := json.Unmarshal(s.raw[key], &v); err != nil {
		s.fail(key, "is %s, expected a number", s.raw[key])
	}
	return v
}

func (s *section) bool(key string, missing bool) bool {
	if !s.has(key) {
		return missing
	}
	var v bool
	if err := json.Unmarshal(s.raw[key], &v); err != nil {
		s.fail(key, "is %s, expected true or false", s.raw[key])
	}
	return v
}

func (s *section) string(key, missing string) string {
	if !s.has(key) {
		return missing
	}
	var v string
	if err := json.Unmarshal(s.raw[key], &v); err != nil {
		s.fail(key, "is %s, expected a string", s.raw[key])
	}
	return v
}

// section returns a nested object; present tells whether it is there.
func (s *section) section(key string) (sub *section, present bool) {
	sub = &section{file: s.file, path: s.path + key + ".", raw: map[string]json.RawMessage{}}
	if !s.has(key) {
		return sub, false
	}
	if err := json.Unmarshal(s.raw[key], &sub.raw); err != nil {
		s.fail(key, "is not an object")
	}
	return sub, true
}

// readJSON reads a file that holds one JSON object.
func readJSON(path string) (*section, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &section{file: path}
	if err := json.Unmarshal(text, &s.raw); err != nil {
		return nil, fmt.Errorf("%s is not a JSON object: %w", path, err)
	}
	return s, nil
}

// ReadConfig reads dir/config.json.
func ReadConfig(dir string) (*Config, error) {
	s, err := readJSON(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil, err
	}
	return parseConfig(s)
}

func parseConfig(s *section) (*Config, error) {
	if kind := s.string("model_type", ""); kind != "paligemma" {
		return nil, fmt.Errorf("%s: model_type is %q, expected \"paligemma\"", s.file, kind)
	}
	c := &Config{ImageTokenIndex: s.int("image_token_index", s.int("image_token_id", 256000))}
	text, _ := s.section("text_config")
	c.ModelType = text.string("model_type", "gemma")
	if c.ModelType != "gemma" && c.ModelType != "gemma2" {
		return nil, fmt.Errorf("%s: text_config.model_type is %q, expected \"gemma\" or \"gemma2\"", s.file, c.ModelType)
	}
	c.Model.Text = parseText(text, c.ModelType == "gemma2")
	c.Model.Text.TieWordEmbeddings = text.bool("tie_word_embeddings", s.bool("tie_word_embeddings", true))
	vision, present := s.section("vision_config")
	if kind := vision.string("model_type", "siglip_vision_model"); kind != "siglip_vision_model" {
		return nil, fmt.Errorf("%s: vision_config.model_type is %q, expected \"siglip_vision_model\"", s.file, kind)
	}
	c.Model.Vision = parseVision(vision, present)
	id := func(key string, missing int) int {
		if text.has(key) && !s.has(key) {
			return text.int(key, missing)
		}
		return s.int(key, missing)
	}
	c.PAD, c.BOS = id("pad_token_id", 0), id("bos_token_id", 2)
	c.EOSList = []int{1}
	for _, from := range []*section{s, text} {
		if from.has("eos_token_id") {
			c.EOSList = ints(from, "eos_token_id")
			break
		}
	}
	for _, sub := range []*section{s, text, vision} {
		if sub.err != nil {
			return nil, sub.err
		}
	}
	return c, nil
}

// ints reads a number or a list of numbers.
func ints(s *section, key string) []int {
	var list []int
	if json.Unmarshal(s.raw[key], &list) == nil {
		return list
	}
	return []int{s.int(key, 0)}
}

// tanhGelu are the names under which configurations mean the tanh form of GELU (SigLIP's and Gemma's "gelu" does, too).
var tanhGelu = []string{"gelu_pytorch_tanh", "gelu_fast", "gelu_new", "gelu"}

// parseText fills Gemma's configuration; the defaults of missing keys are those of GemmaConfig and Gemma2Config.
func parseText(s *section, gemma2 bool) paligemma.Text {
	d := paligemma.Text{VocabSize: 256000, HiddenSize: 3072, IntermediateSize: 24576, NumHiddenLayers: 28, NumAttentionHeads: 16,
		NumKeyValueHeads: 16, HeadDim: 256}
	if gemma2 {
		d = paligemma.Text{VocabSize: 256000, HiddenSize: 2304, IntermediateSize: 9216, NumHiddenLayers: 26, NumAttentionHeads: 8,
			NumKeyValueHeads: 4, HeadDim: 256}
	}
	t := paligemma.Text{Gemma2: gemma2,
		VocabSize: s.positive("vocab_size", d.VocabSize), HiddenSize: s.positive("hidden_size", d.HiddenSize),
		IntermediateSize: s.positive("intermediate_size", d.IntermediateSize),
		NumHiddenLayers:  s.positive("num_hidden_layers", d.NumHiddenLayers), NumAttentionHeads: s.positive("num_attention_heads", d.NumAttentionHeads),
		NumKeyValueHeads: s.positive("num_key_value_heads", d.NumKeyValueHeads), HeadDim: s.positive("head_dim", d.HeadDim),
		RMSNormEps: s.float("rms_norm_eps", 1e-6), RopeTheta: s.float("rope_theta", 1e4)}
	if rope, ok := s.section("rope_parameters"); ok {
		if kind := rope.string("rope_type", "default"); kind != "default" {
			s.fail("rope_parameters.rope_type", "is %q, expected \"default\"", kind)
		}
		t.RopeTheta = rope.float("rope_theta", t.RopeTheta)
	}
	if s.has("rope_scaling") {
		s.fail("rope_scaling", "is set, which is not supported: expected null")
	}
	if s.bool("attention_bias", false) {
		s.fail("attention_bias", "is true, expected false")
	}
	act := s.string("hidden_activation", s.string("hidden_act", "gelu_pytorch_tanh"))
	if !slices.Contains(tanhGelu, act) {
		s.fail("hidden_activation", "is %q, expected \"gelu_pytorch_tanh\"", act)
	}
	t.QueryPreAttnScalar = float64(t.HeadDim)
	if gemma2 {
		t.QueryPreAttnScalar = s.float("query_pre_attn_scalar", 256)
		t.AttnLogitSoftcapping = capOf(s, "attn_logit_softcapping", 50)
		t.FinalLogitSoftcapping = capOf(s, "final_logit_softcapping", 30)
		t.SlidingWindow = s.int("sliding_window", 4096)
		t.SlidingLayers = slidingLayers(s, t.NumHiddenLayers)
	}
	if t.NumAttentionHeads%max(1, t.NumKeyValueHeads) != 0 {
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
	return s.float(key, missing)
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
	if err := json.Unmarshal(s.raw["layer_types"], &kinds); err != nil || len(kinds) != layers {
		s.fail("layer_types", "is not a list of %d names, one per layer", layers)
		return out
	}
	for i, k := range kinds {
		if k != "sliding_attention" && k != "full_attention" {
			s.fail("layer_types", "holds %q, expected \"sliding_attention\" or \"full_attention\"", k)
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
	v := paligemma.Vision{HiddenSize: s.positive("hidden_size", d.HiddenSize), IntermediateSize: s.positive("intermediate_size", d.IntermediateSize),
		NumHiddenLayers: s.positive("num_hidden_layers", d.NumHiddenLayers), NumAttentionHeads: s.positive("num_attention_heads", d.NumAttentionHeads),
		ImageSize: s.positive("image_size", d.ImageSize), PatchSize: s.positive("patch_size", d.PatchSize),
		LayerNormEps: s.float("layer_norm_eps", 1e-6)}
	if act := s.string("hidden_act", "gelu_pytorch_tanh"); !slices.Contains(tanhGelu, act) {
		s.fail("hidden_act", "is %q, expected \"gelu_pytorch_tanh\"", act)
	}
	if n := s.int("num_channels", 3); n != 3 {
		s.fail("num_channels", "is %d, expected 3", n)
	}
	if v.NumAttentionHeads > 0 && v.HiddenSize%v.NumAttentionHeads != 0 {
		s.fail("hidden_size", "is %d, expected a multiple of num_attention_heads %d", v.HiddenSize, v.NumAttentionHeads)
	}
	if v.PatchSize > v.ImageSize {
		s.fail("patch_size", "is %d, greater than image_size %d", v.PatchSize, v.ImageSize)
	}
	return v
}
