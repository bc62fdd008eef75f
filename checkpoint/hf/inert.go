package hf

import "strings"

func set(lists ...string) map[string]bool {
	m := map[string]bool{}
	for _, list := range lists {
		for _, key := range strings.Fields(list) {
			m[key] = true
		}
	}
	return m
}

// every configuration of transformers 4 and 5 may carry these: names, training, labels, output options, and generation
// settings of the time before generation_config.json, which nothing reads any more.
const inertCommon = `architectures transformers_version torch_dtype dtype output_hidden_states output_attentions return_dict
	chunk_size_feed_forward is_encoder_decoder id2label label2id num_labels problem_type torchscript use_bfloat16 tf_legacy_loss
	pruned_heads tie_encoder_decoder cross_attention_hidden_size add_cross_attention is_decoder max_length min_length do_sample
	early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty length_penalty
	no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores return_dict_in_generate
	forced_bos_token_id forced_eos_token_id remove_invalid_values exponential_decay_length_penalty suppress_tokens
	begin_suppress_tokens prefix sep_token_id decoder_start_token_id task_specific_params tokenizer_class finetuning_task
	use_cache cache_implementation initializer_range initializer_factor attn_implementation name_or_path model_type`

// Settings that transformers' PaliGemma does not read, or overwrites: the sizes beside the sub-configurations, and those
// of one kind of decoder in the other's configuration.
var (
	inertTop    = set(inertCommon, "vocab_size hidden_size num_hidden_layers ignore_index")
	inertGemma  = set(inertCommon, "max_position_embeddings attention_dropout tie_word_embeddings hidden_activation query_pre_attn_scalar sliding_window layer_types attn_logit_softcapping final_logit_softcapping")
	inertGemma2 = set(inertCommon, "max_position_embeddings attention_dropout tie_word_embeddings hidden_act")
	inertVision = set(inertCommon, "attention_dropout projection_dim projector_hidden_act vision_use_head num_positions vocab_size")
	inertImages = set(`image_processor_type processor_class feature_extractor_type do_convert_rgb data_format input_data_format
		return_tensors disable_grouping default_to_square size_divisor device auto_map`)
	inertGeneration = set(`use_cache cache_implementation cache_config max_cache_len return_dict_in_generate output_attentions
		output_hidden_states output_scores output_logits transformers_version is_assistant num_assistant_tokens
		num_assistant_tokens_schedule assistant_confidence_threshold assistant_early_exit assistant_lookbehind target_lookbehind
		assistant_ensemble_weight max_matching_ngram_size speculation_type compile_config disable_compile
		continuous_batching_config low_memory prefill_chunk_size decoder_start_token_id length_penalty early_stopping
		remove_invalid_values use_mtp`)
)

// neutral are the settings of generation_config.json that are not supported, with the values that leave them off.
var neutral = map[string][]any{
	"num_beams": {1.0, 0.0}, "num_beam_groups": {1.0, 0.0}, "num_return_sequences": {1.0}, "diversity_penalty": {0.0},
	"min_length": {0.0}, "min_new_tokens": {0.0}, "max_time": {nil}, "stop_strings": {nil}, "typical_p": {1.0}, "min_p": {nil, 0.0},
	"top_h": {nil}, "epsilon_cutoff": {0.0}, "eta_cutoff": {0.0}, "encoder_repetition_penalty": {1.0}, "no_repeat_ngram_size": {0.0},
	"encoder_no_repeat_ngram_size": {0.0}, "bad_words_ids": {nil}, "force_words_ids": {nil}, "constraints": {nil},
	"renormalize_logits": {false}, "forced_bos_token_id": {nil}, "forced_eos_token_id": {nil},
	"exponential_decay_length_penalty": {nil}, "suppress_tokens": {nil}, "begin_suppress_tokens": {nil}, "sequence_bias": {nil},
	"token_healing": {false}, "guidance_scale": {nil, 1.0}, "watermarking_config": {nil}, "prompt_lookup_num_tokens": {nil},
	"penalty_alpha": {nil, 0.0}, "dola_layers": {nil},
}
