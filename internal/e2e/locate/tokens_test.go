package locate

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc"
	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
)

// without is a checkpoint whose model has no rows for tokens that begin with a text: they are called otherwise, so that
// those tokens come behind its last row.
func without(t *testing.T, begin string) (dir string) {
	t.Helper()
	dir = golden.Copy(t, "pg1-odd")
	const last, rows = 1572, 1584
	path := filepath.Join(dir, "tokenizer.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.ReplaceAll(data, []byte(`"`+begin), []byte(`"<other`))
	var fill strings.Builder
	for id := last + 1; id < rows; id++ {
		fmt.Fprintf(&fill, `,{"id":%d,"content":"<fill%d>","single_word":false,"lstrip":false,"rstrip":false,"normalized":true,"special":false}`, id, id)
	}
	end := []byte(`}],"normalizer"`)
	if bytes.Count(data, end) != 1 {
		t.Fatalf("%s ends its added tokens otherwise", path)
	}
	data = bytes.Replace(data, end, []byte("}"+fill.String()+`],"normalizer"`), 1)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestWithoutTokens asks models for boxes and masks that they cannot write: each way gets one sentence, and nothing is
// written. What needs other tokens only works.
func TestWithoutTokens(t *testing.T) {
	const noLoc, noSeg = "the model has no token <loc0000>: it cannot locate objects", "the model has no token <seg000>: it cannot segment, expected detect"
	for begin, c := range map[string]struct{ detect, segment string }{"<loc": {noLoc, noLoc}, "<seg": {"", noSeg}} {
		checkpoint, dir := without(t, begin), t.TempDir()
		exe := filepath.Join(dir, "exe")
		e2e.Build(t, exe, checkpoint, e2e.Runtime(t), build.Options{CPU: "x86-64-v3", MaxTokens: 311})
		m, err := pgc.Open(exe)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		picture := golden.Picture("noise.png")
		if code, out, errs := in(dir, exe, "generate", "--image", picture, "--prompt", "caption en", "--max-new-tokens", "2"); code != 0 {
			t.Errorf("%s: a caption: status %d, %s%s", begin, code, out, errs)
		}
		for task, want := range map[string]string{"detect": c.detect, "segment": c.segment} {
			name := fmt.Sprintf("%s without %s", task, begin)
			code, _, errs := in(dir, exe, task, picture, "cat", "--format", "coco", "-o", "found.json")
			_, missing := os.Stat(filepath.Join(dir, "found.json"))
			if failed := want != ""; failed && (code != 1 || missing == nil) || !failed && (code != 0 || missing != nil) || !strings.HasSuffix(strings.TrimSpace(errs), want) {
				t.Errorf("%s: status %d, %s, its output: %v", name, code, errs, missing)
			}
			os.Remove(filepath.Join(dir, "found.json"))
			if err := m.CheckDetect(pgc.DetectRequest{Classes: []string{"cat"}, Segment: task == "segment"}); fmt.Sprint(err) != cmp.Or(want, "<nil>") {
				t.Errorf("%s in Go: %v", name, err)
			}
			request := fmt.Sprintf(`{"id": 1, "images": [%q], "task": %q, "classes": ["cat"]}`, picture, task)
			if err := os.WriteFile(filepath.Join(dir, "in.jsonl"), []byte(request), 0o644); err != nil {
				t.Fatal(err)
			}
			code, _, errs = in(dir, exe, "batch", "--input", "in.jsonl", "--output", task+".jsonl")
			line, err := os.ReadFile(filepath.Join(dir, task+".jsonl"))
			if failed := want != ""; err != nil || (code == 1) != failed || failed != strings.Contains(string(line), `"error":"`+want+`"`) {
				t.Errorf("%s in a batch: status %d, %s%s", name, code, line, errs)
			}
			frozen := filepath.Join(dir, "frozen")
			_, err = build.Compile(t.Context(), checkpoint, frozen, e2e.Runtime(t), build.Options{CPU: "x86-64-v3", MaxTokens: 311, Frozen: build.Frozen{Task: []string{task + " cat"}}})
			_, missing = os.Stat(frozen)
			if fmt.Sprint(err) != cmp.Or(want, "<nil>") || (missing == nil) != (want == "") {
				t.Errorf("%s, built in: %v, the executable: %v", name, err, missing)
			}
			os.Remove(frozen)
		}
		if begin == "<seg" {
			_, err := build.Compile(t.Context(), checkpoint, filepath.Join(dir, "masks"), nil, build.Options{CPU: "x86-64-v3", MaxTokens: 311, Masks: golden.MasksFile()})
			if want := ", a row for each of 100 codes, but the model has 0 tokens <seg000>, <seg001>, …: expected at most as many rows"; err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("with a decoder of masks: %v", err)
			}
		}
	}
}
