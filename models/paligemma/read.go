package paligemma

import (
	"math"
	"slices"

	"pgc/models"
	"pgc/models/config"
)

// Settings that transformers' PaliGemma does not read, or overwrites: the sizes beside the sub-configurations, and
// those of one kind of decoder in the other's configuration. read asks for all that transformers' modeling_paligemma.py,
// modeling_gemma.py, modeling_gemma2.py, modeling_siglip.py and modeling_rope_utils.py compute with; anything else that
// stands in a file changes nothing there either.
var (
	inertTop  = config.Keys(config.Inert, "vocab_size hidden_size num_hidden_layers ignore_index")
	inertText = map[string]map[string]bool{
		gemma: config.Keys(config.Inert, storage, `max_position_embeddings attention_dropout tie_word_embeddings hidden_activation
			query_pre_attn_scalar sliding_window layer_types attn_logit_softcapping final_logit_softcapping`),
		gemma2: config.Keys(config.Inert, storage, "max_position_embeddings attention_dropout tie_word_embeddings hidden_act"),
	}
	inertVision = config.Keys(config.Inert, "attention_dropout projection_dim projector_hidden_act vision_use_head num_positions vocab_size")
)

// storage says how weights are stored, which the checkpoint's reader asks for.
const storage = "quantization_config"

// Read reads config.json with the defaults of transformers' PaliGemmaConfig. An error stays in the section.
func Read(s *config.Section) Config {
	c := Config{ImageTokenIndex: s.Int("image_token_id", s.Int("image_token_index", 256000))}
	vision, hasVision := s.Section("vision_config")
	if kind := vision.String("model_type", "siglip_vision_model"); kind != "siglip_vision_model" {
		vision.Fail("model_type", "is %.80q, expected \"siglip_vision_model\"", kind)
	}
	c.Vision = readVision(vision, hasVision)
	text, hasText := s.Section("text_config")
	kind := text.String("model_type", gemma)
	if inertText[kind] == nil {
		text.Fail("model_type", "is %.80q, expected \"gemma\" or \"gemma2\"", kind)
	}
	c.Text = readText(text, hasText, kind)
	// The head is tied by the outer setting; transformers does not read the text model's.
	c.Text.TieWordEmbeddings = s.Bool("tie_word_embeddings", true)
	c.checkSizes(s, text, vision)
	c.readIDs(s, text)
	models.CheckEnds(s, "eos_token_id", c.Text.VocabSize, c.EOSTokenID...)
	s.Rest(inertTop)
	text.Rest(inertText[kind])
	vision.Rest(inertVision)
	return c
}

// checkSizes compares sizes that the configuration gives more than once. transformers reads no number of image tokens: it counts them.
func (c *Config) checkSizes(s, text, vision *config.Section) {
	if n := s.Int("projection_dim", c.Text.HiddenSize); n != c.Text.HiddenSize {
		s.Fail("projection_dim", "is %d, but text_config.hidden_size is %d", n, c.Text.HiddenSize)
	}
	tokens := c.Vision.Tokens()
	for _, sub := range []*config.Section{text, vision} {
		if n := sub.Int("num_image_tokens", tokens); n != tokens {
			sub.Note("num_image_tokens", "is %d, but image_size %d and patch_size %d make %d: passed over", n, c.Vision.ImageSize, c.Vision.PatchSize, tokens)
		}
	}
}

// readIDs reads the special tokens; the outer configuration goes before the text model's.
func (c *Config) readIDs(s, text *config.Section) {
	from := func(key string) *config.Section {
		here, there := s.Has(key), text.Has(key)
		if there && !here {
			return text
		}
		return s
	}
	c.PADTokenID, c.BOSTokenID = from("pad_token_id").ID("pad_token_id", 0), from("bos_token_id").ID("bos_token_id", 2)
	if c.EOSTokenID = from("eos_token_id").Tokens("eos_token_id"); c.EOSTokenID == nil {
		c.EOSTokenID = []int{1}
	}
}

