package quantized

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"pgc/models/config"
	"pgc/runtime/safetensors"
)

// layer is a file of golden/gen/quantized.py.
type layer struct {
	read    Reader
	tensors map[string]safetensors.Tensor
	want    safetensors.Tensor
}

func open(t *testing.T, path string) layer {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	s, err := config.Parse("config.json", []byte(f.Metadata["config"]))
	if err != nil {
		t.Fatal(err)
	}
	l := layer{read: Of(s), tensors: map[string]safetensors.Tensor{}}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	for _, name := range f.Names() {
		l.tensors["layer."+name], _ = f.Tensor(name)
	}
	l.want = l.tensors["layer.dequantized"]
	delete(l.tensors, "layer.dequantized")
	return l
}

func (l layer) weight(tensors map[string]safetensors.Tensor) (*Weight, error) {
	return l.read("layer.weight", l.want.Shape, func(name string) (safetensors.Tensor, bool) {
		t, ok := tensors[name]
		return t, ok
	})
}

// TestFormats compares every format with what its tool makes of it, bit by bit.
func TestFormats(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.safetensors")
	if len(files) == 0 {
		t.Fatal("no files")
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			l := open(t, path)
			w, err := l.weight(l.tensors)
			if err != nil {
				t.Fatal(err)
			}
			used := map[string]bool{}
			for _, name := range w.Used {
				used[name] = true
			}
			for name := range l.tensors {
				if !used[name] {
					t.Errorf("%s is not used", name)
				}
			}
			if got := strings.ToUpper(w.DType.String()); got != string(l.want.DType) {
				t.Fatalf("it is %s, the tool's is %s", got, l.want.DType)
			}
			whole, parts := make([]byte, len(l.want.Data)), make([]byte, len(l.want.Data))
			w.Read(whole, 0)
			if !bytes.Equal(whole, l.want.Data) {
				at := 0
				for whole[at] == l.want.Data[at] {
					at++
				}
				t.Errorf("element %d differs from the tool's", at/w.DType.Bytes())
			}
			for at := 0; at < len(parts); at += 37 {
				w.Read(parts[at:min(len(parts), at+37)], int64(at))
			}
			if !bytes.Equal(whole, parts) {
				t.Error("read in parts it differs")
			}
		})
	}
}

// TestPlain: a weight without tensors of a format is none of it.
func TestPlain(t *testing.T) {
	l := open(t, "testdata/llm-int8.safetensors")
	if w, err := l.weight(map[string]safetensors.Tensor{"layer.weight": l.want}); w != nil || err != nil {
		t.Errorf("%v, error %v", w, err)
	}
}

