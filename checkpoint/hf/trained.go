package hf

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"pgc/runtime/manifest"
)

// fineTunings are parts of the names of the data sets that released checkpoints were fine-tuned on, behind "-ft-", and
// their tasks. The first that fits counts.
var fineTunings = []struct{ part, task string }{
	{"seg", "segment"}, {"vqa", "answer"}, {"qa", "answer"}, {"nlvr2", "answer"}, {"cap", "caption"}, {"docci", "caption"},
	{"coco35l", "caption"}, {"xm3600", "caption"}, {"screen2words", "caption"},
}

// namedTask returns the one task that the name of a checkpoint says it was fine-tuned for, or "".
func namedTask(name string) string {
	_, set, ok := strings.Cut(strings.ToLower(name), "-ft-")
	if !ok {
		return ""
	}
	for _, f := range fineTunings {
		if strings.Contains(set, f.part) {
			return f.task
		}
	}
	return ""
}

// cardTasks are the tags and the pipelines of model cards that name a task. visual-question-answering is on cards of models
// for anything.
var cardTasks = map[string]string{
	"document-question-answering": "answer", "vqa": "answer", "docvqa": "answer",
	"object-detection": "detect", "image-captioning": "caption", "image-segmentation": "segment", "semantic-segmentation": "segment",
	"instance-segmentation": "segment", "referring-segmentation": "segment",
}

// dataTasks are names of data sets, without their owners, of one task. They are compared without case and dashes.
var dataTasks = map[string]string{
	"docvqa": "answer", "vqav2": "answer", "okvqa": "answer", "aokvqa": "answer", "gqa": "answer", "textvqa": "answer", "ocrvqa": "answer",
	"infographicvqa": "answer", "infovqa": "answer", "scienceqa": "answer", "tallyqa": "answer", "chartqa": "answer", "vizwizvqa": "answer",
	"nlvr2": "answer", "textcaps": "caption", "cococaptions": "caption", "nocaps": "caption", "screen2words": "caption", "scicap": "caption",
	"xm3600": "caption", "docci": "caption", "flickr8k": "caption", "flickr30k": "caption",
}

// trainerFiles are what training leaves beside weights.
var trainerFiles = []string{"trainer_state.json", "training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt"}

// trained returns the one task that the model was fine-tuned for, as far as a folder says so. An adapter that is merged was
// trained last: its own folder counts.
func (c *Checkpoint) trained() manifest.Trained {
	if c.adapterDir != "" {
		return trainedAdapter(c.adapterDir)
	}
	if c.bigvision != nil {
		return manifest.Trained{}
	}
	says := card(c.Dir)
	if t := ofCard(says, c.Name); t != nil {
		return *t
	}
	if further(c.Dir, says) {
		return manifest.Trained{}
	}
	for _, base := range says["base_model"] { // of which this is a quantized form
		if task := namedTask(base); task != "" {
			return manifest.Trained{Task: task, By: "its " + readmeFile}
		}
	}
	if s, err := readJSON(c.Dir, configFile, maxConfig); err == nil {
		var from string
		if json.Unmarshal(s.Raw("_name_or_path"), &from) == nil {
			if task := namedTask(filepath.Base(strings.TrimRight(from, "/"))); task != "" {
				return manifest.Trained{Task: task, By: "the _name_or_path of its " + configFile}
			}
		}
	}
	return manifest.Trained{}
}

// trainedAdapter is trained of an adapter's folder. What its base was trained for says nothing.
func trainedAdapter(dir string) manifest.Trained {
	if t := ofCard(card(dir), modelName(dir)); t != nil {
		return *t
	}
	return manifest.Trained{}
}

// ofCard returns what the name of a model and its card say that it was trained for: no task where they name several, nil
// where they name none.
func ofCard(says map[string][]string, name string) *manifest.Trained {
	var found []manifest.Trained
	add := func(task, by string) {
		if task != "" && !slices.ContainsFunc(found, func(t manifest.Trained) bool { return t.Task == task }) {
			found = append(found, manifest.Trained{Task: task, By: by})
		}
	}
	add(namedTask(name), "its name")
	by := "its " + readmeFile
	for _, key := range []string{"pipeline_tag", "tags"} {
		for _, tag := range says[key] {
			add(cardTasks[strings.ToLower(tag)], by)
		}
	}
	var sets []string
	for _, set := range says["datasets"] {
		name := strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(path.Base(set)))
		sets = append(sets, dataTasks[name])
	}
	if len(found) > 0 || !slices.Contains(sets, "") { // one that is not known may be of another task
		for _, task := range sets {
			add(task, by)
		}
	}
	for _, own := range says["model_name"] {
		add(namedTask(own), by)
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