// tanhGelu are the names of the tanh form of GELU. "gelu" is another function, but Gemma's configuration means this
// one.
var tanhGelu = []string{"gelu_pytorch_tanh", "gelu_fast", "gelu_new", "gelu_python_tanh", "gelu_accurate"}

// Bounds of sizes, far beyond any model: what follows from them fits into memory and into 64 bits.
const (
	maxSize   = 1 << 24
	maxLayers = 1 << 10
)

// readText reads Gemma's configuration; the defaults of missing keys are those of GemmaConfig and Gemma2Config. Without
// a text_config they are those PaliGemmaConfig gives: Gemma 2B.
func readText(s *config.Section, present bool, kind string) Text {
	d := Text{VocabSize: 256000, HiddenSize: 3072, IntermediateSize: 24576, NumHiddenLayers: 28, NumAttentionHeads: 16,
		NumKeyValueHeads: 16, HeadDim: 256}
	if !present {
		d = Text{VocabSize: 257152, HiddenSize: 2048, IntermediateSize: 16384, NumHiddenLayers: 18, NumAttentionHeads: 8,
			NumKeyValueHeads: 1, HeadDim: 256}
	}
	if kind == gemma2 {
		d = Text{VocabSize: 256000, HiddenSize: 2304, IntermediateSize: 9216, NumHiddenLayers: 26, NumAttentionHeads: 8,
			NumKeyValueHeads: 4, HeadDim: 256}
	}
	t := Text{ModelType: kind,
		VocabSize: s.Size("vocab_size", d.VocabSize, maxSize), HiddenSize: s.Size("hidden_size", d.HiddenSize, maxSize),
		IntermediateSize: s.Size("intermediate_size", d.IntermediateSize, maxSize),
		NumHiddenLayers:  s.Size("num_hidden_layers", d.NumHiddenLayers, maxLayers), NumAttentionHeads: s.Size("num_attention_heads", d.NumAttentionHeads, maxSize),
		NumKeyValueHeads: s.Size("num_key_value_heads", d.NumKeyValueHeads, maxSize), HeadDim: s.Size("head_dim", d.HeadDim, maxSize),
		RMSNormEps: s.Float("rms_norm_eps", 1e-6), RopeTheta: ropeTheta(s, kind)}
	s.Only("attention_bias", false)
	if !(t.RopeTheta > 0) {
		s.Fail("rope_theta", "is %g, expected a positive number", t.RopeTheta)
	}
	s.Positive("rms_norm_eps", t.RMSNormEps)
	key := "hidden_act"
	if kind == gemma2 {
		key = "hidden_activation"
	}
	if act := s.String(key, tanhGelu[0]); !slices.Contains(tanhGelu, act) && (kind == gemma2 || act != "gelu") {
		s.Fail(key, "is %.80q, expected \"gelu_pytorch_tanh\"", act)
	}
	s.Only("use_bidirectional_attention", true)
	t.QueryPreAttnScalar = float64(t.HeadDim)
	if kind == gemma2 {
		t.QueryPreAttnScalar = s.Positive("query_pre_attn_scalar", s.Float("query_pre_attn_scalar", 256))
		t.AttnLogitSoftcapping = capOf(s, "attn_logit_softcapping", 50)
		t.FinalLogitSoftcapping = capOf(s, "final_logit_softcapping", 30)
		t.LayerTypes = layerTypes(s, t.NumHiddenLayers)
		t.SlidingWindow = s.Size("sliding_window", 4096, math.MaxInt32)
		if s.Null("sliding_window") && slices.Contains(t.LayerTypes, slidingAttention) {
			s.Fail("sliding_window", "is null, but there are layers of sliding_attention: expected a number of tokens")
		}
	}
	if t.NumAttentionHeads%t.NumKeyValueHeads != 0 {
		s.Fail("num_attention_heads", "is %d, expected a multiple of num_key_value_heads %d", t.NumAttentionHeads, t.NumKeyValueHeads)
	}
	if t.HeadDim%2 != 0 {
		s.Fail("head_dim", "is %d, expected an even number for the rotary embedding", t.HeadDim)
	}
	return t
}

