// Package random writes checkpoints of random weights in the hub's layout, so that speed and memory can be measured
// without a released model and without Python. It imports checkpoint/hf, models/paligemma and runtime/safetensors.
package random

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"pgc/checkpoint/hf"
	"pgc/runtime/safetensors"
)

// Options are the settings of Write.
type Options struct {
	Seed     uint64
	DType    string // bf16 (the default), f16 or f32
	Progress func(name string, done, total int64)
	Shard    int64 // bytes of a shard; 0 for the hub's 5 GB
}

// text sizes of the released models: layers, width, heads, key heads, head_dim, feed-forward width.
var text = map[string][6]int{
	"paligemma-3b":   {18, 2048, 8, 1, 256, 16384},
	"paligemma2-3b":  {26, 2304, 8, 4, 256, 9216},
	"paligemma2-10b": {42, 3584, 16, 8, 256, 14336},
	"paligemma2-28b": {46, 4608, 32, 16, 128, 36864},
}

// Shapes lists the names of the released sizes.
func Shapes() []string {
	var names []string
	for name := range text {
		for _, side := range []int{224, 448, 896} {
			names = append(names, fmt.Sprintf("%s-%d", name, side))
		}
	}
	sort.Strings(names)
	return names
}

// config returns the config.json of a released size, or that of a file.
func config(shape string) ([]byte, error) {
	at := strings.LastIndexByte(shape, '-')
	if at > 0 {
		if t, ok := text[shape[:at]]; ok {
			if side := shape[at+1:]; side == "224" || side == "448" || side == "896" {
				return released(shape[:at], t, side)
			}
		}
	}
	data, err := os.ReadFile(shape)
	if err != nil {
		return nil, fmt.Errorf("%s is neither a config.json nor one of %s", shape, strings.Join(Shapes(), ", "))
	}
	return data, nil
}

// Config is the configuration that Write gives a checkpoint.
func Config(shape string) (*hf.Config, error) {
	data, err := config(shape)
	if err != nil {
		return nil, err
	}
	return hf.ParseConfig(shape, data)
}

func released(name string, t [6]int, side string) ([]byte, error) {
	kind, size := "gemma", map[string]int{"224": 224, "448": 448, "896": 896}[side]
	tc := map[string]any{"model_type": kind, "vocab_size": 257216, "num_hidden_layers": t[0], "hidden_size": t[1], "num_attention_heads": t[2],
		"num_key_value_heads": t[3], "head_dim": t[4], "intermediate_size": t[5], "hidden_activation": "gelu_pytorch_tanh"}
	if strings.HasPrefix(name, "paligemma2") {
		tc["model_type"], tc["query_pre_attn_scalar"] = "gemma2", 256
		tc["attn_logit_softcapping"], tc["final_logit_softcapping"], tc["sliding_window"] = 50.0, 30.0, 4096
		if name == "paligemma2-28b" {
			tc["query_pre_attn_scalar"] = 144
		}
	}
	return json.MarshalIndent(map[string]any{"model_type": "paligemma", "architectures": []string{"PaliGemmaForConditionalGeneration"},
		"image_token_index": 257152, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "projection_dim": t[1], "hidden_size": t[1],
		"text_config": tc,
		"vision_config": map[string]any{"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
			"num_attention_heads": 16, "patch_size": 14, "image_size": size, "vision_use_head": false, "projection_dim": t[1]}}, "", "  ")
}

// Write makes a checkpoint directory of a released size (paligemma-3b-224, …) or of a config.json. The same seed gives
// the same bytes. On an error nothing is left behind; a directory that holds something is never touched.
func Write(ctx context.Context, shape, dir string, o Options) (err error) {
	cfg, err := config(shape)
	if err != nil {
		return err
	}
	dtype, ok := map[string]safetensors.DType{"": safetensors.BF16, "bf16": safetensors.BF16, "f16": safetensors.F16, "f32": safetensors.F32}[o.DType]
	if !ok {
		return fmt.Errorf("--dtype %s is not known: expected bf16, f16 or f32", o.DType)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: expected a new directory", dir)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(filepath.Clean(dir)), "."+filepath.Base(dir)+"-")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", dir, errors.Unwrap(err))
	}
	defer func() {
		if err != nil {
			os.RemoveAll(tmp)
		}
	}()
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	save := func(name string, data []byte) {
		if err == nil {
			err = os.WriteFile(filepath.Join(tmp, name), data, 0o644)
		}
	}
	save("config.json", cfg)
	if err != nil {
		return err
	}
	c, err := hf.ReadConfig(tmp)
	if err != nil {
		return err
	}
	tok, err := gemmaTokenizer(c)
	if err != nil {
		return err
	}
	size := c.Model.Vision.ImageSize
	pre, _ := json.MarshalIndent(map[string]any{"image_processor_type": "SiglipImageProcessor", "do_resize": true, "do_rescale": true,
		"do_normalize": true, "resample": 3, "rescale_factor": 1.0 / 255, "image_mean": []float64{.5, .5, .5}, "image_std": []float64{.5, .5, .5},
		"size": map[string]int{"height": size, "width": size}, "image_seq_length": c.Model.Vision.Tokens()}, "", "  ")
	save("tokenizer.json", tok)
	save("preprocessor_config.json", pre)
	save("generation_config.json", []byte(`{"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}`+"\n"))
	if err != nil {
		return err
	}
	if err = weights(ctx, tmp, hf.Manifest(c.Model), dtype, o); err != nil {
		return err
	}
	if err = os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Rename(tmp, dir)
}
