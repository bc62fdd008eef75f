package pgc

import (
	"testing"

	"pgc/runtime/manifest"
)

// TestTasks: what a prompt asks for.
func TestTasks(t *testing.T) {
	m := &Model{model: &manifest.Model{Verbs: map[string]string{"caption": "caption", "describe": "caption", "detect": "detect", "segment": "segment", "ocr": "ocr"}}}
	for prompt, want := range map[string]string{"caption en": "caption", " Detect cat ; dog": "detect", "segment\n": "segment", "ocr": "ocr",
		"describe en": "caption", "what is this?": "", "detection": "", "": ""} {
		if got := m.taskOf(prompt); got != want {
			t.Errorf("%q asks for %q, expected %q", prompt, got, want)
		}
	}
	if got := (&Model{model: &manifest.Model{}}).taskOf("caption en"); got != "" {
		t.Errorf("a model without tasks is asked for %q", got)
	}
}