// TestBroken damages a layer's tensors and holds every error to its words.
func TestBroken(t *testing.T) {
	cut := func(name string) func(map[string]safetensors.Tensor) {
		return func(m map[string]safetensors.Tensor) {
			x := m[name]
			x.Data = x.Data[:len(x.Data)/2]
			m[name] = x
		}
	}
	drop := func(name string) func(map[string]safetensors.Tensor) {
		return func(m map[string]safetensors.Tensor) { delete(m, name) }
	}
	shaped := func(name string, shape ...int) func(map[string]safetensors.Tensor) {
		return func(m map[string]safetensors.Tensor) {
			x := m[name]
			x.Shape = shape
			m[name] = x
		}
	}
	set := func(name string, to byte) func(map[string]safetensors.Tensor) {
		return func(m map[string]safetensors.Tensor) {
			x := m[name]
			x.Data = bytes.Clone(x.Data)
			x.Data[0] = to
			m[name] = x
		}
	}
	describe := func(text string) func(map[string]safetensors.Tensor) {
		return func(m map[string]safetensors.Tensor) {
			const name = "layer.weight.quant_state.bitsandbytes__nf4"
			x := m[name]
			x.Data = []byte(text)
			m[name] = x
		}
	}
	for _, c := range []struct {
		file   string
		damage func(map[string]safetensors.Tensor)
		want   string
	}{
		{"nf4-nested", cut("layer.weight"), "tensor weight has 960 bytes, expected 1920 for 4 bits of shape [48 80]"},
		{"nf4-nested", cut("layer.weight.absmax"), "tensor weight.absmax has 30 scales of 8 bits in blocks of 256, expected 60"},
		{"nf4-plain", cut("layer.weight.absmax"), "tensor weight.absmax has 1 elements, expected 2"},
		{"nf4-nested", cut("layer.weight.nested_quant_map"), "tensor weight.nested_quant_map has 128 elements, expected 256"},
		{"nf4-nested", drop("layer.weight.nested_absmax"), "tensor layer.weight.nested_absmax is missing, without which a quantized weight cannot be read: expected all tensors of one save"},
		{"nf4-nested", drop("layer.weight.quant_state.bitsandbytes__nf4"), "tensor weight has no quant_state.bitsandbytes__nf4 or __fp4 beside it: expected all tensors of one save"},
		{"nf4-nested", drop("layer.weight"), "tensor layer.weight.absmax stands beside no weight: expected all tensors of one save"},
		{"nf4-nested", describe("["), "tensor weight.quant_state.bitsandbytes__nf4 is no JSON (unexpected end of JSON input): expected the save of bitsandbytes as it was, or float weights"},
		{"nf4-nested", describe(`{"blocksize":0,"dtype":"bfloat16"}`), `the quant_state of tensor weight has blocksize 0 and dtype "bfloat16", expected blocks of float32, bfloat16 or float16`},
		{"nf4-nested", describe(`{"blocksize":64,"dtype":"bfloat16","shape":[1,2]}`), "the quant_state of tensor weight has shape [1 2], config.json asks for [48 80]: expected the config.json that was saved with the weights"},
		{"gptq", drop("layer.qzeros"), "tensor layer.qzeros is missing, without which a quantized weight cannot be read: expected all tensors of one save"},
		{"gptq", shaped("layer.qweight", 4, 48), "tensor qweight is I32 of shape [4 48], expected I32 of [8 24]"},
		{"gptq", cut("layer.scales"), "tensor scales has 24 elements, expected 48"},
		{"gptq", set("layer.g_idx", 2), "tensor g_idx has the group 2, expected 0 to 1"},
		{"gptq", cut("layer.g_idx"), "tensor g_idx has 32 elements, expected 64"},
		{"awq", shaped("layer.qzeros", 3, 2), "tensor qzeros is I32 of shape [3 2], expected I32 of [2 3]"},
		{"ct-pack-4", shaped("layer.weight_scale", 48), "tensor weight_scale has shape [48], expected a scale for every row, group or block of [24 64]"},
		{"ct-pack-4", shaped("layer.weight_packed", 12, 16), "tensor weight_packed is I32 of shape [12 16], expected words of 1 to 8 bits for [24 64]: " + Dequantize},
		{"ct-pack-4-asymmetric", shaped("layer.weight_zero_point", 2, 3), "tensor weight_zero_point is I32 of shape [2 3], expected I32 of [3 2]"},
		{"ct-pack-3", shaped("layer.weight_packed", 24, 7), "tensor weight_packed is I32 of shape [24 7], expected words of 1 to 8 bits for [24 64]: " + Dequantize},
		{"ct-fp8-channel", shaped("layer.weight_scale", 5, 1), "tensor weight_scale has shape [5 1], expected a scale for every row, block or all of [6 256]"},
		{"ct-fp8-channel", cut("layer.weight_scale"), "tensor weight_scale has 3 elements, expected 6"},
		{"fp8-blocks", shaped("layer.weight_scale_inv", 5, 2), "tensor weight_scale_inv has shape [5 2], expected a scale for every row, block or all of [192 256]"},
		{"torchao-fp8", func(m map[string]safetensors.Tensor) {
			m["layer._weight_scale"] = safetensors.Tensor{Name: "layer._weight_scale", DType: safetensors.F8E8M0, Shape: []int{6, 8}, Data: make([]byte, 48)}
		}, "tensor layer._weight_scale has the scales of an MXTensor, which may lie in the order of a GPU's tensor cores and are not read: " + Dequantize},
		{"torchao-int4", func(m map[string]safetensors.Tensor) {
			m["layer._weight_scale"] = safetensors.Tensor{Name: "_weight_scale", DType: safetensors.F8E4M3, Shape: []int{24, 5}, Data: make([]byte, 120)}
		}, "tensor _weight_scale has the scales of an NVFP4Tensor or MXTensor, which may lie in the order of a GPU's tensor cores and are not read: " + Dequantize},
		{"ct-fp8-channel", func(m map[string]safetensors.Tensor) {
			m["layer.weight_zero_point"] = safetensors.Tensor{DType: safetensors.F8E4M3, Shape: []int{6, 1}, Data: make([]byte, 6)}
		}, "tensor layer.weight_zero_point shifts floats of 8 bits, which is not read: " + Dequantize},
		{"ct-mxfp6", shaped("layer.weight_packed", 5, 71), "tensor weight_packed is U8 of shape [5 71], expected U8 of [5 48]"},
		{"auto-round-5-zeros", shaped("layer.qweight", 16, 32), "tensor qweight is I32 of shape [16 32], expected I32 of [15 32]"},
		{"fp8-blocks", drop("layer.weight"), "tensor layer.weight is missing, without which a quantized weight cannot be read: expected all tensors of one save"},
		{"ct-nvfp4", drop("layer.weight_global_scale"), "tensor layer.weight_global_scale is missing, without which a quantized weight cannot be read: expected all tensors of one save"},
		{"ct-nvfp4", shaped("layer.weight_scale", 6, 5), "tensor layer.weight_scale is F8_E4M3 of shape [6 5], expected F8_E4M3 or powers of two in U8 for every group of a row of [6 64]"},
		{"ct-int", drop("layer.weight"), "tensor layer.weight is missing, without which a quantized weight cannot be read: expected all tensors of one save"},
		{"llm-int8", drop("layer.weight"), "tensor SCB of LLM.int8 stands beside no matrix of int8: expected all tensors of one save"},
		{"llm-int8", cut("layer.SCB"), "tensor SCB has 12 elements, expected 24"},
	} {
		l := open(t, fmt.Sprintf("testdata/%s.safetensors", c.file))
		damaged := maps.Clone(l.tensors)
		c.damage(damaged)
		if _, err := l.weight(damaged); err == nil || err.Error() != c.want {
			t.Errorf("error  %v\nwanted %s", err, c.want)
		}
	}
	for text, want := range map[string]string{
		`{"quant_method": "hqq"}`:                                                                                                 `quant_method is "hqq", which is not read: ` + Dequantize + " or one of auto-round, awq, bitsandbytes, compressed-tensors, fbgemm_fp8, fp8, gptq, torchao",
		`{"quant_method": "gptq", "bits": 5}`:                                                                                     "bits is 5, which is not read: " + Dequantize,
		`{"quant_method": "gptq", "checkpoint_format": "marlin"}`:                                                                 `checkpoint_format is "marlin", expected "gptq" or "gptq_v2": ` + Dequantize,
		`{"quant_method": "awq", "bits": 4, "version": "exllama"}`:                                                                `version is "exllama", expected "gemm": ` + Dequantize,
		`{"quant_method": "awq", "bits": 4, "format": "gemv"}`:                                                                    `format is "gemv", expected "gemm": ` + Dequantize,
		`{"quant_method": "awq", "backend": "llm-awq"}`:                                                                           `backend is "llm-awq", expected "gemm": ` + Dequantize,
		`{"quant_method": "gptq", "format": "bitblas"}`:                                                                           `format is "bitblas", expected "gptq" or "gptq_v2": ` + Dequantize,
		`{"quant_method": "auto-round", "packing_format": "auto_round:fake"}`:                                                     `packing_format is "auto_round:fake", expected "auto_round", "auto_round:auto_awq", "auto_round:auto_gptq", "auto_round:awq", "auto_round:gptq", "auto_round:gptqmodel": ` + Dequantize,
		`{"quant_method": "auto-round", "data_type": "mx_fp"}`:                                                                    `data_type is "mx_fp", expected "int": ` + Dequantize,
		`{"quant_method": "auto-round", "packing_format": "auto_round:auto_awq", "bits": 3}`:                                      "bits is 3, which is not read: " + Dequantize,
		`{"quant_method": "compressed-tensors", "transform_config": {"config_groups": {"u": {"type": "hadamard", "apply": []}}}}`: "transform_config rotates what is multiplied with the weights, which is not read: " + Dequantize,
	} {
		s, err := config.Parse("config.json", []byte(`{"quantization_config": `+text+`}`))
		if err != nil {
			t.Fatal(err)
		}
		Of(s)
		if want = "config.json: quantization_config." + want; s.Err() == nil || s.Err().Error() != want {
			t.Errorf("error  %v\nwanted %s", s.Err(), want)
		}
	}
}

