package config

import "strings"

// Keys is a set of keys, given in lists with blanks between.
func Keys(lists ...string) map[string]bool {
	m := map[string]bool{}
	for _, list := range lists {
		for _, key := range strings.Fields(list) {
			m[key] = true
		}
	}
	return m
}

// Inert lists keys that change no result and that every configuration of transformers 4 and 5 may carry: names,
// training, labels, output options, and generation settings of the time before generation_config.json, which nothing
// reads any more.
const Inert = `architectures transformers_version torch_dtype dtype output_hidden_states output_attentions return_dict
	chunk_size_feed_forward is_encoder_decoder id2label label2id num_labels problem_type torchscript use_bfloat16 tf_legacy_loss
	pruned_heads tie_encoder_decoder cross_attention_hidden_size add_cross_attention is_decoder max_length min_length do_sample
	early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty length_penalty
	no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores return_dict_in_generate
	forced_bos_token_id forced_eos_token_id remove_invalid_values exponential_decay_length_penalty suppress_tokens
	begin_suppress_tokens prefix sep_token_id decoder_start_token_id task_specific_params tokenizer_class finetuning_task
	use_cache cache_implementation initializer_range initializer_factor attn_implementation name_or_path model_type`
