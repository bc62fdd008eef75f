package hf

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"pgc/models"
	"pgc/runtime/manifest"
)

// trainerFiles are what training leaves beside weights.
var trainerFiles = []string{"trainer_state.json", "training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt"}

// trained returns the one task that the model was fine-tuned for, as far as a folder says so. An adapter that is merged was
// trained last: its own folder counts.
func (c *Checkpoint) trained() manifest.Trained {
	if c.adapterDir != "" {
		return trainedAdapter(c.Model, c.adapterDir)
	}
	if c.bigvision != nil {
		return manifest.Trained{}
	}
	says := card(c.Dir)
	if t := ofCard(c.Model, says, c.Name); t != nil {
		return *t
	}
	if further(c.Dir, says) {
		return manifest.Trained{}
	}
	for _, base := range says["base_model"] { // of which this is a quantized form
		if task := c.Model.ReleasedFor(base); task != "" {
			return manifest.Trained{Task: task, By: "its " + readmeFile}
		}
	}
	if s, err := readJSON(c.Dir, configFile, maxConfig); err == nil {
		var from string
		if json.Unmarshal(s.Raw("_name_or_path"), &from) == nil {
			if task := c.Model.ReleasedFor(filepath.Base(strings.TrimRight(from, "/"))); task != "" {
				return manifest.Trained{Task: task, By: "the _name_or_path of its " + configFile}
			}
		}
	}
	return manifest.Trained{}
}

// trainedAdapter is trained of an adapter's folder. What its base was trained for says nothing.
func trainedAdapter(m *models.Model, dir string) manifest.Trained {
	if t := ofCard(m, card(dir), modelName(dir)); t != nil {
		return *t
	}
	return manifest.Trained{}
}

// ofCard returns what the name of a model and its card say that it was trained for: no task where they name several, nil
// where they name none.
func ofCard(m *models.Model, says map[string][]string, name string) *manifest.Trained {
	var found []manifest.Trained
	add := func(task, by string) {
		if task != "" && !slices.ContainsFunc(found, func(t manifest.Trained) bool { return t.Task == task }) {
			found = append(found, manifest.Trained{Task: task, By: by})
		}
	}
	add(m.ReleasedFor(name), "its name")
	by := "its " + readmeFile
	for _, key := range []string{"pipeline_tag", "tags"} {
		for _, tag := range says[key] {
			add(m.TaggedFor(tag), by)
		}
	}
	var sets []string
	for _, set := range says["datasets"] {
		sets = append(sets, m.TaughtBy(path.Base(set)))
	}
	if len(found) > 0 || !slices.Contains(sets, "") { // one that is not known may be of another task
		for _, task := range sets {
			add(task, by)
		}
	}
	for _, own := range says["model_name"] {
		add(m.ReleasedFor(own), by)
	}
	switch {
	case len(found) == 0:
		return nil
	case len(found) > 1 || slices.ContainsFunc(append(says["base_model"], name), func(of string) bool { return strings.Contains(of, "-mix") }):
		return &manifest.Trained{} // a mix of tasks knows the others, too
	}
	return &found[0]
}

// further reports whether the weights were trained beyond the model that a card or config.json names.
func further(dir string, says map[string][]string) bool {
	for _, tag := range says["tags"] {
		if slices.Contains([]string{"generated_from_trainer", "trl", "sft", "lora", "peft"}, strings.ToLower(tag)) {
			return true
		}
	}
	if len(says["base_model"]) > 0 && !slices.Equal(says["base_model_relation"], []string{"quantized"}) {
		return true
	}
	return slices.ContainsFunc(trainerFiles, func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	})
}
