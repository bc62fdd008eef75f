package hf_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/checkpoint/random"
	"pgc/runtime/safetensors"
)

const tiny = `{"model_type":"paligemma","image_token_index":1600,"eos_token_id":1,"projection_dim":42,
"text_config":{"model_type":"gemma2","vocab_size":1613,"hidden_size":42,"intermediate_size":50,"num_hidden_layers":2,"num_attention_heads":6,"num_key_value_heads":2,"head_dim":10,"num_image_tokens":9},
"vision_config":{"hidden_size":21,"intermediate_size":33,"num_hidden_layers":1,"num_attention_heads":3,"image_size":21,"patch_size":7}}`

// tinyCheckpoint writes a checkpoint of random weights, in several shards if sharded.
func tinyCheckpoint(t *testing.T, sharded bool) string {
	t.Helper()
	dir := t.TempDir()
	cfg := filepath.Join(dir, "tiny.json")
	save(t, cfg, tiny)
	o := random.Options{}
	if sharded {
		o.Shard = 100_000
	}
	out := filepath.Join(dir, "model")
	if err := random.Write(t.Context(), cfg, out, o); err != nil {
		t.Fatal(err)
	}
	return out
}

func save(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// edit replaces text in a file, which must hold it once.
func edit(t *testing.T, path, from, to string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || strings.Count(string(data), from) != 1 {
		t.Fatalf("%s holds %q %d times: %v", path, from, strings.Count(string(data), from), err)
	}
	save(t, path, strings.Replace(string(data), from, to, 1))
}

// rewrite changes the tensors of a safetensors file.
func rewrite(t *testing.T, path string, change func(map[string]safetensors.Tensor)) {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	tensors := map[string]safetensors.Tensor{}
	for _, name := range f.Names() {
		x, _ := f.Tensor(name)
		x.Data = bytes.Clone(x.Data)
		tensors[name] = x
	}
	f.Close()
	change(tensors)
	var specs []safetensors.Spec
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		specs = append(specs, safetensors.Spec{Name: name, DType: tensors[name].DType, Shape: tensors[name].Shape})
	}
	w, err := safetensors.Create(path, nil, specs)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range specs {
		if _, err := w.Write(tensors[s.Name].Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestShardsInFolder reads shards that lie in a folder under the index, as transformers does.
func TestShardsInFolder(t *testing.T) {
	dir := tinyCheckpoint(t, true)
	if err := os.Mkdir(filepath.Join(dir, "weights"), 0o755); err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(dir, "model.safetensors.index.json"))
	if err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(dir, "model.safetensors.index.json"), strings.ReplaceAll(string(index), `"model-`, `"weights/model-`))
	shards, err := filepath.Glob(filepath.Join(dir, "model-*"))
	if err != nil || len(shards) != 3 {
		t.Fatal(shards, err)
	}
	for _, path := range shards {
		if err := os.Rename(path, filepath.Join(dir, "weights", filepath.Base(path))); err != nil {
			t.Fatal(err)
		}
	}
	c, err := hf.Load(dir, hf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestBroken breaks one thing at a time and holds every error to its exact words; $ is the checkpoint's directory.
func TestBroken(t *testing.T) {
	const (
		norm     = "language_model.model.norm.weight"
		position = "vision_tower.vision_model.embeddings.position_embedding.weight"
		weight   = "$/model.safetensors"
		index    = "$/model.safetensors.index.json"
		first    = "$/model-00001-of-00003.safetensors"
	)
	tensors := func(change func(map[string]safetensors.Tensor)) func(t *testing.T, d string) {
		return func(t *testing.T, d string) { rewrite(t, filepath.Join(d, "model.safetensors"), change) }
	}
	retype := func(key string, dtype safetensors.DType) func(t *testing.T, d string) {
		return tensors(func(m map[string]safetensors.Tensor) {
			x := m[key]
			n := len(x.Data) / 2
			x.DType, x.Data = dtype, make([]byte, n*dtype.Bytes())
			m[key] = x
		})
	}
	replace := func(file, from, to string) func(t *testing.T, d string) {
		return func(t *testing.T, d string) { edit(t, filepath.Join(d, file), from, to) }
	}
	write := func(file, text string) func(t *testing.T, d string) {
		return func(t *testing.T, d string) { save(t, filepath.Join(d, file), text) }
	}
	remove := func(file string) func(t *testing.T, d string) {
		return func(t *testing.T, d string) {
			if err := os.Remove(filepath.Join(d, file)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		sharded bool
		damage  func(t *testing.T, dir string)
		want    string
	}{
		{false, func(t *testing.T, d string) { os.RemoveAll(d) }, "no checkpoint at $: no such file or directory (expected a folder, or a model's name in the Hugging Face cache, such as google/paligemma2-3b-mix-224)"},
		{false, func(t *testing.T, d string) { os.RemoveAll(d); save(t, d, "") }, "$ is a file: expected the folder of a Hugging Face checkpoint, with config.json"},
		{false, remove("config.json"), "$ holds no config.json: expected a Hugging Face checkpoint directory"},
		{false, remove("tokenizer.json"), "$ holds neither tokenizer.json nor tokenizer.model: expected --tokenizer DIR with the folder of the model that was trained on"},
		{false, remove("model.safetensors"), "$ holds neither model.safetensors nor model.safetensors.index.json: expected a Hugging Face checkpoint directory"},
		{false, func(t *testing.T, d string) {
			remove("model.safetensors")(t, d)
			write("pytorch_model.bin", "not a pickle")(t, d)
		}, "$/pytorch_model.bin: it is no archive of torch.save (zip: not a valid zip file): copy or download it again if it was cut, else save the model as safetensors"},
		{false, func(t *testing.T, d string) {
			remove("config.json")(t, d)
			os.Symlink("../../blobs/0123", filepath.Join(d, "config.json"))
		}, "$/config.json points to ../../blobs/0123, which is missing: the download is not complete (hf download goes on with it)"},
		{false, func(t *testing.T, d string) {
			remove("model.safetensors")(t, d)
			os.Symlink("../../blobs/0123", filepath.Join(d, "model.safetensors"))
		}, "$/model.safetensors points to ../../blobs/0123, which is missing: the download is not complete (hf download goes on with it)"},
		{false, func(t *testing.T, d string) {
			remove("config.json")(t, d)
			os.Mkdir(filepath.Join(d, "config.json"), 0o755)
		}, "$/config.json is not a regular file"},
		{false, func(t *testing.T, d string) { os.Truncate(filepath.Join(d, "config.json"), 1<<30) }, "$/config.json has 1073741824 bytes, expected at most 16777216"},

		{false, write("config.json", "{"), "$/config.json is not a JSON object: it ends too early"},
		{false, write("config.json", "null"), "$/config.json is not a JSON object: it is null"},
		{false, write("config.json", strings.Repeat(`{"a":`, 20_000)), "$/config.json is not a JSON object: it has '{' at byte 50001, at a depth beyond 10000"},
		{false, replace("config.json", `"model_type":"gemma2"`, `"model_type":"gemma3_text"`), `$/config.json: text_config.model_type is "gemma3_text", expected "gemma" or "gemma2"`},
		{false, replace("config.json", `"projection_dim":42`, `"projection_dim":43`), "$/config.json: projection_dim is 43, but text_config.hidden_size is 42"},
		{false, replace("config.json", `"vocab_size":1613`, `"vocab_size":1620`), weight + ": tensor language_model.model.embed_tokens.weight has shape [1613 42], config.json asks for [1620 42]: expected the config.json that was saved with the weights"},
		{false, replace("config.json", `"num_hidden_layers":2`, `"num_hidden_layers":3`), "$: tensor language_model.layers.2.input_layernorm.weight is missing, expected shape [42] (47 tensors are there): expected all weights that config.json was saved with"},
		{false, replace("config.json", `"num_hidden_layers":2`, `"num_hidden_layers":1`), "$: tensor language_model.model.layers.1.input_layernorm.weight is not part of a gemma2 model (11 of 47 are not): expected the config.json that was saved with the weights"},
		{false, replace("config.json", `"eos_token_id":1`, `"tie_word_embeddings":false`), "$: tensor lm_head.weight is missing, but tie_word_embeddings in config.json is false: set it to true if the head is the embedding"},

		{false, write("generation_config.json", `{"eos_token_id":"</s>"}`), `$/generation_config.json: eos_token_id is "</s>", expected a whole number`},
		{false, write("generation_config.json", `{"no_repeat_ngram_size":3}`), "$/generation_config.json: no_repeat_ngram_size is 3, which is not supported: expected 0"},
		{false, write("generation_config.json", `{"suppress_tokens":[5]}`), "$/generation_config.json: suppress_tokens is [5], which is not supported: expected null"},
		{false, write("generation_config.json", `{"do_sample":true,"min_p":0.1}`), "$/generation_config.json: min_p is 0.1, which is not supported: expected null"},
		{false, write("generation_config.json", `{"max_new_tokens":0}`), "$/generation_config.json: max_new_tokens is 0, expected a positive number"},
		{false, write("generation_config.json", `{"max_new_tokens":-1}`), "$/generation_config.json: max_new_tokens is -1, expected a whole number"},
		{false, write("generation_config.json", `{"do_sample":true,"temperature":0}`), "$/generation_config.json: temperature is 0, expected a positive number"},
		{false, write("generation_config.json", `{"top_p":1.5}`), "$/generation_config.json: top_p is 1.5, expected a number over 0 and up to 1"},
		{false, write("generation_config.json", `{"repetition_penalty":0}`), "$/generation_config.json: repetition_penalty is 0, expected a positive number"},

		{false, write("preprocessor_config.json", `{"size":{"height":21,"width":224}}`), "$/preprocessor_config.json: size.width is 224, but image_size in config.json is 21: expected the processor's files of this model"},
		{false, write("preprocessor_config.json", `{"size":{"shortest_edge":21}}`), "$/preprocessor_config.json: size.height is missing: expected height and width of 21"},
		{false, write("preprocessor_config.json", `{"size":384}`), "$/preprocessor_config.json: size is 384, but image_size in config.json is 21: expected the processor's files of this model"},
		{false, write("preprocessor_config.json", `{"resample":3}`), "$/preprocessor_config.json: size is missing, which means 224, but image_size in config.json is 21: expected the processor's files of this model"},
		{false, write("preprocessor_config.json", `{"size":21,"image_processor_type":"CLIPImageProcessor"}`), `$/preprocessor_config.json: image_processor_type is "CLIPImageProcessor", which is not supported: expected "SiglipImageProcessor"`},
		{false, write("preprocessor_config.json", `{"size":21,"resample":2}`), "$/preprocessor_config.json: resample is 2, which is not supported: expected 3"},
		{false, write("preprocessor_config.json", `{"size":21,"do_resize":false}`), "$/preprocessor_config.json: do_resize is false, which is not supported: expected true"},
		{false, write("preprocessor_config.json", `{"size":21,"do_center_crop":true}`), "$/preprocessor_config.json: do_center_crop is true, which is not supported: expected false"},
		{false, write("preprocessor_config.json", `{"size":21,"image_mean":[0.5,0.5]}`), "$/preprocessor_config.json: image_mean is [0.5,0.5], expected three numbers"},
		{false, write("preprocessor_config.json", `{"size":21,"image_std":[0.5,0,0.5]}`), "$/preprocessor_config.json: image_std is [0.5,0,0.5], expected numbers other than 0"},
		{false, write("preprocessor_config.json", `{"size":21,"image_seq_length":256}`), "$/preprocessor_config.json: image_seq_length is 256, but config.json makes 9 tokens of an image: expected the processor's files of this model"},
		{false, write("processor_config.json", `{"image_processor":{"size":22}}`), "$/processor_config.json: image_processor.size is 22, but image_size in config.json is 21: expected the processor's files of this model"},
		{false, write("processor_config.json", `{"image_processor":7}`), "$/processor_config.json: image_processor is not an object"},
		{false, write("processor_config.json", `{"image_seq_length":7}`), "$/processor_config.json: image_seq_length is 7, but config.json makes 9 tokens of an image: expected the processor's files of this model"},

		{false, tensors(func(m map[string]safetensors.Tensor) { delete(m, norm) }), "$: tensor language_model.norm.weight is missing, expected shape [42] (46 tensors are there): expected all weights that config.json was saved with"},
		{false, tensors(func(m map[string]safetensors.Tensor) { m["language_model.extra.weight"] = m[norm] }), "$: tensor language_model.extra.weight is not part of a gemma2 model (1 of 48 are not): expected the config.json that was saved with the weights"},
		{false, tensors(func(m map[string]safetensors.Tensor) { m["model.language_model.norm.weight"] = m[norm] }), weight + ": tensor model.language_model.norm.weight is also in " + weight + " as " + norm + ": expected one of them (save the model anew)"},
		{false, retype(norm, safetensors.I8), weight + ": tensor " + norm + " is I8, and config.json has no quantization_config that is read for it: expected float weights (those it was made of, or model.dequantize() and save_pretrained with transformers)"},
		{false, tensors(func(m map[string]safetensors.Tensor) {
			x := m[norm]
			x.Shape = []int{6, 7}
			m[norm] = x
		}), weight + ": tensor " + norm + " has shape [6 7], config.json asks for [42]: expected the config.json that was saved with the weights"},
		{false, tensors(func(m map[string]safetensors.Tensor) {
			x := m[position]
			x.Shape, x.Data = []int{8, 21}, x.Data[:len(x.Data)*8/9]
			m[position] = x
		}), weight + ": tensor " + position + " has shape [8 21], config.json asks for [9 21]: expected the config.json that was saved with the weights"},
		{false, tensors(func(m map[string]safetensors.Tensor) {
			m["lm_head.weight"] = safetensors.Tensor{DType: safetensors.F32, Shape: []int{1}, Data: make([]byte, 4)}
		}), weight + ": tensor lm_head.weight has shape [1], config.json asks for [1613 42]: expected the config.json that was saved with the weights"},
		{false, func(t *testing.T, d string) { os.Truncate(filepath.Join(d, "model.safetensors"), 5000) }, weight + ": the header claims 5640 bytes, the file has 4992: truncated or not a safetensors file"},

		{true, remove("model-00002-of-00003.safetensors"), index + " names the shard model-00002-of-00003.safetensors, which is missing: download or copy it beside the others"},
		{true, write("model.safetensors.index.json", `{"weight_map":{}}`), index + ": weight_map is not an object of file names: expected the index that save_pretrained writes"},
		{true, write("model.safetensors.index.json", `{"weight_map":{"a":"../../etc/passwd"}}`), index + `: tensor a lies in "../../etc/passwd", expected a safetensors file in the folder of the index`},
	} {
		t.Run("", func(t *testing.T) {
			dir := tinyCheckpoint(t, c.sharded)
			c.damage(t, dir)
			ck, err := hf.Load(dir, hf.Options{})
			if err == nil {
				ck.Close()
				t.Fatalf("no error, want %s", c.want)
			}
			if got := strings.ReplaceAll(err.Error(), dir, "$"); got != c.want {
				t.Errorf("error  %s\nwanted %s", got, c.want)
			}
		})
	}
}

// TestSettingsHonored reads what a checkpoint may say about generation and pictures.
func TestSettingsHonored(t *testing.T) {
	dir := tinyCheckpoint(t, false)
	save(t, filepath.Join(dir, "generation_config.json"), `{"_from_model_config":true,"renormalize_logits":true,"eos_token_id":[1,107],"bos_token_id":2,"pad_token_id":0,
		"max_new_tokens":7,"do_sample":true,"temperature":0.7,"top_k":20,"top_p":0.9,"repetition_penalty":1.2,"num_beams":1,
		"cache_implementation":"hybrid","transformers_version":"4.46.0"}`)
	save(t, filepath.Join(dir, "preprocessor_config.json"), `{"size":{"height":1,"width":1}}`)
	save(t, filepath.Join(dir, "processor_config.json"), `{"processor_class":"PaliGemmaProcessor","image_processor":{"do_convert_rgb":null,"do_rescale":true,
		"image_mean":[0.1,0.2,0.3],"image_std":0.25,"rescale_factor":0.01,"size":{"height":21,"width":21},"image_seq_length":9}}`)
	c, err := hf.Load(dir, hf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	g := c.Generation
	if !slices.Equal(g.EOS, []int{1, 107}) || g.MaxNewTokens != 7 || !g.DoSample || g.Temperature != .7 || g.TopK != 20 || g.TopP != .9 || g.RepetitionPenalty != 1.2 {
		t.Errorf("generation settings %+v", g)
	}
	if want := (hf.Preprocessor{RescaleFactor: .01, Mean: [3]float64{.1, .2, .3}, Std: [3]float64{.25, .25, .25}}); c.Preprocessor != want {
		t.Errorf("picture settings %+v, want %+v", c.Preprocessor, want)
	}
	save(t, filepath.Join(dir, "processor_config.json"), `{"image_processor":{"size":21,"do_rescale":false,"do_normalize":false}}`)
	if c, err = hf.Load(dir, hf.Options{}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if want := (hf.Preprocessor{RescaleFactor: 1, Std: [3]float64{1, 1, 1}}); c.Preprocessor != want {
		t.Errorf("picture settings %+v, want %+v", c.Preprocessor, want)
	}
}

// TestCacheFolder loads a checkpoint as the Hugging Face cache keeps it: links into a folder of blobs.
func TestCacheFolder(t *testing.T) {
	plain := tinyCheckpoint(t, true)
	repo := filepath.Join(t.TempDir(), "models--some-org--tiny-model")
	shot := filepath.Join(repo, "snapshots", "9f1c0de")
	for _, d := range []string{filepath.Join(repo, "blobs"), filepath.Join(repo, "refs"), shot} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	entries, _ := os.ReadDir(plain)
	for i, e := range entries {
		blob := strings.Repeat(string(rune('a'+i)), 40)
		if err := os.Rename(filepath.Join(plain, e.Name()), filepath.Join(repo, "blobs", blob)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../../blobs/"+blob, filepath.Join(shot, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	load := func(dir, want string) {
		t.Helper()
		c, err := hf.Load(dir, hf.Options{})
		if err != nil {
			if !strings.Contains(err.Error(), want) || want == "" {
				t.Errorf("%v, want %q", err, want)
			}
			return
		}
		defer c.Close()
		if want != "" || c.Name != "some-org/tiny-model" {
			t.Errorf("loaded %s, want the error %q", c.Name, want)
		}
	}
	load(shot, "")
	load(repo, "") // the only snapshot
	if err := os.Mkdir(filepath.Join(repo, "snapshots", "0000000"), 0o755); err != nil {
		t.Fatal(err)
	}
	load(repo, "holds 2 snapshots and no refs/main")
	main := filepath.Join(repo, "refs", "main")
	save(t, main, "9f1c0de")
	load(repo, "")
	save(t, main, "1234567")
	load(repo, "refs/main names the snapshot 1234567, which is missing")
	save(t, main, "../../..")
	load(repo, "expected the name of a snapshot")
}

// TestLicense collects license files and what the README's front matter says.
func TestLicense(t *testing.T) {
	dir := tinyCheckpoint(t, false)
	license := func() string {
		t.Helper()
		c, err := hf.Load(dir, hf.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.License
	}
	if got := license(); got != "" {
		t.Errorf("license %q of a checkpoint without one", got)
	}
	save(t, filepath.Join(dir, "README.md"), "# no front matter\nlicense: mit\n")
	if got := license(); got != "" {
		t.Errorf("license %q of a README without front matter", got)
	}
	save(t, filepath.Join(dir, "README.md"), "---\nlibrary_name: transformers\nlicense: other\nlicense_name: gemma\nlicense_link: LICENSE\ntags:\n- license\n---\n# Text\nlicense: no\n")
	if got, want := license(), "license: other\nlicense_name: gemma\nlicense_link: LICENSE\n"; got != want {
		t.Errorf("license %q, want %q", got, want)
	}
	save(t, filepath.Join(dir, "LICENSE.txt"), "Terms of use\n\n")
	save(t, filepath.Join(dir, "NOTICE"), "Notice")
	if got, want := license(), "Terms of use\n\nNotice\n\nlicense: other\nlicense_name: gemma\nlicense_link: LICENSE\n"; got != want {
		t.Errorf("license %q, want %q", got, want)
	}
}

// TestHeadStoredTwice: a head equal to the embedding is the embedding, another one is a head of its own, whatever
// tie_word_embeddings says; so transformers has it.
func TestHeadStoredTwice(t *testing.T) {
	dir := tinyCheckpoint(t, false)
	file := filepath.Join(dir, "model.safetensors")
	for _, same := range []bool{true, false} {
		rewrite(t, file, func(m map[string]safetensors.Tensor) {
			head := m["language_model.model.embed_tokens.weight"]
			head.Data = bytes.Clone(head.Data)
			if !same {
				head.Data[len(head.Data)-1] ^= 1
			}
			m["lm_head.weight"] = head
		})
		c, err := hf.Load(dir, hf.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Config.Facts().TieWordEmbeddings != same {
			t.Errorf("equal head: %v, tied: %v", same, !same)
		}
		c.Close()
	}
}

// TestIgnoredTensors loads what old checkpoints carry and nothing computes with.
func TestIgnoredTensors(t *testing.T) {
	dir := tinyCheckpoint(t, false)
	rewrite(t, filepath.Join(dir, "model.safetensors"), func(m map[string]safetensors.Tensor) {
		for _, name := range []string{"vision_tower.vision_model.head.probe", "vision_tower.vision_model.head.mlp.fc1.weight",
			"language_model.model.layers.0.self_attn.rotary_emb.inv_freq"} {
			m[name] = safetensors.Tensor{DType: safetensors.F32, Shape: []int{3}, Data: make([]byte, 12)}
		}
		m["vision_tower.vision_model.embeddings.position_ids"] = safetensors.Tensor{DType: safetensors.I64, Shape: []int{1, 9}, Data: make([]byte, 72)}
	})
	c, err := hf.Load(dir, hf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestSettingsNoted reads settings that change nothing in transformers, or only a search that nobody asked for: they are
// notes, one line for all those of a file that transformers does not have.
func TestSettingsNoted(t *testing.T) {
	const generation, config, pictures = "generation_config.json", "config.json", "preprocessor_config.json"
	for _, c := range []struct{ file, keys, want string }{
		{generation, `"num_beams":4,"early_stopping":true,"length_penalty":2`, "$: num_beams is 4, which is not supported: passed over, answers are those of greedy search"},
		{generation, `"num_return_sequences":3`, "$: num_return_sequences is 3, which is not supported: passed over, answers are those of greedy search"},
		{generation, `"min_p":0.1`, "$: min_p is 0.1, which is not supported: passed over where --temperature draws tokens"},
		{generation, `"max_length":400`, "$: max_length is 400 and counts the prompt's tokens: passed over, expected max_new_tokens (or --max-new-tokens N)"},
		{generation, `"pad_token_id":1,"bos_token_id":5`, "$: bos_token_id is 5 and 2 in config.json: passed over, the tokenizer's is used\n" +
			"$: pad_token_id is 1 and 0 in config.json: passed over, the tokenizer's is used"},
		{generation, `"pad_token_id":-1`, ""},
		{generation, `"eos_token_id":[1,5000]`, "$: eos_token_id is 5000, beyond text_config.vocab_size 1613: no answer ends with it"},
		{generation, `"eos_token_id":null`, "$: eos_token_id is null, with which transformers ends no answer: here answers end with 1"},
		{generation, `"eos_token_id":[]`, "$: eos_token_id is [], with which transformers ends no answer: here answers end with 1"},
		{generation, `"eos_token_id":-1`, "$: eos_token_id is -1, with which transformers ends no answer: here answers end with 1"},
		{config, `"quantization_config":null`, ""},
		{config, `"quantization_config":{}`, ""},
		{config, `"quantization_config":{"quant_method":"modelopt","ignore":["lm_head"]}`,
			`$: quantization_config.quant_method is "modelopt", which transformers does not know: passed over, weights are read as they are stored`},
		{generation, `"mirostat":2,"attn_implementation":"eager"`, "$: passed over, because transformers has no such settings: attn_implementation, mirostat"},
		{config, `"unsloth_fixed":true,"auto_map":{"AutoModel":"x.py"},"some version":"1.2","pad_token_id":-1,"_private":1,"nothing":null`,
			`$: passed over, because transformers has no such settings: auto_map, "some version", unsloth_fixed`},
		{config, `"pad_token_id":5000`, "@/generation_config.json: pad_token_id is 0 and 5000 in config.json: passed over, the tokenizer's is used"},
		{config, `"k0":1,"k1":1,"k2":1,"k3":1,"k4":1,"k5":1,"k6":1,"k7":1,"k8":1,"k9":1`,
			"$: passed over, because transformers has no such settings: k0, k1, k2, k3, k4, k5, k6, k7 and 2 more"},
		{config, `"text_config.extra":1`, `$: passed over, because transformers has no such settings: "text_config.extra"`},
		{pictures, `"size":21,"do_sharpen":true`, "$: passed over, because transformers has no such settings: do_sharpen"},
	} {
		dir := tinyCheckpoint(t, false)
		path := filepath.Join(dir, c.file)
		if c.file == config {
			edit(t, path, `{"model_type":"paligemma"`, "{"+c.keys+`,"model_type":"paligemma"`)
		} else if c.file == generation && !strings.Contains(c.keys, "eos_token_id") {
			save(t, path, `{"eos_token_id":1,`+c.keys+"}")
		} else {
			save(t, path, "{"+c.keys+"}")
		}
		ck, err := hf.Load(dir, hf.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.keys, err)
			continue
		}
		if got := strings.NewReplacer(path, "$", dir, "@").Replace(strings.Join(ck.Notes, "\n")); got != c.want {
			t.Errorf("notes  %s\nwanted %s", got, c.want)
		}
		ck.Close()
	}
}

// TestTopK reads generation_config files that do not give top_k: transformers draws among 50.
func TestTopK(t *testing.T) {
	dir := tinyCheckpoint(t, false)
	for text, want := range map[string]int{`{}`: 50, `{"do_sample":true}`: 50, `{"top_k":0}`: 0, `{"top_k":7}`: 7} {
		save(t, filepath.Join(dir, "generation_config.json"), text)
		c, err := hf.Load(dir, hf.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Generation.TopK != want || c.Generation.DoSample != strings.Contains(text, "true") {
			t.Errorf("%s: %+v, want top_k %d", text, c.Generation, want)
		}
		c.Close()
	}
}
