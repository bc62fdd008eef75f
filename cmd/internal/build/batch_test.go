package build

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// status runs a command and returns its exit status and what it printed.
func status(name string, args ...string) (int, string, string) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), stdout.String(), stderr.String()
	}
	return 0, stdout.String(), stderr.String()
}

// TestBatchResumes cuts an output short and runs batch again: what was answered stays, errors and cut lines are done
// again, and the answers are those of one run.
func TestBatchResumes(t *testing.T) {
	dir := t.TempDir()
	exe := compiled(t, "pg2-mha")
	late := filepath.Join(dir, "late.png")
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	requests := fmt.Sprintf(`{"id": 1, "images": [%[1]q], "prompt": "caption en", "max_new_tokens": 3}
{"id": "two", "images": [%[2]q], "prompt": "caption en", "max_new_tokens": 3}

{"images": [%[1]q, %[1]q], "prompt": "", "max_new_tokens": 3}`, picturePath("noise.png"), late)
	if err := os.WriteFile(in, []byte(requests), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := status(exe, "batch", "--input", in, "--output", out)
	if code != 1 || !strings.Contains(stderr, "1 of 3 requests failed") {
		t.Errorf("status %d, %q", code, stderr)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	first := replies(t, data)
	if len(first) != 3 || !strings.Contains(first[1].Error, "late.png") || string(first[2].ID) != "4" || first[2].Text == "" && len(first[2].Tokens) == 0 {
		t.Fatalf("answers %s", data)
	}
	picture, err := os.ReadFile(picturePath("noise.png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(late, picture, 0o644); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	for cut := 0; cut < len(data)-1; cut += 1 + len(data)/7 {
		if err := os.WriteFile(out, data[:len(data)-1-cut], 0o644); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := status(exe, "batch", "--input", in, "--output", out)
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		all := replies(t, got)
		if code != 0 || len(all) != 3 {
			t.Fatalf("cut by %d: status %d, %q:\n%s", cut+1, code, stderr, got)
		}
		byID := map[string]reply{}
		for _, r := range all {
			byID[string(r.ID)] = r
		}
		if a, b := byID["1"], byID[`"two"`]; a.Text != b.Text || a.Text != first[0].Text || byID["4"].Text != first[2].Text {
			t.Errorf("cut by %d: %s", cut+1, got)
		}
		if whole := len(data)-1-cut >= len(lines[0]); whole && !bytes.HasPrefix(got, lines[0]) {
			t.Errorf("cut by %d: the first answer was given again", cut+1)
		}
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 3 {
		t.Errorf("files left: %v", left)
	}
}

// TestBatchErrors: a request that is none stops batch before any work, with its line; a file that is not batch's stays.
func TestBatchErrors(t *testing.T) {
	dir := t.TempDir()
	exe := compiled(t, "pg2-mha")
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	good := fmt.Sprintf(`{"images": [%q], "prompt": "x"}`, picturePath("noise.png"))
	for _, c := range []struct{ requests, have, want string }{
		{good + "\n{", "", "line 2: is no request"},
		{good + good, "", "line 1: holds more than one"},
		{`{"images": ["a"], "prompt": "x", "colour": 1}`, "", `unknown field "colour"`},
		{`{"images": [], "prompt": "x"}`, "", "images is missing"},
		{`{"images": ["a"]}`, "", "prompt is missing"},
		{`{"id": [1], "images": ["a"], "prompt": ""}`, "", "id is [1]"},
		{`{"id": 2, "images": ["a"], "prompt": ""}` + "\n" + good, "", "id is 2, as in line 1"},
		{`{"images": ["a"], "prompt": "", "temperature": -1}`, "", "temperature is -1"},
		{`{"images": ["a"], "prompt": "", "max_new_tokens": -1}`, "", "max_new_tokens is -1"},
		{good, "my notes\n", "line 1 is no answer of batch"},
		{good, "my notes", "line 1 is no answer of batch"},
		{good, `{"id":1}` + "\n", "line 1 is no answer of batch"},
	} {
		if err := os.WriteFile(in, []byte(c.requests), 0o644); err != nil {
			t.Fatal(err)
		}
		os.Remove(out)
		if c.have != "" {
			if err := os.WriteFile(out, []byte(c.have), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		code, _, stderr := status(exe, "batch", "--input", in, "--output", out)
		have, _ := os.ReadFile(out)
		if code != 1 || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 || string(have) != c.have {
			t.Errorf("%q: status %d, %q, expected %q; the output is %q", c.requests, code, stderr, c.want, have)
		}
	}
	for _, c := range []struct{ args, want string }{
		{"generate --image a --prompt x --temperature=-1", "temperature is -1"},
		{"generate --image a --prompt x --max-new-tokens=-1", "max_new_tokens is -1"},
		{"generate --image a --prompt x --prompt y --draw d.png", "--draw takes one answer"},
	} {
		if code, _, stderr := status(exe, strings.Fields(c.args)...); code != 2 || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: status %d, %q", c.args, code, stderr)
		}
	}
}
