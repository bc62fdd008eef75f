package hf_test

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/ir"
	"pgc/runtime/safetensors"
)

// TestDisagreements loads what transformers loads although its files contradict each other, with a note; $ is the checkpoint's
// directory.
func TestDisagreements(t *testing.T) {
	const (
		index = "model.safetensors.index.json"
		norm  = `    "language_model.model.norm.weight": "model-00003-of-00003.safetensors",` + "\n"
	)
	for _, c := range []struct{ file, from, to, note string }{
		{index, `"weight_map": {`, `"weight_map": {"more": "model-00001-of-00003.safetensors",`,
			"$/" + index + ": weight_map and the shards do not agree on 1 of 47 tensors (more, …): what the shards hold counts"},
		{index, norm, "", "$/" + index + ": weight_map and the shards do not agree on 1 of 47 tensors (language_model.model.norm.weight, …): what the shards hold counts"},
		{index, norm, strings.Replace(norm, "00003-of", "00002-of", 1),
			"$/" + index + ": weight_map and the shards do not agree on 1 of 47 tensors (language_model.model.norm.weight, …): what the shards hold counts"},
		{index, `"total_size": 203598`, `"total_size": 12`, "$/" + index + ": metadata.total_size is 12, but the tensors of the shards have 203598 bytes: passed over"},
		{index, `"total_size": 203598`, `"total_size": "0.2 MB"`,
			"$/" + index + `: metadata.total_size is "0.2 MB", but the tensors of the shards have 203598 bytes: passed over`},
		{"config.json", `"num_image_tokens":9`, `"num_image_tokens":256`,
			"$/config.json: text_config.num_image_tokens is 256, but image_size 21 and patch_size 7 make 9: passed over"},
	} {
		dir := tinyCheckpoint(t, true)
		edit(t, filepath.Join(dir, c.file), c.from, c.to)
		ck, err := hf.Load(dir, hf.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.note, err)
			continue
		}
		if notes := strings.ReplaceAll(strings.Join(ck.Notes, "\n"), dir, "$"); notes != c.note {
			t.Errorf("notes  %s\nwanted %s", notes, c.note)
		}
		ck.Close()
	}
}

// TestGenerationOfConfig reads how to generate from config.json where nothing else says it, as transformers does: the decoder's
// settings where the whole model has none.
func TestGenerationOfConfig(t *testing.T) {
	dir := tinyCheckpoint(t, false)
	edit(t, filepath.Join(dir, "config.json"), `"eos_token_id":1`, `"eos_token_id":1,"do_sample":true,"repetition_penalty":1.5,"top_p":null`)
	edit(t, filepath.Join(dir, "config.json"), `"vocab_size":1613`, `"vocab_size":1613,"repetition_penalty":1.7,"top_p":0.5`)
	load := func() hf.Generation {
		c, err := hf.Load(dir, hf.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.Generation
	}
	if g := load(); g.DoSample || g.RepetitionPenalty != 1 || g.TopP != 1 {
		t.Errorf("%+v, wanted what generation_config.json says", g)
	}
	if err := os.Remove(filepath.Join(dir, "generation_config.json")); err != nil {
		t.Fatal(err)
	}
	if g := load(); !g.DoSample || g.RepetitionPenalty != 1.5 || g.TopP != 0.5 {
		t.Errorf("%+v, wanted what config.json says", g)
	}
	edit(t, filepath.Join(dir, "config.json"), `"do_sample":true`, `"suppress_tokens":[5]`)
	if _, err := hf.Load(dir, hf.Options{}); err == nil || !strings.HasSuffix(err.Error(), "config.json: suppress_tokens is [5], which is not supported: expected null") {
		t.Errorf("error %v, wanted one about suppress_tokens", err)
	}
}

// TestSpecialTokensMap takes the token that begins a text from the older file, unless tokenizer_config.json lists added tokens.
func TestSpecialTokensMap(t *testing.T) {
	dir := tinyCheckpoint(t, false)
	save(t, filepath.Join(dir, "special_tokens_map.json"), `{"bos_token":{"content":"<unk>"},"additional_special_tokens":["<image>"]}`)
	for _, c := range []struct{ config, want string }{
		{`{"bos_token":"<bos>"}`, "<unk>"},
		{`{"bos_token":"<bos>","added_tokens_decoder":{}}`, "<bos>"},
	} {
		save(t, filepath.Join(dir, "tokenizer_config.json"), c.config)
		ck, err := hf.Load(dir, hf.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if ck.BOSToken != c.want || ck.EOSToken != "<eos>" {
			t.Errorf("%s: %s and %s, want %s and <eos>", c.config, ck.BOSToken, ck.EOSToken, c.want)
		}
		ck.Close()
	}
}

// TestFloat8 reads weights of float8 without scales, which are the weights themselves.
func TestFloat8(t *testing.T) {
	const norm = "language_model.model.norm.weight"
	for dtype, codes := range map[safetensors.DType][]byte{
		safetensors.F8E4M3: {0x38, 0xb8, 0x01, 0x7e}, // 1, -1, 2⁻⁹, 448
		safetensors.F8E5M2: {0x3c, 0xbc, 0x20, 0x5f}, // 1, -1, 2⁻⁷, 448
	} {
		dir := tinyCheckpoint(t, false)
		rewrite(t, filepath.Join(dir, "model.safetensors"), func(m map[string]safetensors.Tensor) {
			data := make([]byte, 42)
			copy(data, codes)
			m[norm] = safetensors.Tensor{DType: dtype, Shape: []int{42}, Data: data}
		})
		c, err := hf.Load(dir, hf.Options{})
		if err != nil {
			t.Fatal(err)
		}
		x, err := c.Tensor("language_model.norm.weight")
		if err != nil || x.DType != ir.BF16 {
			t.Fatal(x.DType, err)
		}
		got := make([]byte, 8)
		x.Read(got, 0)
		small := map[safetensors.DType]float32{safetensors.F8E4M3: 0x1p-9, safetensors.F8E5M2: 0x1p-7}[dtype]
		for i, want := range []float32{1, -1, small, 448} {
			if v := math.Float32frombits(uint32(binary.LittleEndian.Uint16(got[2*i:])) << 16); v != want {
				t.Errorf("%s: element %d is %g, want %g", dtype, i, v, want)
			}
		}
		c.Close()
	}
}
