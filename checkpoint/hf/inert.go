package hf

import "pgc/models/config"

// Settings of preprocessor_config.json and generation_config.json that change nothing here.
var (
	inertImages = config.Keys(`processor_class feature_extractor_type do_convert_rgb data_format input_data_format
		return_tensors disable_grouping default_to_square size_divisor device auto_map`)
	inertGeneration = config.Keys(`use_cache cache_implementation cache_config max_cache_len return_dict_in_generate output_attentions
		output_hidden_states output_scores output_logits transformers_version is_assistant num_assistant_tokens
		num_assistant_tokens_schedule assistant_confidence_threshold assistant_early_exit assistant_lookbehind target_lookbehind
		assistant_ensemble_weight max_matching_ngram_size speculation_type compile_config disable_compile
		continuous_batching_config low_memory prefill_chunk_size decoder_start_token_id length_penalty early_stopping
		remove_invalid_values use_mtp renormalize_logits`)  // the last shifts all logits alike
)

// neutral are the settings of generation_config.json that are not supported, with the values that leave them off.
var neutral = map[string][]any{
	"min_length": {0.0}, "min_new_tokens": {0.0}, "max_time": {nil}, "stop_strings": {nil},
	"encoder_repetition_penalty": {1.0}, "no_repeat_ngram_size": {0.0},
	"encoder_no_repeat_ngram_size": {0.0}, "bad_words_ids": {nil}, "force_words_ids": {nil}, "constraints": {nil},
	"forced_bos_token_id": {nil}, "forced_eos_token_id": {nil},
	"exponential_decay_length_penalty": {nil}, "suppress_tokens": {nil}, "begin_suppress_tokens": {nil}, "sequence_bias": {nil},
	"token_healing": {false}, "guidance_scale": {nil, 1.0}, "watermarking_config": {nil}, "prompt_lookup_num_tokens": {nil},
	"penalty_alpha": {nil, 0.0}, "dola_layers": {nil},
}

// searching are those that ask for another search than the greedy one, drawing those that only drawing reads.
var (
	searching = map[string][]any{"num_beams": {1.0, 0.0}, "num_beam_groups": {1.0, 0.0}, "num_return_sequences": {1.0}, "diversity_penalty": {0.0}}
	drawing   = map[string][]any{"typical_p": {1.0}, "min_p": {nil, 0.0}, "top_h": {nil}, "epsilon_cutoff": {0.0}, "eta_cutoff": {0.0}}
)
