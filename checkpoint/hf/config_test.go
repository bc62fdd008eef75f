package hf

import (
	"slices"
	"strings"
	"testing"

	"pgc/models/paligemma"
)

func read(t *testing.T, text string) (paligemma.Config, error) {
	t.Helper()
	_, c, err := ParseConfig("config.json", []byte(text))
	if err != nil {
		return paligemma.Config{}, err
	}
	return c.(paligemma.Config), nil
}

func TestConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"model_type":"llava"}`:          `model_type is "llava", expected "paligemma"`,
		`{"type":"pi0"}`:                  `model_type is missing, expected "paligemma" or "colpali" (a training folder needs the config.json of the model that was trained on)`,
		"\ufeff" + `{"model_type":"bom"}`: `model_type is "bom"`,
		"\xff\xfe{\x00}\x00":              `config.json is not a JSON object: it is UTF-16, expected JSON in UTF-8`,
		`{"model_type":"paligemma","loss":NaN,"vision_config":{"layer_norm_eps":-Infinity}}`:                                      `vision_config.layer_norm_eps is "-Infinity", expected a number`,
		`{"model_type":"paligemma","loss":NaN,"why":nan}`:                                                                         `config.json is not a JSON object: it has 'N' at byte 34`,
		`{"model_type":"paligemma","text_config":{"model_type":"llama"}}`:                                                         `text_config.model_type is "llama"`,
		`{"model_type":"paligemma","text_config":{"hidden_size":"big"}}`:                                                          `text_config.hidden_size is "big", expected a whole number`,
		`{"model_type":"paligemma","text_config":{"hidden_size":0}}`:                                                              "text_config.hidden_size is 0, expected a positive number",
		`{"model_type":"paligemma","text_config":{"head_dim":7}}`:                                                                 "text_config.head_dim is 7, expected an even number",
		`{"model_type":"paligemma","text_config":{"num_attention_heads":3,"num_key_value_heads":2}}`:                              "expected a multiple of num_key_value_heads 2",
		`{"model_type":"paligemma","text_config":{"hidden_act":"silu"}}`:                                                          `text_config.hidden_act is "silu"`,
		`{"model_type":"paligemma","text_config":{"model_type":"gemma2","hidden_activation":"gelu"}}`:                             `text_config.hidden_activation is "gelu", expected "gelu_pytorch_tanh"`,
		`{"model_type":"paligemma","vision_config":{"hidden_act":"gelu"}}`:                                                        `vision_config.hidden_act is "gelu", expected "gelu_pytorch_tanh"`,
		`{"model_type":"paligemma","text_config":{"use_bidirectional_attention":false}}`:                                          "text_config.use_bidirectional_attention is false, which is not supported: expected true",
		`{"model_type":"paligemma","text_config":{"rope_scaling":{"type":"linear","factor":2}}}`:                                  `text_config.rope_scaling.type is "linear", expected "default"`,
		`{"model_type":"paligemma","text_config":{"rope_parameters":{"type":"linear","factor":2}}}`:                               `text_config.rope_parameters.type is "linear", expected "default"`,
		`{"model_type":"paligemma","text_config":{"model_type":"gemma2","rope_parameters":{"full_attention":{"rope_theta":5}}}}`:  `text_config.rope_parameters.full_attention is {"rope_theta":5}, which is not supported`,
		`{"model_type":"paligemma","text_config":{"rope_parameters":{"rope_type":"yarn"}}}`:                                       `text_config.rope_parameters.rope_type is "yarn", expected "default"`,
		`{"model_type":"paligemma","text_config":{"rope_theta":0}}`:                                                               "text_config.rope_theta is 0, expected a positive number",
		`{"model_type":"paligemma","text_config":{"attention_bias":true}}`:                                                        "text_config.attention_bias is true, which is not supported: expected false",
		`{"model_type":"paligemma","text_config":{"rms_norm_eps":-1}}`:                                                            "text_config.rms_norm_eps is -1, expected a positive number",
		`{"model_type":"paligemma","text_config":{"num_hidden_layers":2000000000}}`:                                               "text_config.num_hidden_layers is 2000000000, expected at most 1024",
		`{"model_type":"paligemma","text_config":{"hidden_size":4294967296}}`:                                                     "text_config.hidden_size is 4294967296, expected a whole number",
		`{"model_type":"paligemma","text_config":{"hidden_size":64},"projection_dim":32}`:                                         "projection_dim is 32, but text_config.hidden_size is 64",
		`{"model_type":"paligemma","text_config":{"eos_token_id":[1,null]}}`:                                                      "text_config.eos_token_id is [1,null], expected token ids",
		`{"model_type":"paligemma","vision_config":{"hidden_size":10,"num_attention_heads":3}}`:                                   "vision_config.hidden_size is 10, expected a multiple",
		`{"model_type":"paligemma","vision_config":7}`:                                                                            "vision_config is not an object",
		`{"model_type":"paligemma","text_config":{"model_type":"gemma2","num_hidden_layers":2,"layer_types":["full_attention"]}}`: "layer_types is not a list of 2 names",
		`{"model_type":"paligemma","text_config":{"model_type":"gemma2","sliding_window":0}}`:                                     "text_config.sliding_window is 0, expected a positive number",
		`{"model_type":"paligemma","text_config":{"model_type":"gemma2","sliding_window":null}}`:                                  "text_config.sliding_window is null, but there are layers of sliding_attention",
		`{"model_type":"paligemma","text_config":{"num_image_tokens":9},"vision_config":{"patch_size":0}}`:                        "vision_config.patch_size is 0, expected a positive number",
	} {
		if _, err := read(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}

// TestNumbersOfPython: a file of Python's json module may hold NaN and Infinity, in settings that transformers does not read.
func TestNumbersOfPython(t *testing.T) {
	m, c, err := ParseConfig("config.json", []byte("\ufeff"+`{"loss":NaN,"model_type":"paligemma","of":[-Infinity,"a NaN \" b", Infinity],"text_config":{"rope_theta":7}}`))
	if err != nil || m == nil || c.(paligemma.Config).Text.RopeTheta != 7 {
		t.Errorf("%v, %v", c, err)
	}
}

// TestEnds reads which tokens end an answer: those of the whole model before the decoder's, and the default where there are none.
func TestEnds(t *testing.T) {
	for text, want := range map[string][]int{
		`"eos_token_id":7`:                                     {7},
		`"eos_token_id":[7,-1,9],"text_config":{}`:             {7, 9},
		`"eos_token_id":null,"text_config":{"eos_token_id":5}`: {5},
		`"eos_token_id":null`:                                  {1},
		`"eos_token_id":[]`:                                    {1},
		`"eos_token_id":-1`:                                    {1},
		`"text_config":{"eos_token_id":null}`:                  {1},
	} {
		if c, err := read(t, `{"model_type":"paligemma",`+text+`}`); err != nil || !slices.Equal(c.EOSTokenID, want) {
			t.Errorf("%s: %v, %v, want %v", text, c.EOSTokenID, err, want)
		}
	}
}

// TestRopeTheta reads the base of the rotary embedding from wherever transformers does.
func TestRopeTheta(t *testing.T) {
	for text, want := range map[string]float64{
		`{}`:                                    1e4,
		`{"rope_theta":50}`:                     50,
		`{"rope_theta":50,"rope_scaling":{}}`:   50,
		`{"rope_parameters":{"rope_theta":60}}`: 60,
		`{"rope_theta":50,"rope_parameters":{"rope_type":"default","rope_theta":60}}`:       60,
		`{"rope_theta":50,"rope_scaling":{"type":"default"}}`:                               50,
		`{"rope_parameters":{"rope_theta":60},"rope_scaling":{"rope_type":"default"}}`:      1e4,
		`{"rope_theta":50,"rope_scaling":{"rope_type":"default","rope_theta":70}}`:          70,
		`{"rope_parameters":{"rope_theta":60,"rope_type":"default","type":"not this one"}}`: 60,
	} {
		c, err := read(t, `{"model_type":"paligemma","text_config":`+text+`}`)
		if err != nil || c.Text.RopeTheta != want {
			t.Errorf("%s: %g (%v), want %g", text, c.Text.RopeTheta, err, want)
		}
	}
}
