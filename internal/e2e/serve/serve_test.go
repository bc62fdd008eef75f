package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgc/golden"
	"pgc/internal/e2e"
	"pgc/runtime/safetensors"
)

// TestAnswers: whatever else is asked at the same time, and whoever leaves meanwhile, an answer is that of the command
// generate, with its log-probabilities, and boxes are those of the command detect.
func TestAnswers(t *testing.T) {
	exe, dir := demo(t)
	names, err := filepath.Glob(filepath.Join(dir, "*.png"))
	if err != nil || len(names) < 4 {
		t.Fatalf("%d pictures, %v", len(names), err)
	}
	names = names[:4]
	prompts := []string{"caption en", "detect boat ; dog", "answer en what colour is the background?"}
	type want struct {
		picture, prompt string
		e2e.Reply
	}
	var all []want
	for _, name := range names {
		args := []string{"generate", "--json", "--logprobs", "--image", name}
		for _, p := range prompts {
			args = append(args, "--prompt", p)
		}
		for i, r := range e2e.Replies(t, e2e.MustRun(t, exe, args...)) {
			all = append(all, want{picture(t, name), prompts[i], r})
		}
	}
	p := start(t, exe, nil)
	var clients sync.WaitGroup
	for i := range 12 {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 7))
			for range 6 {
				w := all[random.IntN(len(all))]
				switch random.IntN(4) {
				case 0: // leaves
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(60))*time.Millisecond)
					body := chat(t, w.picture, w.prompt, map[string]any{"stream": true, "max_tokens": 200, "ignore_eos": true})
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+"/v1/chat/completions", bytes.NewReader(body))
					if err == nil {
						if resp, err := http.DefaultClient.Do(req); err == nil {
							resp.Body.Close()
						}
					}
					cancel()
				case 1:
					status, text, err := p.post("/v1/chat/completions", chat(t, w.picture, w.prompt, map[string]any{"stream": true}))
					got, wrong := streamed(text)
					if err != nil || status != 200 || wrong != nil || got != w.Text {
						t.Errorf("%d %v %v: %q, alone %q", status, err, wrong, got, w.Text)
					}
				default:
					status, text, err := p.post("/v1/chat/completions", chat(t, w.picture, w.prompt, map[string]any{"logprobs": true, "top_logprobs": 2}))
					if err != nil || status != 200 {
						t.Errorf("%d %s, %v", status, text, err)
						continue
					}
					a := parse(t, text)
					joined, same := "", true
					for n, l := range a.Choices[0].Logprobs.Content {
						joined += l.Token
						same = same && l.Logprob == w.Logprobs[n] && len(l.Top) == 2 && l.Top[0].Logprob >= l.Logprob
					}
					if c := a.Choices[0]; c.Message.Content != w.Text || joined != w.Text || !same || c.Finish != w.FinishReason || a.Usage.Completion != len(w.Tokens) {
						t.Errorf("%s: %s, alone %+v", w.prompt, text, w.Reply)
					}
				}
			}
		})
	}
	clients.Wait()
	var found struct{ Boxes json.RawMessage }
	if err := json.Unmarshal(e2e.MustRun(t, exe, "detect", "--format", "json", names[0], "boat ; dog"), &found); err != nil {
		t.Fatal(err)
	}
	a := parse(t, p.must(t, "/v1/chat/completions", chat(t, all[0].picture, "", map[string]any{"task": "detect", "classes": []string{"boat", "dog"}})))
	if !bytes.Equal(a.Choices[0].Message.Boxes, found.Boxes) || len(found.Boxes) < 10 {
		t.Errorf("boxes are %s, those of detect %s", a.Choices[0].Message.Boxes, found.Boxes)
	}
	body := fmt.Appendf(nil, `{"prompt":["caption en","answer en what colour is the background?"],"images":[%q],"n":2,"logprobs":1}`, all[0].picture)
	var c struct{ Choices []struct{ Text string } }
	if err := json.Unmarshal([]byte(p.must(t, "/v1/completions", body)), &c); err != nil || len(c.Choices) != 4 || c.Choices[1].Text != all[0].Text || c.Choices[2].Text != all[2].Text {
		t.Errorf("%+v, %v", c, err)
	}
	answers := map[string]bool{}
	for _, c := range parse(t, p.must(t, "/v1/chat/completions", chat(t, all[0].picture, "caption en", map[string]any{"n": 8, "temperature": 3, "seed": 5}))).Choices {
		answers[c.Message.Content] = true
	}
	if len(answers) < 4 {
		t.Errorf("8 draws gave %d answers", len(answers))
	}
	if got := p.must(t, "/tokenize", []byte(`{"content":"detect cat"}`)); strings.TrimSpace(got) != `{"tokens":`+strings.TrimSpace(string(e2e.MustRun(t, exe, "tokenize", "detect cat")))+`}` {
		t.Errorf("%s", got)
	}
	p.stop(t)
	if log := p.logged(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "caption") {
		t.Errorf("the log is %s", log)
	}
}

