package bigvision

import (
	"encoding/json"
	"fmt"
	"math"
)

// layersOf28B is how many layers the only released Gemma 2 has whose queries are scaled by hidden / heads; the others' are
// by the width of a head.
const layersOf28B = 46

// Config returns the config.json of the model, as transformers' converter writes it, and notes. image is the id of <image>.
func (f *File) Config(image int) (text []byte, notes []string, err error) {
	sizes := map[string][]int{}
	for name, rank := range map[string]int{embedding: 2, queries: 4, keyValues: 5, gates: 4, patches: 4, positions: 3, visionMLP: 3, attention + "/query/kernel": 4} {
		if sizes[name], err = f.shape(name, rank); err != nil {
			return nil, nil, err
		}
	}
	q, kv, gate, patch, vision, mlp := sizes[queries], sizes[keyValues], sizes[gates], sizes[patches], sizes[attention+"/query/kernel"], sizes[visionMLP]
	side := int(math.Sqrt(float64(sizes[positions][1])) + .5)
	if side*side != sizes[positions][1] || patch[0] != patch[1] {
		return nil, nil, fmt.Errorf("%s: array %s has %d positions for patches of %d by %d, expected those of a square image", f.Path, positions, sizes[positions][1], patch[0], patch[1])
	}
	heads, hidden, dim := q[1], q[2], q[3]
	decoder := map[string]any{"model_type": "gemma", "vocab_size": sizes[embedding][0], "num_hidden_layers": q[0], "hidden_size": hidden,
		"num_attention_heads": heads, "num_key_value_heads": kv[2], "head_dim": dim, "intermediate_size": gate[3], "hidden_activation": "gelu_pytorch_tanh"}
	if _, ok := f.arrays[secondNorm]; ok {
		scalar := dim
		if q[0] == layersOf28B {
			scalar = hidden / heads
		}
		decoder["model_type"], decoder["query_pre_attn_scalar"] = "gemma2", scalar
	}
	text, err = json.Marshal(map[string]any{"model_type": "paligemma", "image_token_index": image, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0,
		"projection_dim": hidden, "text_config": decoder,
		"vision_config": map[string]any{"model_type": "siglip_vision_model", "hidden_size": patch[3], "intermediate_size": mlp[2], "num_hidden_layers": vision[0],
			"num_attention_heads": vision[2], "patch_size": patch[0], "image_size": side * patch[0], "vision_use_head": false}})
	return text, []string{fmt.Sprintf("%s is of big_vision: it is read as transformers' converter does, for pictures of %d pixels", f.Path, side*patch[0])}, err
}