// ropeTheta reads the base of the rotary embedding's frequencies. Of its two objects transformers takes rope_scaling, the older
// name, before rope_parameters, and in either the kind from rope_type or from type, the older name.
func ropeTheta(s *config.Section, kind string) float64 {
	theta := s.Float("rope_theta", 1e4)
	scaling, _ := s.Section("rope_scaling")
	rope, _ := s.Section("rope_parameters")
	if scaling.Len() > 0 {
		rope = scaling
	}
	key := "rope_type"
	if rope.Has("type") && !rope.Has(key) {
		key = "type"
	}
	if rule := rope.String(key, "default"); rule != "default" {
		rope.Fail(key, "is %.80q, expected \"default\"", rule)
	}
	for _, layers := range []string{fullAttention, slidingAttention} {
		if kind == gemma2 && rope.Has(layers) {
			rope.Fail(layers, "is %s, which is not supported: expected one rope_theta for layers of every kind", rope.Show(layers))
		}
	}
	theta = rope.Float("rope_theta", theta)
	rope.Rest(nil)
	return theta
}

// capOf reads a soft cap: missing is the default, an explicit null is off.
func capOf(s *config.Section, key string, missing float64) float64 {
	if s.Null(key) {
		return 0
	}
	return s.Positive(key, s.Float(key, missing))
}

// layerTypes reads layer_types; the default is every other layer, the first one sliding.
func layerTypes(s *config.Section, layers int) []string {
	types := make([]string, layers)
	for i := range types {
		types[i] = []string{slidingAttention, fullAttention}[i%2]
	}
	if !s.Has("layer_types") {
		return types
	}
	var given []string
	if !s.Get("layer_types", &given, "a list of names") || len(given) != layers {
		s.Fail("layer_types", "is not a list of %d names, one per layer", layers)
		return types
	}
	for _, t := range given {
		if t != slidingAttention && t != fullAttention {
			s.Fail("layer_types", "holds %.80q, expected \"sliding_attention\" or \"full_attention\"", t)
		}
	}
	return given
}

// readVision reads SigLIP's configuration. With a vision_config the defaults are SigLIP-base's; without one they are
// those PaliGemmaConfig gives: So400m with an MLP of 4096.
func readVision(s *config.Section, present bool) Vision {
	d := Vision{HiddenSize: 768, IntermediateSize: 3072, NumHiddenLayers: 12, NumAttentionHeads: 12, ImageSize: 224, PatchSize: 16}
	if !present {
		d = Vision{HiddenSize: 1152, IntermediateSize: 4096, NumHiddenLayers: 27, NumAttentionHeads: 16, ImageSize: 224, PatchSize: 14}
	}
	v := Vision{HiddenSize: s.Size("hidden_size", d.HiddenSize, maxSize), IntermediateSize: s.Size("intermediate_size", d.IntermediateSize, maxSize),
		NumHiddenLayers: s.Size("num_hidden_layers", d.NumHiddenLayers, maxLayers), NumAttentionHeads: s.Size("num_attention_heads", d.NumAttentionHeads, maxSize),
		ImageSize: s.Size("image_size", d.ImageSize, maxSize), PatchSize: s.Size("patch_size", d.PatchSize, maxSize),
		LayerNormEps: s.Float("layer_norm_eps", 1e-6)}
	s.Positive("layer_norm_eps", v.LayerNormEps)
	if act := s.String("hidden_act", tanhGelu[0]); !slices.Contains(tanhGelu, act) {
		s.Fail("hidden_act", "is %.80q, expected \"gelu_pytorch_tanh\"", act)
	}
	if n := s.Int("num_channels", 3); n != 3 {
		s.Fail("num_channels", "is %d, expected 3", n)
	}
	if v.HiddenSize%v.NumAttentionHeads != 0 {
		s.Fail("hidden_size", "is %d, expected a multiple of num_attention_heads %d", v.HiddenSize, v.NumAttentionHeads)
	}
	if v.PatchSize > v.ImageSize {
		s.Fail("patch_size", "is %d, greater than image_size %d", v.PatchSize, v.ImageSize)
	}
	return v
}
