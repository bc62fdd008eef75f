package bigvision

import (
	"fmt"
	"iter"
	"strings"

	"pgc/checkpoint/lazy"
	"pgc/ir/floats"
	"pgc/runtime/safetensors"
)

// The arrays that the sizes of a model are read from.
const (
	embedding  = "llm/embedder/input_embedding"         // [vocabulary, hidden]
	queries    = "llm/layers/attn/q_einsum/w"           // [layers, heads, hidden, head_dim]
	keyValues  = "llm/layers/attn/kv_einsum/w"          // [layers, 2, heads, hidden, head_dim]
	gates      = "llm/layers/mlp/gating_einsum"         // [layers, 2, hidden, intermediate]
	secondNorm = "llm/layers/post_attention_norm/scale" // of Gemma 2
	patches    = "img/embedding/kernel"                 // [patch, patch, 3, hidden]
	positions  = "img/pos_embedding"                    // [1, patches, hidden]
	block      = "img/Transformer/encoderblock/"
	attention  = block + "MultiHeadDotProductAttention_0"
	visionMLP  = block + "MlpBlock_0/Dense_0/kernel" // [layers, hidden, intermediate]
)

// rule says which weights an array holds. A letter of axes stands for a dimension of it: L the layers and S the parts, each
// of which makes weights of its own, the others are the weight's, whose dimensions result lists, with a comma between; several
// letters are one dimension. An axis of result that is not in axes has one element.
type rule struct {
	array, axes, result string
	names               []string // of the weight, one for each part; %d is the layer
	in                  model    // has it
}

// model is which decoder has an array.
type model int

const (
	both model = iota
	gemma1
	gemma2
)

const (
	tower = "vision_tower.vision_model.encoder.layers.%d."
	layer = "language_model.model.layers.%d."
)

var rules = []rule{
	{patches, "hwio", "o,i,h,w", []string{"vision_tower.vision_model.embeddings.patch_embedding.weight"}, both},
	{"img/embedding/bias", "o", "o", []string{"vision_tower.vision_model.embeddings.patch_embedding.bias"}, both},
	{positions, "1ni", "1n,i", []string{"vision_tower.vision_model.embeddings.position_embedding.weight"}, both},
	{block + "LayerNorm_0/scale", "Li", "i", []string{tower + "layer_norm1.weight"}, both},
	{block + "LayerNorm_0/bias", "Li", "i", []string{tower + "layer_norm1.bias"}, both},
	{block + "LayerNorm_1/scale", "Li", "i", []string{tower + "layer_norm2.weight"}, both},
	{block + "LayerNorm_1/bias", "Li", "i", []string{tower + "layer_norm2.bias"}, both},
	{visionMLP, "Lio", "o,i", []string{tower + "mlp.fc1.weight"}, both},
	{block + "MlpBlock_0/Dense_0/bias", "Lo", "o", []string{tower + "mlp.fc1.bias"}, both},
	{block + "MlpBlock_0/Dense_1/kernel", "Lio", "o,i", []string{tower + "mlp.fc2.weight"}, both},
	{block + "MlpBlock_0/Dense_1/bias", "Lo", "o", []string{tower + "mlp.fc2.bias"}, both},
	{attention + "/query/kernel", "Lihd", "hd,i", []string{tower + "self_attn.q_proj.weight"}, both},
	{attention + "/query/bias", "Lhd", "hd", []string{tower + "self_attn.q_proj.bias"}, both},
	{attention + "/key/kernel", "Lihd", "hd,i", []string{tower + "self_attn.k_proj.weight"}, both},
	{attention + "/key/bias", "Lhd", "hd", []string{tower + "self_attn.k_proj.bias"}, both},
	{attention + "/value/kernel", "Lihd", "hd,i", []string{tower + "self_attn.v_proj.weight"}, both},
	{attention + "/value/bias", "Lhd", "hd", []string{tower + "self_attn.v_proj.bias"}, both},
	{attention + "/out/kernel", "Lhdo", "o,hd", []string{tower + "self_attn.out_proj.weight"}, both},
	{attention + "/out/bias", "Lo", "o", []string{tower + "self_attn.out_proj.bias"}, both},
	{"img/Transformer/encoder_norm/scale", "i", "i", []string{"vision_tower.vision_model.post_layernorm.weight"}, both},
	{"img/Transformer/encoder_norm/bias", "i", "i", []string{"vision_tower.vision_model.post_layernorm.bias"}, both},
	{"img/head/kernel", "io", "o,i", []string{"multi_modal_projector.linear.weight"}, both},
	{"img/head/bias", "o", "o", []string{"multi_modal_projector.linear.bias"}, both},
	{embedding, "vi", "v,i", []string{"language_model.model.embed_tokens.weight"}, both},
	{queries, "Lhid", "hd,i", []string{layer + "self_attn.q_proj.weight"}, both},
	{keyValues, "LShid", "hd,i", []string{layer + "self_attn.k_proj.weight", layer + "self_attn.v_proj.weight"}, both},
	{"llm/layers/attn/attn_vec_einsum/w", "Lhdo", "o,hd", []string{layer + "self_attn.o_proj.weight"}, both},
	{gates, "LSio", "o,i", []string{layer + "mlp.gate_proj.weight", layer + "mlp.up_proj.weight"}, both},
	{"llm/layers/mlp/linear", "Lio", "o,i", []string{layer + "mlp.down_proj.weight"}, both},
	{"llm/layers/pre_attention_norm/scale", "Li", "i", []string{layer + "input_layernorm.weight"}, both},
	{"llm/layers/pre_ffw_norm/scale", "Li", "i", []string{layer + "post_attention_layernorm.weight"}, gemma1},
	{"llm/layers/pre_ffw_norm/scale", "Li", "i", []string{layer + "pre_feedforward_layernorm.weight"}, gemma2},
	{secondNorm, "Li", "i", []string{layer + "post_attention_layernorm.weight"}, gemma2},
	{"llm/layers/post_ffw_norm/scale", "Li", "i", []string{layer + "post_feedforward_layernorm.weight"}, gemma2},
	{"llm/final_norm/scale", "i", "i", []string{"language_model.model.norm.weight"}, both},
}

