package hf

import (
	"fmt"

	"pgc/models/paligemma"
)

// Spec is a tensor that a model consists of, by canonical name.
type Spec struct {
	Name  string
	Shape []int
}

// Manifest lists every tensor of a model, in the order of computation.
func Manifest(c paligemma.Config) []Spec {
	var out []Spec
	add := func(name string, shape ...int) { out = append(out, Spec{name, shape}) }
	linear := func(name string, n, k int) {
		add(name+".weight", n, k)
		add(name+".bias", n)
	}
	norm := func(name string, n int) {
		add(name+".weight", n)
		add(name+".bias", n)
	}
	v := c.Vision
	add("vision_tower.embeddings.patch_embedding.weight", v.HiddenSize, 3, v.PatchSize, v.PatchSize)
	add("vision_tower.embeddings.patch_embedding.bias", v.HiddenSize)
	add("vision_tower.embeddings.position_embedding.weight", v.Tokens(), v.HiddenSize)
	for i := range v.NumHiddenLayers {
		layer := fmt.Sprintf("vision_tower.encoder.layers.%d.", i)
		norm(layer+"layer_norm1", v.HiddenSize)
		for _, p := range []string{"q_proj", "k_proj", "v_proj", "out_proj"} {
			linear(layer+"self_attn."+p, v.HiddenSize, v.HiddenSize)
		}
		norm(layer+"layer_norm2", v.HiddenSize)
		linear(layer+"mlp.fc1", v.IntermediateSize, v.HiddenSize)
		linear(layer+"mlp.fc2", v.HiddenSize, v.IntermediateSize)
	}
	norm("vision_tower.post_layernorm", v.HiddenSize)
	t := c.Text
	linear("multi_modal_projector.linear", t.HiddenSize, v.HiddenSize)
	add("language_model.embed_tokens.weight", t.VocabSize, t.HiddenSize)
	for i := range t.NumHiddenLayers {
		layer := fmt.Sprintf("language_model.layers.%d.", i)
		add(layer+"input_layernorm.weight", t.HiddenSize)
		add(layer+"self_attn.q_proj.weight", t.NumAttentionHeads*t.HeadDim, t.HiddenSize)
		add(layer+"self_attn.k_proj.weight", t.NumKeyValueHeads*t.HeadDim, t.HiddenSize)
		add(layer+"self_attn.v_proj.weight", t.NumKeyValueHeads*t.HeadDim, t.HiddenSize)
		add(layer+"self_attn.o_proj.weight", t.HiddenSize, t.NumAttentionHeads*t.HeadDim)
		add(layer+"post_attention_layernorm.weight", t.HiddenSize)
		if t.Gemma2 {
			add(layer+"pre_feedforward_layernorm.weight", t.HiddenSize)
		}
		add(layer+"mlp.gate_proj.weight", t.IntermediateSize, t.HiddenSize)
		add(layer+"mlp.up_proj.weight", t.IntermediateSize, t.HiddenSize)
		add(layer+"mlp.down_proj.weight", t.HiddenSize, t.IntermediateSize)
		if t.Gemma2 {
			add(layer+"post_feedforward_layernorm.weight", t.HiddenSize)
		}
	}
	add("language_model.norm.weight", t.HiddenSize)
	if !t.TieWordEmbeddings {
		add("lm_head.weight", t.VocabSize, t.HiddenSize)
	}
	return out
}
