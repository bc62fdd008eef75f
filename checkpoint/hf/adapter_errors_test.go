package hf_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/golden"
	"pgc/ir"
	"pgc/runtime/safetensors"
)

// adapterCopy copies an adapter of golden.
func adapterCopy(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(golden.Dir(), "adapters", name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestBrokenAdapters breaks one thing of an adapter at a time and holds every error to its exact words; $ is the
// adapter's folder.
func TestBrokenAdapters(t *testing.T) {
	const (
		weights = "adapter_model.safetensors"
		lora    = "base_model.model.model.language_model.layers.1.mlp.up_proj.lora_"
		head    = "base_model.model.language_model.lm_head."
		merge   = "merge it with peft (PeftModel.from_pretrained(base, folder).merge_and_unload()), save the result and compile that"
	)
	config := func(from, to string) func(t *testing.T, d string) {
		return func(t *testing.T, d string) { edit(t, filepath.Join(d, "adapter_config.json"), from, to) }
	}
	tensors := func(change func(m map[string]safetensors.Tensor)) func(t *testing.T, d string) {
		return func(t *testing.T, d string) { rewrite(t, filepath.Join(d, weights), change) }
	}
	move := func(from, to string) func(t *testing.T, d string) {
		return tensors(func(m map[string]safetensors.Tensor) {
			x := m[from]
			if delete(m, from); to != "" {
				m[to] = x
			}
		})
	}
	reshape := func(key string, shape ...int) func(t *testing.T, d string) {
		return tensors(func(m map[string]safetensors.Tensor) {
			n := 4
			for _, d := range shape {
				n *= d
			}
			m[key] = safetensors.Tensor{DType: safetensors.F32, Shape: shape, Data: make([]byte, n)}
		})
	}
	retype := func(kind string) func(t *testing.T, d string) {
		return config(`"peft_type": "LORA"`, `"peft_type": "`+kind+`"`)
	}
	for _, c := range []struct {
		adapter string
		damage  func(t *testing.T, dir string)
		want    string
	}{
		{"linear", func(t *testing.T, d string) { os.RemoveAll(d) }, "no adapter at $: no such file or directory"},
		{"linear", func(t *testing.T, d string) { os.Remove(filepath.Join(d, "adapter_config.json")) }, "$ holds no adapter_config.json: expected the folder of a PEFT adapter"},
		{"linear", func(t *testing.T, d string) {
			os.Mkdir(filepath.Join(d, "checkpoint-9"), 0o755)
			os.Rename(filepath.Join(d, "adapter_config.json"), filepath.Join(d, "checkpoint-9", "adapter_config.json"))
		}, "$ holds no adapter_config.json, but $/checkpoint-9 does: expected the folder of one adapter"},
		{"linear", func(t *testing.T, d string) { os.Remove(filepath.Join(d, weights)) }, "$ holds adapter_config.json but no adapter_model.safetensors: expected both, as save_pretrained of peft writes them"},
		{"linear", func(t *testing.T, d string) {
			os.Rename(filepath.Join(d, weights), filepath.Join(d, "adapter_model.bin"))
		}, "$/adapter_model.bin: it is no archive of torch.save (zip: not a valid zip file): copy or download it again if it was cut, else save the model as safetensors"},
		{"linear", retype("LOHA"), `$/adapter_config.json: peft_type is "LOHA", expected "LORA": ` + merge},
		{"linear", retype("ADALORA"), `$/adapter_config.json: peft_type is "ADALORA", expected "LORA": ` + merge},
		{"linear", retype("PROMPT_TUNING"), `$/adapter_config.json: peft_type is "PROMPT_TUNING", expected "LORA": it leaves no weights that could be merged: train a LoRA instead`},
		{"linear", config(`"use_qalora": false`, `"use_qalora": true`), `$/adapter_config.json: use_qalora is true, a variant of LoRA that is not supported: expected it to be off (merge the adapter with peft's merge_and_unload, if that has a merge for it, and compile the result)`},
		{"linear", config(`"alora_invocation_tokens": null`, `"alora_invocation_tokens": [5]`), `$/adapter_config.json: alora_invocation_tokens is [5], a variant of LoRA that is not supported: expected it to be off (merge the adapter with peft's merge_and_unload, if that has a merge for it, and compile the result)`},
		{"linear", config(`"init_lora_weights": true`, `"init_lora_weights": "pissa_niter_4"`), `$/adapter_config.json: init_lora_weights is "pissa_niter_4": peft changes the base when it loads this adapter; expected a plain LoRA (save it with path_initial_model_for_weight_conversion, or merge it with peft and compile the result)`},
		{"linear", config(`"lora_alpha": 8`, `"lora_alpha": "8"`), `$/adapter_config.json: lora_alpha is "8", expected a number`},
		{"linear", config(`"lora_alpha": 8`, `"lora_alpha": null`), "$/adapter_config.json: lora_alpha is null, expected a number, without which peft loads no LoRA"},
		{"linear", config(`"r": 2`, `"r": 64`), "$/" + weights + ": tensor base_model.model.model.language_model.layers.0.mlp.down_proj.lora_A.weight is of rank 2, but r in adapter_config.json is 64, and rank_pattern is not given: expected the adapter_config.json that was saved with it"},
		{"linear", config(`"alpha_pattern": {}`, `"alpha_pattern": {"q_proj": "x"}`), `$/adapter_config.json: alpha_pattern is {"q_proj":"x"}, expected an object of numbers`},
		{"linear", config(`"alpha_pattern": {}`, `"alpha_pattern": {"(q_proj": 1}`), "$/adapter_config.json: the pattern \"(.*\\\\.)?((q_proj)\" of alpha_pattern is not understood, expected a regular expression of Python: error parsing regexp: missing closing ) in `^(?:(.*\\.)?((q_proj))$`"},
		{"linear", move(lora+"B.weight", ""), "$/" + weights + ": lora_B of model.language_model.layers.1.mlp.up_proj is missing: expected all tensors of an adapter (save it anew)"},
		{"linear", tensors(func(m map[string]safetensors.Tensor) { delete(m, lora+"A.weight"); delete(m, lora+"B.weight") }), "$/" + weights + ": the pair lora_A and lora_B of language_model.layers.1.mlp.up_proj is missing, which target_modules in adapter_config.json names: expected all tensors of the adapter (save it anew)"},
		{"linear", move(lora+"B.weight", strings.Replace(lora, "layers.1.", "layers.9.", 1)+"B.weight"), "$/" + weights + ": tensor " + strings.Replace(lora, "layers.1.", "layers.9.", 1) + "B.weight belongs to no weight of the base: expected a base that has model.language_model.layers.9.mlp.up_proj (the adapter was trained on \"../../pg2-odd\")"},
		{"linear", move(lora+"B.weight", lora+"C.weight"), "$/" + weights + ": tensor " + lora + "C.weight is of no known kind: expected lora_A, lora_B, lora_embedding_A, lora_embedding_B, lora_magnitude_vector or trainable_tokens_delta"},
		{"linear", reshape(lora+"A.weight", 2, 41), "$/" + weights + ": tensor " + lora + "A.weight has shape [2 41], expected [2 42] beside the base's [51 42]"},
		{"linear", reshape(lora+"B.weight", 51, 3), "$/" + weights + ": tensor " + lora + "B.weight has shape [51 3], expected [51 2] beside the base's [51 42]"},
		{"linear", reshape(lora+"B.weight", 0), "$/" + weights + ": tensors of model.language_model.layers.1.mlp.up_proj have the shapes [2 42] and [0], expected matrices: shards of DeepSpeed or FSDP were not gathered before the adapter was saved"},
		{"linear", reshape(lora+"magnitude_vector", 51), "$/" + weights + ": tensor " + lora + "magnitude_vector is there, but adapter_config.json does not turn it on (use_dora, lora_bias): expected the adapter_config.json that was saved with it"},
		{"linear", config(`"use_dora": false`, `"use_dora": true`), "$/" + weights + ": lora_magnitude_vector of model.language_model.layers.0.mlp.down_proj is missing: expected all tensors of an adapter (save it anew)"},
		{"linear", tensors(func(m map[string]safetensors.Tensor) { clear(m) }), "$/" + weights + " holds no tensors: expected those of an adapter"},
		{"linear", tensors(func(m map[string]safetensors.Tensor) {
			x := m[lora+"A.weight"]
			x.DType = safetensors.I32
			m[lora+"A.weight"] = x
		}), "$/" + weights + ": tensor " + lora + "A.weight is I32, expected F64, F32, BF16 or F16"},
		{"linear", move(lora+"A.weight", "base_model.model.text_projection.weight"), "$/" + weights + ": tensor base_model.model.text_projection.weight belongs to no weight of the base: expected a base that has text_projection.weight (the adapter was trained on \"../../pg2-odd\")"},
		{"saved", move("base_model.model.model.multi_modal_projector.linear.bias", ""), "$/" + weights + ": the tensor of multi_modal_projector.linear.bias is missing, which modules_to_save in adapter_config.json names: expected all tensors of the adapter (save it anew)"},
		{"saved", move("base_model.model.model.language_model.norm.weight", ""), "$/" + weights + ": every tensor of language_model.norm is missing, which modules_to_save in adapter_config.json names: expected all tensors of the adapter (save it anew)"},
		{"linear", config(`"modules_to_save": null`, `"modules_to_save": ["lm_head"]`), "$/" + weights + ": every tensor of lm_head is missing, which modules_to_save in adapter_config.json names: expected all tensors of the adapter (save it anew)"},
		{"saved", move("base_model.model.model.language_model.embed_tokens.token_adapter.trainable_tokens_delta", ""), "$/" + weights + ": trainable_tokens_delta of language_model.embed_tokens.weight is missing, which trainable_token_indices in adapter_config.json names: expected all tensors of the adapter (save it anew)"},
		{"saved", config("1300", "13000"), "$/" + weights + ": trainable_token_indices has the id 13000, beyond the 1584 rows of language_model.embed_tokens.weight: expected the base that the adapter was trained on"},
		{"saved", reshape("base_model.model.model.multi_modal_projector.linear.bias", 34), "$/" + weights + ": tensor base_model.model.model.multi_modal_projector.linear.bias has shape [34], the base's has [33] (after resize_token_embeddings save the resized base, too)"},
		{"tied", tensors(func(m map[string]safetensors.Tensor) { m[head+"lora_embedding_A"] = m[head+"lora_A.weight"] }), "$/" + weights + ": tensor " + head + "lora_embedding_A is also there as " + head + "lora_A.weight: expected one of them (save the adapter anew)"},
	} {
		dir := adapterCopy(t, c.adapter)
		c.damage(t, dir)
		base := map[string]string{"linear": "pg2-odd", "saved": "pg2-mha", "tied": "pg2-mha"}[c.adapter]
		got := "no error"
		if m, err := hf.Load(filepath.Join(golden.Dir(), base), hf.Options{Adapter: dir}); err == nil {
			m.Close()
		} else {
			got = strings.ReplaceAll(err.Error(), dir, "$")
		}
		if got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// copyBase copies a checkpoint of golden to a folder.
func copyBase(t *testing.T, name, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(filepath.Join(golden.Dir(), name))); err != nil {
		t.Fatal(err)
	}
}

// TestAdapterBases gives an adapter as the checkpoint: its base is a path, lies in the same folder or in the Hugging
// Face cache, or an error says which to name.
func TestAdapterBases(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HF_HUB_CACHE", "")
	t.Setenv("HUGGINGFACE_HUB_CACHE", "")
	t.Setenv("HF_HOME", home)
	model := filepath.Join(home, "hub", "models--google--tiny")
	snapshot := filepath.Join(model, "snapshots", "0123abcd")
	copyBase(t, "pg2-odd", snapshot)
	os.MkdirAll(filepath.Join(model, "refs"), 0o755)
	save(t, filepath.Join(model, "refs", "main"), "0123abcd")
	save(t, filepath.Join(model, "refs", "v1"), "0123abcd")
	elsewhere := filepath.Join(t.TempDir(), "base")
	copyBase(t, "pg2-odd", elsewhere)
	for _, c := range []struct{ base, revision, want string }{
		{elsewhere, "null", ""},
		{"google/tiny", "null", ""},
		{"google/tiny", `"v1"`, ""},
		{"google/tiny", `"0123abcd"`, ""},
		{"google/tiny", `"v2"`, `$ is an adapter of "google/tiny", which is no folder here and not in the Hugging Face cache %: expected the base as the checkpoint and --adapter $`},
		{"google/other", "null", `$ is an adapter of "google/other", which is no folder here and not in the Hugging Face cache %: expected the base as the checkpoint and --adapter $`},
		{"../../etc", "null", `$ is an adapter of "../../etc", which is no folder here and not in the Hugging Face cache %: expected the base as the checkpoint and --adapter $`},
		{"", "null", "$ is an adapter whose adapter_config.json names no base_model_name_or_path: expected the base as the checkpoint and --adapter $"},
	} {
		dir := adapterCopy(t, "linear")
		edit(t, filepath.Join(dir, "adapter_config.json"), `"../../pg2-odd"`, `"`+c.base+`"`)
		edit(t, filepath.Join(dir, "adapter_config.json"), `"revision": null`, `"revision": `+c.revision)
		m, err := hf.Load(dir, hf.Options{})
		if c.want == "" {
			if err != nil || m.Adapter != "linear" || m.DType("language_model.norm.weight") == ir.Invalid {
				t.Errorf("%s: %v", c.base, err)
				continue
			}
			m.Close()
		} else if err == nil || strings.ReplaceAll(strings.ReplaceAll(err.Error(), dir, "$"), filepath.Join(home, "hub"), "%") != c.want {
			t.Errorf("%s: error %v, expected %s", c.base, err, c.want)
		}
	}

	// Files of a base and an adapter in one folder: the adapter is merged, whatever base it names.
	both := adapterCopy(t, "linear")
	copyBase(t, "pg2-odd", both)
	m, err := hf.Load(both, hf.Options{})
	if err != nil || m.Adapter != "linear" {
		t.Fatalf("adapter %v, %v", m, err)
	}
	m.Close()
	_, err = hf.Load(both, hf.Options{Adapter: filepath.Join(golden.Dir(), "adapters", "linear")})
	if want := both + " holds an adapter itself (adapter_config.json): expected a base without one beside --adapter "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, expected %s", err, want)
	}

	// An adapter of such a folder, or of an adapter alone: both would count.
	for _, base := range []string{both, adapterCopy(t, "linear")} {
		dir := adapterCopy(t, "linear")
		edit(t, filepath.Join(dir, "adapter_config.json"), `"../../pg2-odd"`, `"`+base+`"`)
		want := fmt.Sprintf("%s is an adapter of %q, which holds an adapter itself (adapter_config.json): expected that one merged (merge_and_unload) and saved, as the checkpoint, and --adapter %s", dir, base, dir)
		if _, err := hf.Load(dir, hf.Options{}); err == nil || err.Error() != want {
			t.Errorf("error %v, expected %s", err, want)
		}
	}

	// An adapter by its name in the cache.
	cached := filepath.Join(home, "hub", "models--me--lora")
	os.MkdirAll(filepath.Join(cached, "snapshots"), 0o755)
	if err := os.Rename(adapterCopy(t, "linear"), filepath.Join(cached, "snapshots", "77")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"me/lora", cached} {
		if m, err = hf.Load(elsewhere, hf.Options{Adapter: name}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m.Close()
	}
}

// TestAdapterNotes says what a user should know: a quantized base, settings that nobody knows, a matrix that is two.
func TestAdapterNotes(t *testing.T) {
	for _, c := range []struct {
		adapter string
		change  func(t *testing.T, d string)
		want    string
	}{
		{"linear", func(*testing.T, string) {}, ""},
		{"linear", func(t *testing.T, d string) {
			edit(t, filepath.Join(d, "adapter_config.json"), "../../pg2-odd", "unsloth/paligemma-3b-bnb-4bit")
		}, `$ was trained on a quantized base (base_model_name_or_path is "unsloth/paligemma-3b-bnb-4bit"); it is merged into the base given, whose weights differ by the error of that quantization`},
		{"linear", func(t *testing.T, d string) {
			save(t, filepath.Join(d, "README.md"), "The following `bitsandbytes` quantization config was used during training:\n- load_in_4bit: True\n")
		}, "$ was trained on a quantized base (README.md says so); it is merged into the base given, whose weights differ by the error of that quantization"},
		{"linear", func(t *testing.T, d string) {
			edit(t, filepath.Join(d, "adapter_config.json"), "../../pg2-odd", "base")
			os.Mkdir(filepath.Join(d, "base"), 0o755)
			save(t, filepath.Join(d, "base", "config.json"), `{"quantization_config":{"load_in_4bit":true}}`)
		}, "$ was trained on a quantized base ($/base/config.json has a quantization_config); it is merged into the base given, whose weights differ by the error of that quantization"},
		{"linear", func(t *testing.T, d string) {
			edit(t, filepath.Join(d, "adapter_config.json"), `"bias": "none"`, `"bias": "none", "unsloth_fixed": true, "other": null`)
		}, `$/adapter_config.json: "unsloth_fixed" is not a known setting and is passed over, as peft does`},
		{"linear", func(t *testing.T, d string) {
			edit(t, filepath.Join(d, "adapter_config.json"), `"modules_to_save": null`, `"modules_to_save": ["classifier", "layers.9.mlp"]`)
		}, "$/adapter_config.json: modules_to_save names classifier, which the model does not have: passed over, as peft does\n" +
			"$/adapter_config.json: modules_to_save names layers.9.mlp, which the model does not have: passed over, as peft does"},
		{"tied", func(*testing.T, string) {}, "$ adapts language_model.embed_tokens.weight or lm_head.weight, which are one matrix in the base: it is merged into both, as peft's merge_and_unload does; --weights f32 keeps them apart, as in training"},
	} {
		dir := adapterCopy(t, c.adapter)
		c.change(t, dir)
		base := map[string]string{"linear": "pg2-odd", "tied": "pg2-mha"}[c.adapter]
		m, err := hf.Load(filepath.Join(golden.Dir(), base), hf.Options{Adapter: dir})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(strings.Join(m.Notes, "\n"), dir, "$"); got != c.want {
			t.Errorf("notes %q, expected %q", got, c.want)
		}
		m.Close()
	}
}
