package commands

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/e2e"
	"pgc/runtime/safetensors"
)

// copyPicture puts a picture of the golden models to a path.
func copyPicture(t *testing.T, name, path string) {
	t.Helper()
	data, err := os.ReadFile(golden.Picture(name))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestFineTuningList: the fields of lists for fine-tuning are read, behind a byte order mark and with CRLF, too; pictures
// may lie beside the list; a suffix counts only where its score is asked for, and its loss is forward's.
func TestFineTuningList(t *testing.T) {
	exe, dir := e2e.Compiled(t, "pg2-mha"), t.TempDir()
	copyPicture(t, "noise.png", filepath.Join(dir, "pictures", "a.png"))
	picture, in, out := filepath.Join(dir, "pictures", "a.png"), filepath.Join(dir, "train.jsonl"), filepath.Join(dir, "f.safetensors")
	lines := []string{
		fmt.Sprintf(`{"images":[%q],"prompt":"caption en"}`, picture),
		`{"image":"pictures/a.png","prefix":"caption en","suffix":"a cat"}`,
		`{"images":"pictures/a.png","text":"caption en","suffix":"a cat","score":true}`,
		`{"image":["pictures/a.png"],"score":false}`,
		`{"image":{"bytes":null,"path":"pictures/a.png"}}`,
	}
	if err := os.WriteFile(in, []byte("\ufeff"+strings.Join(lines, "\r\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	list := e2e.MustRun(t, exe, "batch", "--input", in, "--output", "-", "--prompt", "caption en", "--max-new-tokens", "3")
	got := e2e.Replies(t, list)
	if len(got) != len(lines) {
		t.Fatalf("answers %s", list)
	}
	for _, r := range got {
		if !slices.Equal(r.Tokens, got[0].Tokens) || len(r.Tokens) != 3 {
			t.Errorf("tokens %v, expected %v", r.Tokens, got[0].Tokens)
		}
	}
	e2e.MustRun(t, exe, "forward", "--image", picture, "--prompt", "caption en", "--suffix", "a cat", "-o", out)
	f, err := safetensors.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	loss, logprobs := floats(t, f, "loss"), floats(t, f, "token_logprobs")
	for i, r := range got {
		if scored := i == 2; !scored && (r.Loss != nil || r.TokenLogprobs != nil) {
			t.Errorf("answer %d has the score of a suffix: %v", i, r)
		} else if scored && (r.Loss == nil || *r.Loss != loss[0] || !slices.Equal(r.TokenLogprobs, logprobs) || math.IsNaN(float64(loss[0]))) {
			t.Errorf("answer %d: loss %v of %v, expected %v of %v", i, r.Loss, r.TokenLogprobs, loss, logprobs)
		}
	}
}

// floats reads a tensor of a file.
func floats(t *testing.T, f *safetensors.File, name string) []float32 {
	t.Helper()
	tensor, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("no tensor %s", name)
	}
	v, err := tensor.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestBatchPictures: a folder stands for the pictures in it and in folders there, a pattern for those that fit, in the
// order of their names; a file that is none fails alone; the answers may be resumed.
func TestBatchPictures(t *testing.T) {
	exe, dir := e2e.Compiled(t, "pg2-mha"), t.TempDir()
	copyPicture(t, "noise.png", filepath.Join(dir, "in", "b.png"))
	copyPicture(t, "alpha.png", filepath.Join(dir, "in", "sub", "without-ending"))
	copyPicture(t, "alpha.png", filepath.Join(dir, "in", ".hidden", "c.png"))
	for name, text := range map[string]string{"in/a.jpg": "no picture", "in/notes.txt": "text", "in/train.jsonl": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("in", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out.jsonl")
	code, _, stderr := e2e.Status(exe, "batch", "--input", in, "--output", out)
	if want := fmt.Sprintf("--input %s stands for 3 pictures without a prompt, expected a list of requests, such as %s/train.jsonl, or --prompt TEXT", in, in); code != 2 || !strings.Contains(stderr, want) {
		t.Errorf("status %d, %q, expected %q", code, stderr, want)
	}
	if code, stdout, stderr := e2e.Printed(exe, "batch", "--input", in+"/train.jsonl", "--output", "-"); code != 0 || stdout != "" || stderr != "warning: "+in+"/train.jsonl holds no request\n" {
		t.Errorf("an empty list: status %d, %q, %q", code, stdout, stderr)
	}
	if code, _, stderr := e2e.Status(exe, "batch", "--input", in+"/*.jpg", "--output", "-"); code != 2 || !strings.Contains(stderr, "expected a list of requests or --prompt TEXT") {
		t.Errorf("no prompt: status %d, %q", code, stderr)
	}
	for range 2 { // the second time only the one that failed is tried
		code, _, stderr = e2e.Status(exe, "batch", "--input", in, "--output", out, "--prompt", "x", "--max-new-tokens", "2")
		if code != 1 || !strings.Contains(stderr, "1 of 3 requests failed") {
			t.Errorf("status %d, %q", code, stderr)
		}
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, r := range e2e.Replies(t, data) {
		ids[string(r.ID)] = r.Error == ""
	}
	want := map[string]bool{fmt.Sprintf("%q", in+"/a.jpg"): false, fmt.Sprintf("%q", in+"/b.png"): true, fmt.Sprintf("%q", in+"/sub/without-ending"): true}
	if fmt.Sprint(ids) != fmt.Sprint(want) {
		t.Errorf("answered %v, expected %v", ids, want)
	}
	for input, names := range map[string]string{filepath.Join(dir, "link"): "link/a.jpg link/b.png link/sub/without-ending", in + "/*.png": "in/b.png"} {
		_, stdout, _ := e2e.Status(exe, "batch", "--input", input, "--output", "-", "--prompt", "x", "--max-new-tokens", "1")
		var found []string
		for _, r := range e2e.Replies(t, []byte(stdout)) {
			found = append(found, strings.Trim(strings.TrimPrefix(string(r.ID), `"`+dir+"/"), `"`))
		}
		if strings.Join(found, " ") != names {
			t.Errorf("%s gave %q, expected %s", input, found, names)
		}
	}
	code, _, stderr = e2e.Status(exe, "batch", "--output", out, "--prompt", "x", "--input", in+"/a.jpg", in+"/b.png")
	if code != 2 || !strings.Contains(stderr, "quote a pattern") {
		t.Errorf("a pattern that a shell expanded: status %d, %q", code, stderr)
	}
	for input, want := range map[string]string{
		in + "/*.gif":               "fits no file",
		in + "/*.jsonl":             "a list, expected pictures",
		in + "/[":                   "is no pattern",
		"https://host/in.jsonl":     "is an address, expected a file",
		filepath.Join(dir, "empty"): "holds no picture, expected a folder of pictures",
	} {
		if err := os.MkdirAll(filepath.Join(dir, "empty"), 0o755); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := e2e.Status(exe, "batch", "--input", input, "--output", "-", "--prompt", "x"); code != 1 || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: status %d, %q, expected %q", input, code, stderr, want)
		}
	}
}
