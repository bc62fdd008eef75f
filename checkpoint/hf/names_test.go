package hf_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/runtime/safetensors"
)

type tensors = map[string]safetensors.Tensor

const (
	embedding = "language_model.model.embed_tokens.weight"
	patches   = "vision_tower.vision_model.embeddings.patch_embedding.weight"
)

// renamed gives all tensors the names that to makes of theirs.
func renamed(to func(string) string) func(tensors) {
	return func(m tensors) {
		all := tensors{}
		for name, x := range m {
			all[to(name)] = x
		}
		clear(m)
		for name, x := range all {
			m[name] = x
		}
	}
}

// layoutC returns a name as transformers 5 gives it.
func layoutC(name string) string {
	name = strings.Replace(name, "language_model.model.", "language_model.", 1)
	return "model." + strings.Replace(name, "vision_tower.vision_model.", "vision_tower.", 1)
}

// TestForms loads checkpoints whose tensors have other names, types or orders: the weights are those of the plain one.
func TestForms(t *testing.T) {
	plain := tinyCheckpoint(t, false)
	want, err := hf.Load(plain, hf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	one := safetensors.Tensor{DType: safetensors.F32, Shape: []int{1}, Data: make([]byte, 4)}
	for _, c := range []struct {
		name   string
		change func(tensors)
		note   string
	}{
		{"layout C", renamed(layoutC), ""},
		{"module.", renamed(func(s string) string { return "module." + s }), "$: the model's tensors are those whose names begin with module., which is left out"},
		{"base_model.model.", renamed(func(s string) string { return "base_model.model." + layoutC(s) }),
			"$: the model's tensors are those whose names begin with base_model.model., which is left out"},
		{"_orig_mod.", renamed(func(s string) string { return "_orig_mod." + s }), `$: "_orig_mod." in the names of tensors is a wrapper's: it is left out`},
		{"FSDP", renamed(func(s string) string {
			return "_fsdp_wrapped_module." + strings.Replace(s, "layers.0.", "layers.0._fsdp_wrapped_module._checkpoint_wrapped_module.", 1)
		}), `$: "_fsdp_wrapped_module." in the names of tensors is a wrapper's: it is left out`},
		{"robotics", func(m tensors) {
			renamed(func(s string) string { return "paligemma_with_expert.paligemma." + layoutC(s) })(m)
			m["paligemma_with_expert.gemma_expert.model.norm.weight"], m["action_in_proj.weight"] = one, one
			m["paligemma_with_expert.paligemma.lm_head.weight"] = m["paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight"]
			delete(m, "paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight")
		}, "$: the model's tensors are those whose names begin with paligemma_with_expert.paligemma., which is left out; 2 others (action_in_proj.weight, …) are passed over"},
		{"a head for rewards", func(m tensors) {
			m["v_head.summary.weight"], m["score.weight"], m["model.action_out_proj.bias"] = one, one, one
		}, "$: passed over, because the model has no such tensors: model.action_out_proj.bias, score.weight, v_head.summary.weight"},
		{"the embedding as head", func(m tensors) {
			m["lm_head.weight"] = m[embedding]
			delete(m, embedding)
		}, ""},
		{"float64", func(m tensors) {
			for name, x := range m {
				v, err := x.Float32s()
				if err != nil {
					t.Fatal(err)
				}
				x.DType, x.Data = safetensors.F64, nil
				for _, f := range v {
					x.Data = binary.LittleEndian.AppendUint64(x.Data, math.Float64bits(float64(f)))
				}
				m[name] = x
			}
		}, ""},
		{"channels last", func(m tensors) {
			x := m[patches]
			out, in, area, size := x.Shape[0], x.Shape[1], x.Shape[2]*x.Shape[3], x.DType.Bytes()
			turned := make([]byte, len(x.Data))
			for o := range out {
				for i := range in {
					for p := range area {
						copy(turned[((o*area+p)*in+i)*size:], x.Data[((o*in+i)*area+p)*size:][:size])
					}
				}
			}
			x.Shape, x.Data = []int{out, x.Shape[2], x.Shape[3], in}, turned
			m[patches] = x
		}, "$/model.safetensors: tensor " + patches + " has its channels last (MLX): it is transposed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tinyCheckpoint(t, false)
			rewrite(t, filepath.Join(dir, "model.safetensors"), c.change)
			sameWeights(t, dir, want, c.note)
		})
	}
}

// sameWeights loads a checkpoint and compares its weights, as float32, with those of another, and its notes.
func sameWeights(t *testing.T, dir string, want *hf.Checkpoint, note string) {
	t.Helper()
	got, err := hf.Load(dir, hf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if notes := strings.ReplaceAll(strings.Join(got.Notes, "\n"), dir, "$"); notes != note {
		t.Errorf("notes  %s\nwanted %s", notes, note)
	}
	if !got.Config.Facts().TieWordEmbeddings {
		t.Error("the head is not the embedding")
	}
	for _, w := range want.Weights {
		a, err := got.Tensor(w.Name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := want.Tensor(w.Name)
		if err != nil {
			t.Fatal(err)
		}
		x, y := float32s(t, a), float32s(t, b)
		if !bytes.Equal(x, y) {
			t.Errorf("%s differs from that of the plain checkpoint", w.Name)
		}
	}
}

// float32s are the bytes of a tensor's elements as float32.
func float32s(t *testing.T, x hf.Tensor) []byte {
	t.Helper()
	n := x.DType.Bytes()
	for _, d := range x.Shape {
		n *= d
	}
	v, err := safetensors.Tensor{DType: safetensors.DType(strings.ToUpper(x.DType.String())), Data: data(x, n)}.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 0, 4*len(v))
	for _, f := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(f))
	}
	return out
}

