// Package random writes checkpoints of random weights in the hub's layout, so that speed and memory can be measured
// without a released model and without Python.
package random

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pgc/checkpoint/hf"
	"pgc/models"
	"pgc/models/registry"
	"pgc/runtime/input"
	"pgc/runtime/output"
	"pgc/runtime/safetensors"
)

// Options are the settings of Write.
type Options struct {
	Seed     uint64
	DType    string // bf16 (the default), f16 or f32
	Progress func(name string, done, total int64)
	Shard    int64 // bytes of a shard; 0 for the hub's 5 GB
}

// maxConfig bounds a config.json, in bytes.
const maxConfig = 16 << 20

// released are the configurations of released checkpoints, by name.
func released() map[string]any {
	all := map[string]any{}
	for _, m := range registry.All {
		maps.Copy(all, m.Released())
	}
	return all
}

// Shapes lists the names of the released sizes.
func Shapes() []string { return slices.Sorted(maps.Keys(released())) }

// config returns the config.json of a released size, or that of a file.
func config(shape string) ([]byte, error) {
	if c, ok := released()[shape]; ok {
		return json.MarshalIndent(c, "", "  ")
	}
	if _, err := os.Stat(shape); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is neither a config.json nor one of %s", shape, strings.Join(Shapes(), ", "))
	}
	return input.ReadFile(shape, maxConfig)
}

// Config reads the configuration that Write gives a checkpoint.
func Config(shape string) (*models.Model, models.Config, error) {
	data, err := config(shape)
	if err != nil {
		return nil, nil, err
	}
	return hf.ParseConfig(shape, data)
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
	m, c, err := hf.ParseConfig(shape, cfg)
	if err != nil {
		return err
	}
	facts := c.Facts()
	tok, err := gemmaTokenizer(facts)
	if err != nil {
		return err
	}
	folder, err := output.CreateFolder(dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = folder.Abort(err)
		}
	}()
	tmp := folder.Dir
	save := func(name string, data []byte) {
		if err == nil {
			err = output.WriteFile(filepath.Join(tmp, name), data)
		}
	}
	size := facts.ImageSize
	pre, _ := json.MarshalIndent(map[string]any{"image_processor_type": "SiglipImageProcessor", "do_resize": true, "do_rescale": true,
		"do_normalize": true, "resample": 3, "rescale_factor": 1.0 / 255, "image_mean": []float64{.5, .5, .5}, "image_std": []float64{.5, .5, .5},
		"size": map[string]int{"height": size, "width": size}, "image_seq_length": facts.ImageTokens}, "", "  ")
	save("config.json", cfg)
	save("tokenizer.json", tok)
	save("preprocessor_config.json", pre)
	save("generation_config.json", []byte(`{"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}`+"\n"))
	if err != nil {
		return err
	}
	list, err := models.Weights(c)
	if err != nil {
		return err
	}
	if err = weights(ctx, tmp, m, list, dtype, o); err != nil {
		return err
	}
	return folder.Close()
}
