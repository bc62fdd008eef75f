package paligemma

import (
	"slices"
	"testing"
)

// TestTasks: the words of every task name it alone, and checkpoints of several images are known by name.
func TestTasks(t *testing.T) {
	verbs := Model.Verbs()
	for _, task := range tasks {
		for _, v := range task.Verbs {
			if verbs[v] != task.Name {
				t.Errorf("prompts with %q ask for %q, expected %q", v, verbs[v], task.Name)
			}
		}
		for _, tag := range task.Tags {
			if got := Model.TaggedFor(tag); got != task.Name {
				t.Errorf("the tag %q names %q, expected %q", tag, got, task.Name)
			}
		}
		for _, set := range task.DataSets {
			if got := Model.TaughtBy(set); got != task.Name {
				t.Errorf("the data set %q teaches %q, expected %q", set, got, task.Name)
			}
		}
	}
	for word, want := range map[string]string{"caption": "caption", "cap": "caption", "describe": "caption", "detect": "detect", "segment": "segment",
		"answer": "answer", "ocr": "ocr"} {
		if verbs[word] != want {
			t.Errorf("prompts with %q ask for %q, expected %q", word, verbs[word], want)
		}
	}
	if got := Model.TaughtBy("A-OK_VQA"); got != "answer" {
		t.Errorf("A-OK_VQA teaches %q", got)
	}
	for name, want := range map[string]bool{"google/paligemma-3b-ft-NLVR2-448": true, "paligemma-3b-ft-vatex-224": true, "paligemma2-3b-mix-448": false} {
		if Model.TakesSeveral(name) != want {
			t.Errorf("%s takes several images: %v, expected %v", name, !want, want)
		}
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(several)))); n != len(several) {
		t.Errorf("%d different names, expected %d", n, len(several))
	}
}