// TestZeros: what the older or the newer name of the setting says of GPTQ's zeros counts, in any case; the older goes first.
func TestZeros(t *testing.T) {
	l := open(t, "testdata/gptq-v2.safetensors")
	for text, v2 := range map[string]bool{
		`"format": "gptq_v2"`: true, `"checkpoint_format": "GPTQ_V2"`: true, `"format": "gptq", "checkpoint_format": "gptq_v2"`: true,
		`"format": "gptq_v2", "checkpoint_format": "gptq"`: false, `"format": "gptq_v2", "checkpoint_format": null`: true, `"format": "gptq"`: false,
	} {
		s, err := config.Parse("config.json", []byte(`{"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, `+text+`}}`))
		if err != nil {
			t.Fatal(err)
		}
		l.read = Of(s)
		w, err := l.weight(l.tensors)
		if err != nil || s.Err() != nil {
			t.Fatal(err, s.Err())
		}
		got := make([]byte, len(l.want.Data))
		if w.Read(got, 0); bytes.Equal(got, l.want.Data) != v2 {
			t.Errorf("%s: zeros as they are stored: %v, expected %v", text, !v2, v2)
		}
	}
}

// TestActivations: scales of activations and of the KV cache are for the tool's own kernels.
func TestActivations(t *testing.T) {
	beside := map[string]bool{"attn.k_proj.input_scale": true, "attn.k_scale": true, "attn.v_scale": true}
	got := activations("attn.k_proj.weight", func(name string) (safetensors.Tensor, bool) { return safetensors.Tensor{}, beside[name] })
	if want := "[attn.k_proj.input_scale attn.k_scale]"; fmt.Sprint(got) != want {
		t.Errorf("%v, expected %s", got, want)
	}
}