// TestEmbeddings: vectors are those of the command embed.
func TestEmbeddings(t *testing.T) {
	exe := e2e.Compiled(t, "colpali-odd")
	p := start(t, exe, nil)
	out := filepath.Join(t.TempDir(), "q.safetensors")
	e2e.MustRun(t, exe, "embed", "--query", "what is this?", "-o", out)
	f, err := safetensors.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := golden.Floats(f, "embeddings.0")
	var got struct {
		Data []struct{ Embedding [][]float32 }
	}
	if err := json.Unmarshal([]byte(p.must(t, "/v1/embeddings", []byte(`{"input":["x","what is this?"],"encoding_format":"base64","model":"any"}`))), &got); err != nil || len(got.Data) != 2 {
		t.Fatalf("%v, %+v", err, got)
	}
	if rows := slices.Concat(got.Data[1].Embedding...); !slices.Equal(rows, want) {
		t.Errorf("%d numbers, expected %d others", len(rows), len(want))
	}
	image := fmt.Sprintf(`{"input":{"image_url":{"url":%q}}}`, picture(t, golden.Picture("noise.png")))
	if text := p.must(t, "/v1/embeddings", []byte(image)); !strings.Contains(text, `"embedding":[[`) {
		t.Errorf("%.200s", text)
	}
	for body, words := range map[string]string{`{"input":"` + strings.Repeat("word ", 2000) + `"}`: "compile with --max-tokens", `{"input":[1,2]}`: "token ids are not taken", `{"input":""}`: "empty"} {
		if status, text, err := p.post("/v1/embeddings", []byte(body)); status != 400 || !strings.Contains(text, words) {
			t.Errorf("%.40s: %d %s, %v", body, status, text, err)
		}
	}
	if status, text, _ := p.post("/v1/chat/completions", chat(t, picture(t, golden.Picture("noise.png")), "x", nil)); status != 400 || !strings.Contains(text, "/v1/embeddings") {
		t.Errorf("%d %s", status, text)
	}
	p.stop(t)
}

