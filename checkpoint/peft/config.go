package peft

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"pgc/models/config"
)

// settings is adapter_config.json.
type settings struct {
	base, revision string // base_model_name_or_path
	alpha          float64
	rank           int // of every pair of factors; 0 where it is not given or rank_pattern has others
	rsLoRA, dora   bool
	loraBias       bool
	alphas         []alphaOf // alpha_pattern in the file's order
	targets        []string  // target_modules, if it is a list
	target         string    // and if it is a pattern
	excluded       []string
	exclude        string
	someLayers     bool // layers_to_transform is given
	saved          []string
	tokens         map[string][]int // trainable_token_indices by module; "" is the input embedding
	tied           bool             // ensure_weight_tying
}

type alphaOf struct {
	pattern string
	alpha   float64
}

// methods that leave no matrix to merge.
var prompts = config.Keys(`PROMPT_TUNING MULTITASK_PROMPT_TUNING P_TUNING PREFIX_TUNING ADAPTION_PROMPT CPT CARTRIDGE XLORA POLY`)

// variants are settings that make another method of LoRA where they are on.
var variants = []string{"alora_invocation_tokens", "alora_invocation_string", "arrow_config", "use_qalora", "use_bdlora", "kasa_config",
	"monteclora_config", "layer_replication", "target_parameters", "megatron_config"}

// residual are the values of init_lora_weights by which peft changes the base when it loads the adapter.
var residual = []string{"pissa", "olora", "corda", "loftq", "lora_ga"}

// inert settings change nothing here: the shapes are the ranks, and the others say how the adapter was initialized and trained, and which
// program wrote it.
var inert = config.Keys(`r peft_version auto_mapping task_type inference_mode lora_dropout rank_pattern fan_in_fan_out bias
	layers_pattern loftq_config eva_config corda_config lora_ga_config velora_config qalora_group_size megatron_core runtime_config`)

// readSettings reads adapter_config.json. Unknown settings become notes: peft passes over them, too.
func readSettings(s *config.Section) (c settings, notes []string, err error) {
	if kind := s.String("peft_type", ""); kind != "LORA" {
		next := "merge it with peft (PeftModel.from_pretrained(base, folder).merge_and_unload()), save the result and compile that"
		if prompts[kind] {
			next = "it leaves no weights that could be merged: train a LoRA instead"
		}
		s.Fail("peft_type", "is %.80q, expected \"LORA\": %s", kind, next)
		return c, nil, s.Err()
	}
	for _, key := range variants {
		if on(s, key) {
			s.Fail(key, "is %s, a variant of LoRA that is not supported: expected it to be off (merge the adapter with peft's merge_and_unload, if that has a merge for it, and compile the result)", s.Show(key))
		}
	}
	c = settings{base: s.String("base_model_name_or_path", ""), revision: s.String("revision", ""),
		alpha: s.Float("lora_alpha", 8), rsLoRA: s.Bool("use_rslora", false), dora: s.Bool("use_dora", false),
		loraBias: s.Bool("lora_bias", false), tied: s.Bool("ensure_weight_tying", false), someLayers: on(s, "layers_to_transform")}
	if !on(s, "rank_pattern") {
		c.rank = s.Int("r", 0)
	}
	if s.Null("lora_alpha") {
		s.Fail("lora_alpha", "is null, expected a number, without which peft loads no LoRA")
	}
	c.targets, c.target = names(s, "target_modules")
	c.excluded, c.exclude = names(s, "exclude_modules")
	var one string
	if c.saved, one = names(s, "modules_to_save"); one != "" {
		c.saved = []string{one}
	}
	c.alphas = patterns(s, "alpha_pattern")
	c.tokens = tokens(s, "trainable_token_indices")
	initial(s)
	known := maps.Clone(inert)
	for _, key := range slices.Sorted(maps.Keys(s.Unread(known))) {
		if on(s, key) {
			notes = append(notes, fmt.Sprintf("%s: %q is not a known setting and is passed over, as peft does", s.File(), key))
		}
	}
	return c, notes, s.Err()
}

// on reports whether a setting is given with another value than null, false or an empty one.
func on(s *config.Section, key string) bool {
	if !s.Has(key) {
		return false
	}
	var b bytes.Buffer
	if json.Compact(&b, s.Raw(key)) != nil {
		return true
	}
	return !slices.Contains([]string{"null", "false", `""`, "[]", "{}"}, b.String())
}

// names reads a list of names, or a pattern.
func names(s *config.Section, key string) (list []string, pattern string) {
	if !s.Has(key) {
		return nil, ""
	}
	if json.Unmarshal(s.Raw(key), &pattern) == nil {
		return nil, pattern
	}
	s.Get(key, &list, "a list of names or a pattern")
	return list, ""
}

// patterns reads an object of numbers in the order that it has in the file, in which peft tries them.
func patterns(s *config.Section, key string) []alphaOf {
	if !s.Has(key) {
		return nil
	}
	var all []alphaOf
	d := json.NewDecoder(bytes.NewReader(s.Raw(key)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		s.Fail(key, "is %s, expected an object of numbers", s.Show(key))
		return nil
	}
	for d.More() {
		name, _ := d.Token()
		value, _ := d.Token()
		alpha, ok := value.(float64)
		if !ok {
			s.Fail(key, "is %s, expected an object of numbers", s.Show(key))
			return nil
		}
		all = append(all, alphaOf{fmt.Sprint(name), alpha})
	}
	return all
}

// tokens reads trainable_token_indices: ids, or lists of them by module.
func tokens(s *config.Section, key string) map[string][]int {
	if !on(s, key) {
		return nil
	}
	var list []int
	all := map[string][]int{}
	if json.Unmarshal(s.Raw(key), &list) == nil {
		all[""] = list
	} else if !s.Get(key, &all, "token ids, or an object of lists of them") {
		return nil
	}
	for _, ids := range all {
		for _, id := range ids {
			if id < 0 || id > math.MaxInt32 {
				s.Fail(key, "has the id %d, expected token ids", id)
			}
		}
	}
	return all
}

// initial checks that the adapter stands beside the base as it is, not beside one that peft changes on loading.
func initial(s *config.Section) {
	var how string
	if !s.Has("init_lora_weights") || json.Unmarshal(s.Raw("init_lora_weights"), &how) != nil {
		return
	}
	for _, kind := range residual {
		if strings.HasPrefix(strings.ToLower(how), kind) {
			s.Fail("init_lora_weights", "is %.80q: peft changes the base when it loads this adapter; expected a plain LoRA (save it with path_initial_model_for_weight_conversion, or merge it with peft and compile the result)", how)
		}
	}
}
