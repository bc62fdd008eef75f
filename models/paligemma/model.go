package paligemma

import (
	"fmt"
	"maps"
	"strings"

	"pgc/models"
	"pgc/models/config"
)

// The weights that have a meaning of their own.
const (
	embedTokens = "language_model.embed_tokens.weight"
	lmHead      = "lm_head.weight"
)

// Model is the record of PaliGemma 1 and 2.
var Model = models.Model{
	Type:      "paligemma",
	Read:      func(s *config.Section) models.Config { return Read(s) },
	Canonical: Canonical,
	Hub:       Hub,
	Ignored:   Ignored,
	Roles:     Roles,
	Scale:     isScale,
	Embedding: embedTokens,
	Head:      lmHead,
	PromptEnd: "\n",
	Tasks:     tasks,
	Several:   several,
	Released:  released,
}

// Roles says what the weights are for.
var Roles = []models.RoleOf{
	{Prefix: "vision_tower.embeddings.", Role: models.VisionEmbedding},
	{Prefix: "vision_tower.", Role: models.VisionTower},
	{Prefix: "multi_modal_projector.", Role: models.Projector},
	{Prefix: "language_model.layers.", Role: models.Decoder},
	{Prefix: embedTokens, Role: models.Embedding},
	{Prefix: lmHead, Role: models.Head},
}

// Canonical maps a tensor's name in any of the four layouts that transformers writes to language_model.…,
// vision_tower.…, multi_modal_projector.… or lm_head.weight.
func Canonical(stored string) string {
	key := strings.TrimPrefix(stored, "model.")
	if rest, ok := strings.CutPrefix(key, "language_model.model."); ok {
		key = "language_model." + rest
	}
	if rest, ok := strings.CutPrefix(key, "language_model.lm_head."); ok {
		key = "lm_head." + rest
	}
	if rest, ok := strings.CutPrefix(key, "vision_tower.vision_model."); ok {
		key = "vision_tower." + rest
	}
	return key
}

// Hub maps a canonical name to the one that the hub's checkpoints have.
func Hub(key string) string {
	if rest, ok := strings.CutPrefix(key, "language_model."); ok {
		return "language_model.model." + rest
	}
	if rest, ok := strings.CutPrefix(key, "vision_tower."); ok {
		return "vision_tower.vision_model." + rest
	}
	return key
}

// Ignored reports whether old checkpoints carry a tensor, by canonical name, that no computation reads.
func Ignored(key string) bool {
	return key == "vision_tower.embeddings.position_ids" || strings.HasPrefix(key, "vision_tower.head.") ||
		strings.HasPrefix(key, "language_model.") && strings.HasSuffix(key, "rotary_emb.inv_freq")
}

// size is what sets the text models of the released checkpoints apart.
type size struct {
	layers, hidden, heads, keyHeads, headDim, intermediate int
	scalar                                                 int // query_pre_attn_scalar; 0 for Gemma 1
}

var sizes = map[string]size{
	"paligemma-3b":   {18, 2048, 8, 1, 256, 16384, 0},
	"paligemma2-3b":  {26, 2304, 8, 4, 256, 9216, 256},
	"paligemma2-10b": {42, 3584, 16, 8, 256, 14336, 256},
	"paligemma2-28b": {46, 4608, 32, 16, 128, 36864, 144},
}

// released returns the configurations of the released checkpoints by name, paligemma-3b-224 and so on.
func released() map[string]any {
	all := map[string]any{}
	for name := range sizes {
		for _, side := range []int{224, 448, 896} {
			all[fmt.Sprintf("%s-%d", name, side)] = Released(name, side)
		}
	}
	return all
}

// Released returns the config.json of a released checkpoint, such as paligemma-3b, for images of a size.
func Released(name string, imageSize int) map[string]any {
	s := sizes[name]
	text := map[string]any{"model_type": gemma, "vocab_size": 257216, "num_hidden_layers": s.layers, "hidden_size": s.hidden,
		"num_attention_heads": s.heads, "num_key_value_heads": s.keyHeads, "head_dim": s.headDim,
		"intermediate_size": s.intermediate, "hidden_activation": "gelu_pytorch_tanh"}
	if s.scalar > 0 {
		maps.Copy(text, map[string]any{"model_type": gemma2, "query_pre_attn_scalar": s.scalar, "attn_logit_softcapping": 50.0,
			"final_logit_softcapping": 30.0, "sliding_window": 4096})
	}
	return map[string]any{"model_type": "paligemma", "architectures": []string{"PaliGemmaForConditionalGeneration"},
		"image_token_index": 257152, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "projection_dim": s.hidden,
		"hidden_size": s.hidden, "text_config": text,
		"vision_config": map[string]any{"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
			"num_hidden_layers": 27, "num_attention_heads": 16, "patch_size": 14, "image_size": imageSize,
			"vision_use_head": false, "projection_dim": s.hidden}}
}
