package hf

import "testing"

// TestReleasedConfigurations reads configurations with the keys that the hub's checkpoints have: PaliGemma 1's leaves
// out all that has a default, PaliGemma 2's carries Gemma 2's whole configuration of its time; and what transformers 5
// makes of one, every key written.
func TestReleasedConfigurations(t *testing.T) {
	for name, c := range map[string]struct {
		text                  string
		layers, heads, kv, hd int
		width                 int
		scale                 float64
		tokens, mlp           int
		eos                   int
	}{
		"paligemma-3b-pt-448": {`{"_name_or_path":"final-hf/paligemma-3b-pt-448-main","architectures":["PaliGemmaForConditionalGeneration"],
			"bos_token_id":2,"eos_token_id":1,"hidden_size":2048,"ignore_index":-100,"image_token_index":257152,"model_type":"paligemma",
			"pad_token_id":0,"projection_dim":2048,"text_config":{"hidden_size":2048,"intermediate_size":16384,"model_type":"gemma",
			"num_attention_heads":8,"num_hidden_layers":18,"num_image_tokens":1024,"num_key_value_heads":1,"torch_dtype":"float32","vocab_size":257216},
			"torch_dtype":"float32","transformers_version":"4.41.0.dev0","vision_config":{"hidden_size":1152,"image_size":448,"intermediate_size":4304,
			"model_type":"siglip_vision_model","num_attention_heads":16,"num_hidden_layers":27,"num_image_tokens":1024,"patch_size":14,
			"projection_dim":2048,"projector_hidden_act":"gelu_fast","vision_use_head":false}}`, 18, 8, 1, 256, 2048, 256, 1024, 4304, 1},
		"paligemma2-28b-pt-224": {`{"_vocab_size":257152,"architectures":["PaliGemmaForConditionalGeneration"],"bos_token_id":2,"eos_token_id":1,
			"hidden_size":4608,"ignore_index":-100,"image_token_index":257152,"model_type":"paligemma","num_hidden_layers":46,"pad_token_id":0,
			"projection_dim":4608,"text_config":{"architectures":["Gemma2ForCausalLM"],"attention_bias":false,"attention_dropout":0.0,
			"attn_logit_softcapping":50.0,"cache_implementation":"hybrid","eos_token_id":[1,107],"final_logit_softcapping":30.0,"head_dim":128,
			"hidden_act":"gelu_pytorch_tanh","hidden_activation":"gelu_pytorch_tanh","hidden_size":4608,"initializer_range":0.02,
			"intermediate_size":36864,"max_position_embeddings":8192,"model_type":"gemma2","num_attention_heads":32,"num_hidden_layers":46,
			"num_image_tokens":256,"num_key_value_heads":16,"query_pre_attn_scalar":144,"rms_norm_eps":1e-06,"rope_theta":10000.0,
			"sliding_window":4096,"torch_dtype":"bfloat16","use_cache":true,"vocab_size":257216},"torch_dtype":"bfloat16",
			"transformers_version":"4.46.3","vision_config":{"hidden_size":1152,"intermediate_size":4304,"model_type":"siglip_vision_model",
			"num_attention_heads":16,"num_hidden_layers":27,"num_image_tokens":256,"num_positions":256,"patch_size":14,"projection_dim":4608,
			"torch_dtype":"bfloat16","vision_use_head":false}}`, 46, 32, 16, 128, 4608, 144, 256, 4304, 1},
		"transformers 5": {`{"transformers_version":"5.23.0","architectures":["PaliGemmaForConditionalGeneration"],"output_hidden_states":false,
			"return_dict":true,"dtype":"float32","chunk_size_feed_forward":0,"is_encoder_decoder":false,"problem_type":null,"image_token_index":257152,
			"vocab_size":257152,"projection_dim":2304,"hidden_size":2048,"tie_word_embeddings":true,"_name_or_path":"","model_type":"paligemma",
			"output_attentions":false,"vision_config":{"architectures":null,"output_hidden_states":false,"return_dict":true,"dtype":null,
			"chunk_size_feed_forward":0,"is_encoder_decoder":false,"id2label":{"0":"LABEL_0","1":"LABEL_1"},"label2id":{"LABEL_0":0,"LABEL_1":1},
			"problem_type":null,"hidden_size":1152,"intermediate_size":4096,"num_hidden_layers":27,"num_attention_heads":16,"num_channels":3,
			"image_size":224,"patch_size":14,"hidden_act":"gelu_pytorch_tanh","layer_norm_eps":1e-06,"attention_dropout":0.0,"vision_use_head":false,
			"_name_or_path":"","vocab_size":257152,"projection_dim":2304,"model_type":"siglip_vision_model","output_attentions":false},
			"text_config":{"architectures":null,"output_hidden_states":false,"return_dict":true,"dtype":null,"chunk_size_feed_forward":0,
			"is_encoder_decoder":false,"id2label":{"0":"LABEL_0","1":"LABEL_1"},"label2id":{"LABEL_0":0,"LABEL_1":1},"problem_type":null,
			"vocab_size":257216,"hidden_size":2304,"intermediate_size":9216,"num_hidden_layers":2,"num_attention_heads":8,"num_key_value_heads":4,
			"head_dim":256,"hidden_activation":"gelu_pytorch_tanh","max_position_embeddings":8192,"initializer_range":0.02,"rms_norm_eps":1e-06,
			"use_cache":true,"pad_token_id":0,"eos_token_id":[1,107],"bos_token_id":2,"tie_word_embeddings":true,
			"rope_parameters":{"rope_theta":10000.0,"rope_type":"default"},"attention_bias":false,"attention_dropout":0.0,"query_pre_attn_scalar":256,
			"sliding_window":4096,"layer_types":["sliding_attention","full_attention"],"final_logit_softcapping":30.0,"attn_logit_softcapping":50.0,
			"use_bidirectional_attention":true,"_name_or_path":"","model_type":"gemma2","num_image_tokens":256,"output_attentions":false}}`,
			2, 8, 4, 256, 2304, 256, 256, 4096, 2},
	} {
		got, err := read(t, c.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Text.NumHiddenLayers != c.layers || got.Text.NumAttentionHeads != c.heads || got.Text.NumKeyValueHeads != c.kv || got.Text.HeadDim != c.hd ||
			got.Text.HiddenSize != c.width || got.Text.QueryPreAttnScalar != c.scale ||
			got.Vision.Tokens() != c.tokens || got.Vision.IntermediateSize != c.mlp || len(got.EOSTokenID) != c.eos || got.ImageTokenIndex != 257152 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
