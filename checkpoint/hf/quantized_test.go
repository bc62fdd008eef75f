package hf_test

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/runtime/safetensors"
)

// TestQuantized loads a save of LLM.int8 under a prefix, which is dequantized, and says where the setting is a leftover.
func TestQuantized(t *testing.T) {
	const setting, module = `"quantization_config":{"load_in_8bit":true},`, "language_model.model.layers.0.mlp.up_proj."
	dir := tinyCheckpoint(t, false)
	path := filepath.Join(dir, "config.json")
	edit(t, path, `{"model_type":"paligemma"`, "{"+setting+`"model_type":"paligemma"`)
	c, err := hf.Load(dir, hf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if want := path + ": quantization_config is passed over, as all weights are floats"; len(c.Notes) != 1 || c.Notes[0] != want {
		t.Errorf("notes %q, expected %s", c.Notes, want)
	}

	rewrite(t, filepath.Join(dir, "model.safetensors"), func(m tensors) {
		x := m[module+"weight"]
		codes := make([]byte, x.Shape[0]*x.Shape[1])
		var scales []byte
		for i := range codes {
			codes[i] = byte(i * 7)
		}
		for r := range x.Shape[0] {
			scales = binary.LittleEndian.AppendUint32(scales, math.Float32bits(float32(r)/8))
		}
		m[module+"weight"] = safetensors.Tensor{DType: safetensors.I8, Shape: x.Shape, Data: codes}
		m[module+"SCB"] = safetensors.Tensor{DType: safetensors.F32, Shape: x.Shape[:1], Data: scales}
		m[module+"weight_format"] = safetensors.Tensor{DType: safetensors.U8, Shape: []int{}, Data: []byte{0}}
		renamed(func(s string) string { return "module." + s })(m)
	})
	if c, err = hf.Load(dir, hf.Options{}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w, err := c.Tensor("language_model.layers.0.mlp.up_proj.weight")
	if err != nil {
		t.Fatal(err)
	}
	got := float32s(t, w)
	for i := range len(got) / 4 {
		want := float32(int8(i*7)) * (float32(i/w.Shape[1]) / 8)
		want = float32(want * 7.874015718698502e-3)
		if v := math.Float32frombits(binary.LittleEndian.Uint32(got[4*i:])); v != want {
			t.Fatalf("element %d is %g, expected %g", i, v, want)
		}
	}
	edit(t, path, setting, "")
	edit(t, path, `"text_config":{`, `"text_config":{`+setting) // where transformers looks next
	if c, err := hf.Load(dir, hf.Options{}); err != nil || len(c.Notes) != 1 || !strings.Contains(c.Notes[0], "module.") {
		t.Errorf("in text_config: %v", err)
	} else {
		c.Close()
	}
	edit(t, path, setting, "")
	if _, err := hf.Load(dir, hf.Options{}); err == nil || !strings.Contains(err.Error(), "up_proj.weight is I8, and config.json has no quantization_config") {
		t.Errorf("without the setting: error %v", err)
	}
}
