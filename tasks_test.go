package pgc

import "testing"

// TestTasks: what a prompt asks for, and what a checkpoint's name says that it was trained for.
func TestTasks(t *testing.T) {
	for prompt, want := range map[string]string{"caption en": "caption", " Detect cat ; dog": "detect", "segment\n": "segment", "ocr": "ocr",
		"describe en": "caption", "what is this?": "", "detection": "", "": ""} {
		if got := taskOf(prompt); got != want {
			t.Errorf("%q asks for %q, expected %q", prompt, got, want)
		}
	}
	for name, want := range map[string]string{"google/paligemma-3b-ft-cococap-448": "caption", "paligemma-3b-ft-refcoco-seg-896": "segment",
		"paligemma-3b-ft-docvqa-896-bf16": "answer", "paligemma-3b-ft-gqa-224": "answer", "google/paligemma2-10b-ft-docci-448": "caption",
		"paligemma2-3b-mix-448": "", "paligemma-3b-pt-224": "", "mine": "", "paligemma-3b-ft-mine": ""} {
		if got := trainedFor(name); got != want {
			t.Errorf("%s was trained for %q, expected %q", name, got, want)
		}
	}
	if !readsSeveral("google/paligemma-3b-ft-nlvr2-448") || readsSeveral("paligemma2-3b-mix-448") {
		t.Error("of several images are nlvr2's checkpoints alone")
	}
}