// TestBroken: bodies at random, most of them wrong, get an answer or an error of the client's, in the API's form; nothing is
// left of them.
func TestBroken(t *testing.T) {
	exe, dir := demo(t)
	p := start(t, exe, nil)
	good := chat(t, picture(t, filepath.Join(dir, "00-white.png")), "caption en", map[string]any{"max_tokens": 2})
	p.must(t, "/v1/chat/completions", good)
	random := rand.New(rand.NewPCG(19, 19))
	paths := []string{"/v1/chat/completions", "/v1/completions", "/api/chat", "/api/generate", "/api/show", "/v1/embeddings", "/tokenize"}
	values := []string{`null`, `true`, `-1`, `1e999`, `9223372036854775808`, `0.1`, `""`, `"x"`, `[]`, `{}`, `[null]`, `[[[[]]]]`, `"\ud800"`, `"\u0000"`, `{"a":{"b":[1]}}`, `"caption"`, `"detect"`, `3`}
	fields := []string{"messages", "model", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "seed", "n", "stop", "stream", "stream_options", "logprobs", "top_logprobs",
		"repetition_penalty", "ignore_eos", "task", "classes", "language", "min_score", "max_boxes", "nms", "per_class", "free_labels", "box_scale", "masks", "no_scores", "response_format", "tools",
		"logit_bias", "prompt", "images", "options", "format", "input", "content", "adapter", "best_of", "echo", "suffix", "audio", "modalities", "unknown"}
	deadline := &http.Client{Timeout: time.Minute}
	p.client = deadline
	for i := range 400 {
		var body []byte
		switch random.IntN(3) {
		case 0: // some bytes of a good one are others, or missing
			body = slices.Clone(good)
			for range 1 + random.IntN(4) {
				at := random.IntN(len(body))
				if random.IntN(2) == 0 {
					at = random.IntN(120)
				}
				body[at] = byte(random.IntN(256))
			}
			if random.IntN(3) == 0 {
				body = body[:random.IntN(len(body))]
			}
		case 1: // a good one with a field of another value
			body = fmt.Appendf(slices.Clone(good[:len(good)-1]), `,%q:%s,%q:%s}`, fields[random.IntN(len(fields))], values[random.IntN(len(values))], fields[random.IntN(len(fields))], values[random.IntN(len(values))])
		default:
			body = []byte("{")
			for n := range random.IntN(8) {
				if n > 0 {
					body = append(body, ',')
				}
				body = fmt.Appendf(body, `%q:%s`, fields[random.IntN(len(fields))], values[random.IntN(len(values))])
			}
			body = append(body, '}')
		}
		path := paths[random.IntN(len(paths))]
		status, text, err := p.post(path, body)
		if err != nil || status != 200 && (status < 400 || status > 499) {
			t.Fatalf("request %d, %s %.300q: %d %s, %v", i, path, body, status, text, err)
		}
		if status != 200 {
			checkError(t, path, text)
		}
	}
	messages := `{"messages":[` + strings.Repeat(`{"role":"user","content":"x"},`, 10000) + string(good[bytes.Index(good, []byte(`{"content"`)):])
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"10,000 messages": {messages, 200}, "deep arrays": {strings.Repeat("[", 1<<20), 400}, "deep objects": {strings.Repeat(`{"a":`, 1<<19), 400},
		"a deep field": {`{"messages":[],"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, 400}, "no UTF-8": {"{\"messages\":\"\xff\xfe\"}", 400},
		"33 MiB": {`{"messages":"` + strings.Repeat("x", 33<<20) + `"}`, 413}, "31 MiB": {`{"messages":"` + strings.Repeat("x", 31<<20) + `"}`, 400},
		"a long prompt": {string(chat(t, picture(t, filepath.Join(dir, "00-white.png")), strings.Repeat("word ", 1<<20), nil)), 400},
	} {
		if status, text, err := p.post("/v1/chat/completions", []byte(c.body)); status != c.status && !(c.status == 413 && err != nil) {
			t.Errorf("%s: %d %.300s, %v", name, status, text, err)
		}
	}
	if got := p.must(t, "/v1/chat/completions", good); !strings.Contains(got, `"completion_tokens":2`) {
		t.Errorf("%s", got)
	}
	p.stop(t)
	if log := p.logged(); strings.Contains(log, "panic") {
		t.Errorf("the log is %s", log)
	}
}

// checkError expects an error in the form of a path's API.
func checkError(t *testing.T, path, text string) {
	t.Helper()
	var ours struct {
		Error struct{ Message, Type string }
	}
	var ollama struct{ Error string }
	if strings.HasPrefix(path, "/api/") {
		if json.Unmarshal([]byte(text), &ollama) != nil || ollama.Error == "" {
			t.Errorf("%s: %s", path, text)
		}
	} else if json.Unmarshal([]byte(text), &ours) != nil || ours.Error.Message == "" || ours.Error.Type == "" {
		t.Errorf("%s: %s", path, text)
	}
}

// TestImageURLs: addresses are read where that is allowed and nowhere else, and errors do not tell what is there.
func TestImageURLs(t *testing.T) {
	exe, dir := demo(t)
	data, err := os.ReadFile(filepath.Join(dir, "00-white.png"))
	if err != nil {
		t.Fatal(err)
	}
	allowed, other := pictureServer(t, data, ""), pictureServer(t, data, "")
	leading := pictureServer(t, data, other.URL+"/picture.png")
	hosts := func(s *pictures) string { return strings.TrimPrefix(s.URL, "http://") }
	p := start(t, exe, nil, "--allow-image-urls", hosts(allowed)+","+hosts(leading))
	want := parse(t, p.must(t, "/v1/chat/completions", chat(t, picture(t, filepath.Join(dir, "00-white.png")), "caption en", nil)))
	got := parse(t, p.must(t, "/v1/chat/completions", chat(t, allowed.URL+"/picture.png", "caption en", nil)))
	if got.Choices[0].Message.Content != want.Choices[0].Message.Content {
		t.Errorf("%+v", got)
	}
	closed := "http://127.0.0.1:1/picture.png"
	var errors []string
	for _, url := range []string{other.URL + "/picture.png", leading.URL + "/picture.png", closed, "http://localhost/", "http://[::1]:9/", "http://169.254.169.254/latest/meta-data", "http://no.such.host.invalid/",
		allowed.URL + "/missing", "http://0x7f000001/", "http://2130706433/"} {
		status, text, err := p.post("/v1/chat/completions", chat(t, url, "caption en", nil))
		if err != nil || status != 400 {
			t.Errorf("%s: %d %s, %v", url, status, text, err)
		}
		errors = append(errors, text)
	}
	if slices.Sort(errors); len(slices.Compact(errors)) != 1 {
		t.Errorf("errors tell places apart: %s", errors)
	}
	if other.asked.Load() > 0 {
		t.Error("a server was asked that is not allowed")
	}
	if status, text, _ := p.post("/v1/chat/completions", chat(t, allowed.URL+"/text", "caption en", nil)); status != 400 {
		t.Errorf("%d %s", status, text)
	}
	p.stop(t)
}