// TestBrokenNames holds what cannot be told apart to its words.
func TestBrokenNames(t *testing.T) {
	for want, change := range map[string]func(tensors){
		"$ holds several models, under student. and teacher.: expected one (save the one that is meant alone)": func(m tensors) {
			for name, x := range maps.Clone(m) {
				m["student."+name], m["teacher."+name] = x, x
				delete(m, name)
			}
		},
		"$: tensor base_model.model.language_model.model.layers.0.mlp.up_proj.lora_A.weight is an adapter's among the base's: " +
			"expected the adapter in a folder of its own (--adapter DIR) or merged (merge_and_unload)": func(m tensors) {
			renamed(func(s string) string { return "base_model.model." + s })(m)
			m["base_model.model.language_model.model.layers.0.mlp.up_proj.lora_A.weight"] = m["base_model.model.language_model.model.norm.weight"]
		},
		"$: tensor language_model.layers.1.mlp.up_proj.weight is missing, but there is language_model.model.layers.1.mlp.up_proj.base_layer.weight: an adapter was not merged " +
			"before the model was saved, expected the base, and the adapter in a folder of its own (--adapter DIR), or both merged (merge_and_unload)": func(m tensors) {
			renamed(func(s string) string {
				return strings.Replace(s, "layers.1.mlp.up_proj.", "layers.1.mlp.up_proj.base_layer.", 1)
			})(m)
		},
		"$: tensor language_model.layers.0.mlp.up_proj.weight is missing, but there is language_model.model.layers.0.mlp.up_proj.weight._data, as optimum-quanto stores quantized weights: " +
			"expected float weights (those it was made of, or model.dequantize() and save_pretrained with transformers)": func(m tensors) {
			renamed(func(s string) string {
				return strings.Replace(s, "layers.0.mlp.up_proj.weight", "layers.0.mlp.up_proj.weight._data", 1)
			})(m)
		},
		"$: tensor language_model.layers.0.mlp.up_proj.weight is missing, but there is language_model.model.layers.0.mlp.up_proj.qweight, as GPTQ or AWQ stores quantized weights: " +
			"expected the config.json that was saved with them, which has their quantization_config": func(m tensors) {
			renamed(func(s string) string {
				return strings.Replace(s, "layers.0.mlp.up_proj.weight", "layers.0.mlp.up_proj.qweight", 1)
			})(m)
		},
		"$: tensor custom_text_proj.weight is of colpali-engine's ColPali: expected the model as transformers has it, whose model_type is colpali (such as vidore/colpali-v1.3-hf)": func(m tensors) {
			m["custom_text_proj.weight"] = m["language_model.model.norm.weight"]
		},
		// Wrapped in part, as after DataParallel of the decoder alone.
		"$: tensor vision_tower.embeddings.patch_embedding.weight is missing, but there is vision_tower.vision_model.embeddings.patch_embedding.weight: 24 of the model's 47 tensors " +
			"have names under module. and 23 without a prefix, expected one beginning of all (save the model anew)": func(m tensors) {
			renamed(func(s string) string {
				if strings.HasPrefix(s, "language_model.") {
					return "module." + s
				}
				return s
			})(m)
		},
		"$: tensor vision_tower.embeddings.patch_embedding.weight is missing, but there is eye.vision_tower.vision_model.embeddings.patch_embedding.weight: 24 of the model's 47 tensors " +
			"have names under llm. and 23 under eye., expected one beginning of all (save the model anew)": func(m tensors) {
			renamed(func(s string) string {
				if strings.HasPrefix(s, "language_model.") {
					return "llm." + s
				}
				return "eye." + s
			})(m)
		},
		"$: tensor vision_tower.embeddings.patch_embedding.weight is missing, expected shape [21 3 7 7] (47 tensors are there, of which 47 are not the model's, such as bert_0): " +
			"expected all weights that config.json was saved with": func(m tensors) {
			n := 0
			renamed(func(string) string { n++; return fmt.Sprint("bert_", n-1) })(m)
		},
	} {
		dir := tinyCheckpoint(t, false)
		rewrite(t, filepath.Join(dir, "model.safetensors"), change)
		c, err := hf.Load(dir, hf.Options{})
		if err == nil {
			c.Close()
			t.Errorf("no error, want %s", want)
		} else if got := strings.ReplaceAll(err.Error(), dir, "$"); got != want {
			t.Errorf("error  %s\nwanted %s", got, want)
		}
	}
}