// axis is a dimension of a weight, or a part of one: its size, and how far apart its elements lie in the array.
type axis struct{ size, stride int }

// weights lists the weights that an array holds.
func (r rule) weights(t safetensors.Tensor) iter.Seq2[string, Weight] {
	of, stride := map[byte]axis{}, 1
	for i := len(r.axes) - 1; i >= 0; i-- {
		of[r.axes[i]] = axis{t.Shape[i], stride}
		stride *= t.Shape[i]
	}
	one := func(letter byte) axis {
		if a, ok := of[letter]; ok {
			return a
		}
		return axis{1, 0}
	}
	var shape []int
	var axes []axis
	for _, group := range strings.Split(r.result, ",") {
		n := 1
		for i := range len(group) {
			axes = append(axes, of[group[i]])
			n *= of[group[i]].size
		}
		shape = append(shape, n)
	}
	return func(yield func(string, Weight) bool) {
		for l := range one('L').size {
			for s, name := range r.names {
				if strings.Contains(name, "%d") {
					name = fmt.Sprintf(name, l)
				}
				if !yield(name, Weight{view(t, shape, axes, l*one('L').stride+s*one('S').stride), t}) {
					return
				}
			}
		}
	}
}

// view returns elements of an array from first on as a tensor of a shape whose axes are the given ones.
func view(t safetensors.Tensor, shape []int, axes []axis, first int) lazy.Tensor {
	d, _ := floats.Of(t.DType)
	size := d.Bytes()
	out := lazy.Tensor{DType: d, Shape: shape}
	plain, stride := true, 1 // whether elements follow each other
	for i := len(axes) - 1; i >= 0; i-- {
		plain = plain && (axes[i].size == 1 || axes[i].stride == stride)
		stride *= axes[i].size
	}
	if plain {
		out.Data = t.Data[first*size : (first+out.Elements())*size]
		return out
	}
	inner := axes[len(axes)-1]
	row := func(r int) int { // where the elements of the last axis begin
		at := first
		for i := len(axes) - 2; i >= 0; i-- {
			at += r % axes[i].size * axes[i].stride
			r /= axes[i].size
		}
		return at
	}
	out.Values = func(x []float32, at int) {
		var value [1]float32
		get := func(i int) float32 {
			floats.Decode(value[:], t.Data[i*size:], d)
			return value[0]
		}
		for len(x) > 0 {
			r, c := at/inner.size, at%inner.size
			n, rows := min(len(x), inner.size-c), 1
			if c == 0 { // whole rows, of which the array has neighbors together
				rows = max(1, len(x)/inner.size)
				for k := 1; k < rows; k++ {
					if row(r+k) != row(r)+k {
						rows = k
					}
				}
			}
			start, block := row(r)+c*inner.stride, make([]float32, rows)
			for i := range n {
				if from := start + i*inner.stride; rows == 1 {
					x[i] = get(from)
				} else {
					floats.Decode(block, t.Data[from*size:], d)
					for k, v := range block {
						x[k*inner.size+i] = v
					}
				}
			}
			x, at = x[rows*n:], at+rows*n
		}
	}
	return out
}
