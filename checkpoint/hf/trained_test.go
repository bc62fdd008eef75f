package hf

import (
	"os"
	"path/filepath"
	"testing"

	"pgc/models/paligemma"
	"pgc/runtime/manifest"
)

// TestNamedTask: what a checkpoint's name says that it was trained for.
func TestNamedTask(t *testing.T) {
	for name, want := range map[string]string{"google/paligemma-3b-ft-cococap-448": "caption", "paligemma-3b-ft-refcoco-seg-896": "segment",
		"paligemma-3b-ft-docvqa-896-bf16": "answer", "paligemma-3b-ft-gqa-224": "answer", "google/paligemma2-10b-ft-docci-448": "caption",
		"paligemma2-3b-mix-448": "", "paligemma-3b-pt-224": "", "mine": "", "paligemma-3b-ft-mine": ""} {
		if got := paligemma.Model.ReleasedFor(name); got != want {
			t.Errorf("%s was trained for %q, expected %q", name, got, want)
		}
	}
}

// TestTrained: what the files of a folder say that the model was trained for, and where they leave it open.
func TestTrained(t *testing.T) {
	readme, config, name, none := "its README.md", "the _name_or_path of its config.json", "its name", manifest.Trained{}
	card := func(text string) map[string]string {
		return map[string]string{"README.md": "---\n" + text + "\n---\n# Card\n"}
	}
	from := func(base string, more ...string) map[string]string {
		files := map[string]string{"config.json": `{"_name_or_path": "` + base + `"}`}
		for _, f := range more {
			files[f] = ""
		}
		return files
	}
	for i, c := range []struct {
		name  string
		files map[string]string
		want  manifest.Trained
	}{
		{"paligemma-3b-ft-docvqa-448", nil, manifest.Trained{Task: "answer", By: name}},
		{"mine", nil, none},
		{"mine", card("tags:\n- paligemma\n- object-detection"), manifest.Trained{Task: "detect", By: readme}},
		{"mine", card("tags: [vqa, paligemma]\nlicense: gemma"), manifest.Trained{Task: "answer", By: readme}},
		{"mine", card("pipeline_tag: image-segmentation # masks"), manifest.Trained{Task: "segment", By: readme}},
		{"mine", card("datasets:\n  - lmms-lab/DocVQA\n  - \"HuggingFaceM4/VQAv2\""), manifest.Trained{Task: "answer", By: readme}},
		{"mine", card("base_model: google/paligemma-3b-ft-cococap-224\nbase_model_relation: quantized"), manifest.Trained{Task: "caption", By: readme}},
		{"mine", card("model_name: paligemma-ft-textcaps"), manifest.Trained{Task: "caption", By: readme}},
		{"mine", from("google/paligemma-3b-ft-docvqa-896"), manifest.Trained{Task: "answer", By: config}},
		// A further training, several tasks, or none that is known.
		{"mine", card("base_model: google/paligemma-3b-ft-cococap-224"), none},
		{"mine", from("google/paligemma-3b-ft-docvqa-896", "trainer_state.json"), none},
		{"mine", from("google/paligemma-3b-pt-896"), none},
		{"mine", card("tags:\n- vqa\n- object-detection"), none},
		{"mine", card("datasets:\n- docvqa\n- someone/receipts"), none},
		{"mine", card("pipeline_tag: visual-question-answering"), none},
		{"mine", card("pipeline_tag: image-text-to-text\ndatasets: []"), none},
		{"mine", card("base_model: google/paligemma2-3b-mix-224\ntags: [object-detection]"), none},
		{"paligemma2-3b-mix-448-detect", card("tags: [object-detection]"), none},
		{"paligemma-3b-ft-docvqa-448", card("tags: [object-detection]"), none},
		{"mine", map[string]string{"README.md": "tags: [vqa]\n"}, none}, // no front matter
		{"mine", map[string]string{"README.md": "---\ntags: [vqa]\n"}, none},
	} {
		dir := filepath.Join(t.TempDir(), c.name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range c.files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := (&Checkpoint{Model: &paligemma.Model, Dir: dir, Name: c.name}).trained(); got != c.want {
			t.Errorf("case %d: trained for %v, expected %v", i, got, c.want)
		}
		of := c.want
		if of.By == config || i == 6 { // what the base was trained for says nothing of an adapter
			of = none
		}
		if got := (&Checkpoint{Model: &paligemma.Model, Dir: "base", Name: "paligemma-3b-ft-docvqa-448", adapterDir: dir}).trained(); got != of {
			t.Errorf("case %d: an adapter was trained for %v, expected %v", i, got, of)
		}
	}
}
