package batch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgc/golden"
	"pgc/internal/e2e"
)

// TestBatchResumes cuts an output short and runs batch again: what was answered stays, errors and cut lines are done
// again, and the answers are those of one run.
func TestBatchResumes(t *testing.T) {
	dir := t.TempDir()
	exe := e2e.Compiled(t, "pg2-mha")
	late := filepath.Join(dir, "late.png")
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	requests := fmt.Sprintf(`{"id": 1, "images": [%[1]q], "prompt": "caption en", "max_new_tokens": 3}
{"id": "two", "images": [%[2]q], "prompt": "caption en", "max_new_tokens": 3}

{"images": [%[1]q, %[1]q], "prompt": "", "max_new_tokens": 3}`, golden.Picture("noise.png"), late)
	if err := os.WriteFile(in, []byte(requests), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := e2e.Status(exe, "batch", "--input", in, "--output", out)
	if code != 1 || !strings.Contains(stderr, "1 of 3 requests failed") {
		t.Errorf("status %d, %q", code, stderr)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	first := e2e.Replies(t, data)
	if len(first) != 3 || !strings.Contains(first[1].Error, "late.png") || string(first[2].ID) != "4" || first[2].Text == "" && len(first[2].Tokens) == 0 {
		t.Fatalf("answers %s", data)
	}
	picture, err := os.ReadFile(golden.Picture("noise.png"))
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
		code, _, stderr := e2e.Status(exe, "batch", "--input", in, "--output", out)
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		all := e2e.Replies(t, got)
		if code != 0 || len(all) != 3 {
			t.Fatalf("cut by %d: status %d, %q:\n%s", cut+1, code, stderr, got)
		}
		byID := map[string]e2e.Reply{}
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

// TestBatchTogether: requests of different lengths and options, answered together, have the tokens and the
// log-probabilities, bit for bit, that each has alone; one that fails does not disturb the others, and answers come in
// the order of the requests.
func TestBatchTogether(t *testing.T) {
	dir := t.TempDir()
	type ask struct {
		fields string // of batch
		args   []string
	}
	greedy := func(n int) ask {
		return ask{fmt.Sprintf(`"max_new_tokens":%d,"logprobs":true`, n), []string{"--max-new-tokens", fmt.Sprint(n), "--logprobs"}}
	}
	plain := func(n int) ask {
		return ask{fmt.Sprintf(`"max_new_tokens":%d`, n), []string{"--max-new-tokens", fmt.Sprint(n)}}
	}
	drawn := func(n, seed int) ask {
		return ask{fmt.Sprintf(`"max_new_tokens":%d,"temperature":1.5,"seed":%d,"repetition_penalty":1.3,"logprobs":true`, n, seed),
			[]string{"--max-new-tokens", fmt.Sprint(n), "--temperature", "1.5", "--seed", fmt.Sprint(seed), "--repetition-penalty", "1.3", "--logprobs"}}
	}
	asks := []ask{plain(9), greedy(2), drawn(17, 1), plain(1), greedy(30), drawn(3, 2), plain(0), drawn(12, 3), plain(21), greedy(8), drawn(25, 4)}
	prompts := []string{"caption en", "", "detect cat ; dog", "what is this?"}
	for _, name := range []string{"pg1-odd", "pg2-odd"} {
		exe := e2e.Compiled(t, name)
		images := []string{golden.Picture("noise.png"), golden.Picture("alpha.png")}
		var want []e2e.Reply
		var lines []string
		for i, a := range asks {
			image, prompt := images[i/6], prompts[i%len(prompts)]
			want = append(want, e2e.Replies(t, e2e.MustRun(t, exe, append([]string{"generate", "--json", "--image", image, "--prompt", prompt}, a.args...)...))[0])
			lines = append(lines, fmt.Sprintf(`{"id":%d,"images":[%q],"prompt":%q,%s}`, i, image, prompt, a.fields))
		}
		for _, n := range []int{1, 3, 8, 11} {
			in := filepath.Join(dir, "in.jsonl")
			missing := fmt.Sprintf(`{"id":"none","images":[%q],"prompt":""}`, filepath.Join(dir, "none.png"))
			text := strings.Join(append(append(append([]string{}, lines[:n/2]...), missing), lines[n/2:n]...), "\n")
			if err := os.WriteFile(in, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := e2e.Status(exe, "batch", "--input", in, "--output", "-", "--threads", fmt.Sprint(1+n%2))
			got := e2e.Replies(t, []byte(stdout))
			if code != 1 || !strings.Contains(stderr, fmt.Sprintf("1 of %d requests failed", n+1)) || len(got) != n+1 {
				t.Fatalf("%s, %d requests: status %d, %d answers, %q", name, n, code, len(got), stderr)
			}
			if !strings.Contains(got[n/2].Error, "none.png") {
				t.Errorf("%s, %d requests: answer %d is %+v", name, n, n/2, got[n/2])
			}
			got = append(got[:n/2], got[n/2+1:]...)
			for i, g := range got {
				w := want[i]
				if string(g.ID) != fmt.Sprint(i) || g.Text != w.Text || !slices.Equal(g.Tokens, w.Tokens) || !slices.Equal(g.Logprobs, w.Logprobs) ||
					g.FinishReason != w.FinishReason || g.PromptTokens != w.PromptTokens {
					t.Errorf("%s: request %d among %d: %+v, alone %+v", name, i, n, g, w)
				}
			}
		}
	}
}

// TestBatchAnswersAtOnce: an answer that its prompt settles is written before the next request's picture is fetched.
func TestBatchAnswersAtOnce(t *testing.T) {
	picture, err := os.ReadFile(golden.Picture("noise.png"))
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-written:
			w.Write(picture)
		case <-time.After(10 * time.Second):
			http.Error(w, "the first answer waits for the second picture", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	in := filepath.Join(t.TempDir(), "in.jsonl")
	requests := fmt.Sprintf(`{"images":[%q],"prompt":"","max_new_tokens":1}`+"\n"+`{"images":[%q],"prompt":"","max_new_tokens":1}`,
		golden.Picture("noise.png"), server.URL+"/late.png")
	if err := os.WriteFile(in, []byte(requests), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(e2e.Compiled(t, "pg2-mha"), "batch", "--input", in, "--output", "-")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	first, err := lines.ReadBytes('\n')
	close(written)
	rest, _ := io.ReadAll(lines)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		t.Fatalf("%v: %s%s", err, first, rest)
	}
	got := e2e.Replies(t, append(first, rest...))
	if len(got) != 2 || !slices.Equal(got[0].Tokens, got[1].Tokens) {
		t.Errorf("answers %s%s", first, rest)
	}
}

// TestBatchErrors: a request that is none stops batch before any work, with its line; a file that is not batch's stays.
func TestBatchErrors(t *testing.T) {
	dir := t.TempDir()
	exe := e2e.Compiled(t, "pg2-mha")
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	good := fmt.Sprintf(`{"images": [%q], "prompt": "x"}`, golden.Picture("noise.png"))
	for _, c := range []struct{ requests, have, want string }{
		{good + "\n{", "", "line 2: expected a request, one JSON object: it ends too early (jq -c . FILE puts each object on a line of its own)\n"},
		{"file,\"prompt\"\r\na.png,x", "", "line 1: it begins with \"f\", expected a request, one JSON object (mlr --icsv --ojsonl cat FILE makes them of a table)\n"},
		{"image\tcaption\na.png\tx", "", "one JSON object (mlr --itsv --ojsonl cat FILE makes them of a table)\n"},
		{"no, prompt\n", "", "one JSON object (mlr --icsv"},
		{"a picture, a text\n", "", "line 1: it begins with \"a\", expected a request, one JSON object\n"},
		{golden.Picture("noise.png") + "\r\n", "", "one JSON object (jq -R '{image: .}' FILE makes them of pictures' names)\n"},
		{`{"images": 7, "prompt": "x"}`, "", "line 1: images is 7, expected a picture's name or a list of them\n"},
		{`{"images": ["a", null], "prompt": "x"}`, "", "images is [\"a\",null], expected a picture's name"},
		{`{"image": {"bytes": "x"}, "prompt": "x"}`, "", "image is {\"bytes\": \"x\"}, expected a picture's name"},
		{`{"image": "", "prompt": "x"}`, "", "line 1: a picture's name is empty"},
		{`{"image": "a", "images": ["b"], "prompt": "x"}`, "", "line 1: image and images are given"},
		{`{"image": "a", "prompt": "x", "prefix": "y"}`, "", "line 1: prompt and prefix are given"},
		{`{"image": "a", "prefix": "x", "score": true}`, "", "line 1: score is true, but suffix is missing"},
		{"\xff\xfe{\x00}\x00", "", "line 1: it is UTF-16, expected JSON in UTF-8"},
		{"{\x00}\x00", "", "line 1: it is UTF-16"},
		{"\x1f\x8b\x08\x00", "", "line 1: it is compressed (gunzip -c FILE | … --input - unpacks it)"},
		{"PAR1\x00", "", "line 1: it is a Parquet table, expected requests"},
		{`{"images": ["a"], "prompt": "x", "top_k": 0.5}`, "", "one JSON object: top_k holds the number 0.5, expected a whole number\n"},
		{`[]`, "", "line 1: it begins with \"[\", expected a request, one JSON object a line (jq"},
		{good + good, "", "line 1: holds more than one"},
		{`{"images": ["a"], "prompt": "x", "colour": 1}`, "", `one JSON object: unknown field "colour", expected one of id, image, images, prompt, prefix, text, suffix, score, max_new_tokens`},
		{`{"images": [], "prompt": "x"}`, "", "images is missing"},
		{`{"images": ["a"]}`, "", "prompt is missing"},
		{"{\"id\": \"\xff\", \"images\": [\"a\"], \"prompt\": \"\"}", "", "line 1: is no UTF-8, expected JSON in UTF-8"},
		{`{"id": [1], "images": ["a"], "prompt": ""}`, "", "id is [1]"},
		{`{"id": 2, "images": ["a"], "prompt": ""}` + "\n" + good, "", "id is 2, as in line 1"},
		{`{"images": ["a"], "prompt": "", "temperature": -1}`, "", "temperature is -1"},
		{`{"images": ["a"], "prompt": "", "max_new_tokens": -1}`, "", "max_new_tokens is -1"},
		{good, "my notes\n", "line 1 is not an answer of batch"},
		{good, "my notes", "line 1 is not an answer of batch"},
		{good, `{"id":1}` + "\n", "line 1 is not an answer of batch"},
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
		code, _, stderr := e2e.Status(exe, "batch", "--input", in, "--output", out)
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
		if code, _, stderr := e2e.Status(exe, strings.Fields(c.args)...); code != 2 || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: status %d, %q", c.args, code, stderr)
		}
	}
}
