package pgc

import "testing"

// TestTasks: what a prompt asks for, and which checkpoints read several images.
func TestTasks(t *testing.T) {
	for prompt, want := range map[string]string{"caption en": "caption", " Detect cat ; dog": "detect", "segment\n": "segment", "ocr": "ocr",
		"describe en": "caption", "what is this?": "", "detection": "", "": ""} {
		if got := taskOf(prompt); got != want {
			t.Errorf("%q asks for %q, expected %q", prompt, got, want)
		}
	}
	if !readsSeveral("google/paligemma-3b-ft-nlvr2-448") || readsSeveral("paligemma2-3b-mix-448") {
		t.Error("of several images are nlvr2's checkpoints alone")
	}
}
