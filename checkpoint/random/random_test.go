package random

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/runtime/tokenizer"
)

const tiny = `{"model_type":"paligemma","image_token_index":1600,
"text_config":{"model_type":"gemma2","vocab_size":1613,"hidden_size":42,"intermediate_size":50,"num_hidden_layers":2,"num_attention_heads":6,"num_key_value_heads":2,"head_dim":10},
"vision_config":{"hidden_size":21,"intermediate_size":33,"num_hidden_layers":1,"num_attention_heads":3,"image_size":21,"patch_size":7}}`

func write(t *testing.T, o Options) string {
	t.Helper()
	dir := t.TempDir()
	cfg := filepath.Join(dir, "config.json")
	if err := os.WriteFile(cfg, []byte(tiny), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "model")
	if err := Write(t.Context(), cfg, out, o); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	for _, o := range []Options{{}, {DType: "f32", Shard: 20_000}, {DType: "f16"}} {
		c, err := hf.Load(write(t, o), hf.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tokenizer.ParsePaliGemma(c.Tokenizer); err != nil {
			t.Error(err)
		}
		c.Close()
	}
}

func TestDeterministic(t *testing.T) {
	read := func(seed uint64) []byte {
		data, err := os.ReadFile(filepath.Join(write(t, Options{Seed: seed}), "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if !bytes.Equal(read(1), read(1)) || bytes.Equal(read(1), read(2)) {
		t.Error("the same seed must give the same weights, another seed others")
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	if err := Write(t.Context(), "paligemma-4b-224", filepath.Join(dir, "x"), Options{}); err == nil || !strings.Contains(err.Error(), "paligemma-3b-224") {
		t.Errorf("error %v", err)
	}
	full := write(t, Options{})
	if err := Write(t.Context(), filepath.Join(full, "config.json"), full, Options{}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Write(ctx, filepath.Join(full, "config.json"), filepath.Join(dir, "y"), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
