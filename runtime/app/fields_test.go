package app

import "testing"

// TestNullFields reads a line of a table, whose empty fields are null: they are as if they were missing, and defaults hold.
func TestNullFields(t *testing.T) {
	const line = `{"id": null, "image": "a.jpg", "images": null, "prompt": "caption en", "prefix": null, "task": null, "classes": null, "query": null,
		"temperature": null, "stop": null, "max_new_tokens": 5, "suffix": null, "score": null, "adapter": null, "boxes": null}`
	half := 0.5
	d := defaults{settings: settings{Temperature: &half, Stop: []string{"x"}}}
	if _, err := parseRequest([]byte(line), 7, d); err == nil {
		t.Error("a field that nobody knows was taken")
	}
	r, err := parseRequest([]byte(line[:len(line)-len(`, "boxes": null}`)]+"}"), 7, d)
	if err != nil {
		t.Fatal(err)
	}
	if string(r.ID) != "7" || len(r.Images) != 1 || r.Prompt != "caption en" || r.detects() || r.Temperature == nil || *r.Temperature != half || len(r.Stop) != 1 || *r.MaxNewTokens != 5 {
		t.Errorf("%+v", r)
	}
}
