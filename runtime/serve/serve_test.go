package serve

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgc"
	"pgc/runtime/serve/openai"
	"pgc/runtime/serve/request"
)

// TestStreamOrder: the role, the text, which never splits a token, the end, the usage, [DONE].
func TestStreamOrder(t *testing.T) {
	s := start(t, &fake{answer: []string{"é ", "<loc0", "012><loc0034", "><loc0056><loc0078> a", " cat", " <", "x"}, slots: 2}, nil)
	r := s.chat(t, ask("detect cat", `"stream":true,"stream_options":{"include_usage":true},"n":1`))
	if r.status != 200 || r.header.Get("Content-Type") != "text/event-stream" || !strings.HasSuffix(r.body, "data: [DONE]\n\n") {
		t.Fatalf("%+v", r)
	}
	var kinds, texts []string
	text := ""
	for event := range strings.SplitSeq(strings.TrimSuffix(r.body, "data: [DONE]\n\n"), "\n\n") {
		if event == "" {
			continue
		}
		var c openai.Chat
		if err := json.Unmarshal([]byte(strings.TrimPrefix(event, "data: ")), &c); err != nil {
			t.Fatalf("%s: %v", event, err)
		}
		switch {
		case len(c.Choices) == 0:
			kinds = append(kinds, fmt.Sprint("usage ", c.Usage.Total))
		case c.Choices[0].FinishReason != nil:
			kinds = append(kinds, "end "+*c.Choices[0].FinishReason)
			if c.Choices[0].Delta.Boxes == nil || c.Choices[0].Delta.Content != nil || c.Extra == nil || c.Prompt != "detect cat" {
				t.Errorf("the last piece is %s", event)
			}
		case c.Choices[0].Delta.Role != "":
			kinds = append(kinds, c.Choices[0].Delta.Role)
		default:
			part := *c.Choices[0].Delta.Content
			text += part
			texts = append(texts, part)
			if kinds[len(kinds)-1] != "text" {
				kinds = append(kinds, "text")
			}
			if open := strings.LastIndex(part, "<loc"); open >= 0 && !strings.Contains(part[open:], ">") {
				t.Errorf("%q splits a token", part)
			}
		}
	}
	if want := []string{"assistant", "text", "end stop", "usage 18"}; !slices.Equal(kinds, want) || text != "é <loc0012><loc0034><loc0056><loc0078> a cat <x" {
		t.Errorf("%q: %q from %q", kinds, text, texts)
	}
}

// TestLogprobs: the tokens of log-probabilities, joined, are the text, whole or streamed, for chats and completions.
func TestLogprobs(t *testing.T) {
	s := start(t, &fake{answer: []string{"a", " dog", " on", " gr", "", "én"}, bytes: []string{"a", " dog", " on", " gr", "\xc3", "\xa9n"}, slots: 2}, nil)
	r := s.chat(t, ask("caption en", `"logprobs":true,"top_logprobs":1`))
	var c openai.Chat
	if err := json.Unmarshal([]byte(r.body), &c); err != nil || r.status != 200 {
		t.Fatalf("%+v, %v", r, err)
	}
	check := func(tokens []openai.ChatLogprob, text string) {
		t.Helper()
		var joined []byte
		for _, p := range tokens {
			for _, b := range p.Bytes {
				joined = append(joined, byte(b))
			}
			if p.Logprob.Logprob > 0 || len(p.Top) != 1 {
				t.Errorf("%+v", p)
			}
		}
		if string(joined) != text || text != "a dog on grén" {
			t.Errorf("%q joined, %q is the text", joined, text)
		}
	}
	check(c.Choices[0].Logprobs.Content, c.Choices[0].Message.Content)
	var all []openai.ChatLogprob
	text := ""
	r = s.chat(t, ask("caption en", `"logprobs":true,"top_logprobs":1,"stream":true`))
	for event := range strings.SplitSeq(r.body, "\n\n") {
		var c openai.Chat
		if json.Unmarshal([]byte(strings.TrimPrefix(event, "data: ")), &c) == nil && len(c.Choices) > 0 && c.Choices[0].Delta.Content != nil {
			text += *c.Choices[0].Delta.Content
			if c.Choices[0].Logprobs != nil {
				all = append(all, c.Choices[0].Logprobs.Content...)
			}
		}
	}
	check(all, text)
	r = s.do(t, "POST", "/v1/completions", fmt.Sprintf(`{"prompt":"caption en","images":[%q],"logprobs":1}`, dot()))
	var p openai.Completion
	if err := json.Unmarshal([]byte(r.body), &p); err != nil || r.status != 200 {
		t.Fatalf("%+v, %v", r, err)
	}
	if l := p.Choices[0].Logprobs; !slices.Equal(l.Offsets[:3], []int{0, 1, 5}) || l.Tokens[1] != " dog" || l.Top[0]["a"] != -0.5 {
		t.Errorf("%+v", l)
	}
}

// TestDetectForm: boxes beside the message, and the document of the published schema.
func TestDetectForm(t *testing.T) {
	s := start(t, &fake{slots: 2}, nil)
	r := s.chat(t, ask("", `"task":"detect","classes":["cat"]`))
	if r.status != 200 || !strings.Contains(r.body, `"boxes":[{"label":"cat","score":0.5,"score_parts":{"label":1,"begin":0.5,"loc":1},"box":[0,0,4,4],"loc":[0,0,1023,1023]}]`) ||
		!strings.Contains(r.body, `"prompt":"detect cat"`) {
		t.Errorf("%+v", r)
	}
	r = s.chat(t, ask("", `"task":"detect","classes":["cat"],"stream":true`))
	at := 0
	for _, part := range []string{`"delta":{"content":"<loc0000><loc0000>"}`, `"delta":{"content":"<loc1023>"}`, `"delta":{"content":" cat"}`,
		`"delta":{"found":[{"label":"cat","score":null,"box":[0,0,4,4],"loc":[0,0,1023,1023]}]}`, `"delta":{"boxes":[{"label":"cat","score":0.5`, `[DONE]`} {
		n := strings.Index(r.body[at:], part)
		if n < 0 {
			t.Fatalf("%s is not behind byte %d of %s", part, at, r.body)
		}
		at += n
	}
	schema := s.do(t, "GET", "/v1/detection.schema.json", "")
	if schema.status != 200 || schema.body != string(request.DetectionSchema) {
		t.Errorf("%+v", schema)
	}
	r = s.chat(t, ask("detect cat", `"response_format":{"type":"json_schema","json_schema":{"name":"d","schema":`+schema.body+`}}`))
	if r.status != 200 || !strings.Contains(r.body, `"content":"{\"boxes\":[{\"label\":\"cat\",\"score\":0.5,\"box\":[0,0,4,4]}]}"`) {
		t.Errorf("%+v", r)
	}
	r = s.chat(t, ask("detect cat", `"stream":true,"response_format":{"type":"json_schema","json_schema":{"name":"d","schema":`+schema.body+`}}`))
	if strings.Contains(r.body, `"content":"<loc`) || !strings.Contains(r.body, `"content":"{\"boxes\"`) {
		t.Errorf("%+v", r)
	}
}

// TestAdapters: an adapter is chosen by its name as a model's.
func TestAdapters(t *testing.T) {
	m := &fake{answer: []string{"a"}, slots: 1}
	s := start(t, m, func(c *Config) { c.Info.Adapters = []pgc.Adapter{{Name: "french"}} })
	for fields, want := range map[string]string{`"model":"french"`: "french", `"model":"any"`: "", `"model":"any","adapter":"french"`: "french"} {
		if r := s.chat(t, ask("x", fields)); r.status != 200 || m.adapter.Load() != want || !strings.Contains(r.body, `"model":"fake"`) {
			t.Errorf("%s: %+v with %v", fields, r, m.adapter.Load())
		}
	}
	if r := s.do(t, "GET", "/v1/models/french", ""); r.status != 200 || !strings.Contains(r.body, `"parent":"fake"`) {
		t.Errorf("%+v", r)
	}
}

// TestFrozen: a task that is built in is that task, and what is asked where nothing is said.
func TestFrozen(t *testing.T) {
	s := start(t, &fake{slots: 1}, func(c *Config) {
		c.Frozen = []pgc.Frozen{{Text: "detect cat", Task: "detect", Classes: []string{"cat"}}}
	})
	for _, prompt := range []string{"", "detect cat"} {
		if r := s.chat(t, ask(prompt, "")); r.status != 200 || !strings.Contains(r.body, `"boxes":[{"label":"cat","score":0.5`) {
			t.Errorf("%q: %+v", prompt, r)
		}
	}
}

// TestPing: a client that waits hears that the answer is still to come; an error behind that is an event.
func TestPing(t *testing.T) {
	defer func(d time.Duration) { pingTime = d }(pingTime)
	pingTime = 20 * time.Millisecond
	m := &fake{answer: []string{"a"}, step: make(chan struct{}), slots: 2}
	s := start(t, m, func(c *Config) { c.Timeout = 700 * time.Millisecond })
	r := s.chat(t, ask("caption en", `"stream":true`))
	if r.status != 200 || !strings.HasPrefix(r.body, ": ping\n\n: ping\n\n") || !strings.Contains(r.body, `data: {"error":{"message":"the answer took longer`) || strings.Contains(r.body, "[DONE]") {
		t.Errorf("%+v", r)
	}
	if r := s.chat(t, ask("caption en", "")); r.status != http.StatusGatewayTimeout {
		t.Errorf("%+v", r)
	}
}

// TestQueue: a request that finds no place gets 429 with a time to come back, and places come back.
func TestQueue(t *testing.T) {
	m := &fake{answer: []string{"a"}, step: make(chan struct{}), slots: 1}
	s := start(t, m, func(c *Config) { c.Queue = 2 })
	replies := make(chan reply, 3)
	for range 3 {
		go func() {
			r, _ := s.send(context.Background(), "POST", "/v1/chat/completions", strings.NewReader(ask("caption en", "")))
			replies <- r
		}()
	}
	wait(t, func() bool { return s.gate.Full("127.0.0.1") })
	r := s.chat(t, ask("caption en", ""))
	if r.status != 429 || r.header.Get("Retry-After") == "" || !strings.Contains(r.body, `"type":"rate_limit_error"`) {
		t.Errorf("%+v", r)
	}
	if r := s.do(t, "POST", "/api/chat", `{}`); r.status != 429 || !strings.HasPrefix(r.body, `{"error":"`) {
		t.Errorf("%+v", r)
	}
	close(m.step)
	for range 3 {
		if r := <-replies; r.status != 200 {
			t.Errorf("%+v", r)
		}
	}
	if r := s.chat(t, ask("caption en", "")); r.status != 200 {
		t.Errorf("%+v", r)
	}
	if r := s.do(t, "GET", "/metrics", ""); !strings.Contains(r.body, `pgc:admission_rejections_total{model_name="fake",reason="queue"} 2`) ||
		!strings.Contains(r.body, `pgc:request_success_total{model_name="fake",finished_reason="stop"} 4`) || !strings.Contains(r.body, `pgc:time_to_first_token_seconds_count{model_name="fake"} 4`) {
		t.Errorf("%s", r.body)
	}
}

// wait waits until a condition holds.
func wait(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to that in a minute")
		}
	}
}

// TestDisconnect: a client that leaves ends its answer, whole or streamed, and gives its place back.
func TestDisconnect(t *testing.T) {
	m := &fake{answer: []string{"a", "b"}, step: make(chan struct{}), slots: 1, ended: make(chan error, 1)}
	s := start(t, m, func(c *Config) { c.Queue = 0 })
	for _, fields := range []string{"", `"stream":true`} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if fields != "" {
				m.step <- struct{}{}
			}
			wait(t, func() bool { return m.running.Load() == 1 })
			cancel()
		}()
		if _, err := s.send(ctx, "POST", "/v1/chat/completions", strings.NewReader(ask("x", fields))); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if err := <-m.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the answer ended with %v", err)
		}
		wait(t, func() bool { return !s.gate.Full("127.0.0.1") })
	}
	answers, bytes := s.gate.Load()
	wait(t, func() bool { answers, bytes = s.gate.Load(); return answers == 0 && bytes == 0 })
}

// TestDrain: what is under way is completed, what comes is refused, and what takes too long is ended.
func TestDrain(t *testing.T) {
	m := &fake{answer: []string{"a"}, step: make(chan struct{}), slots: 2}
	s := start(t, m, nil)
	if r := s.do(t, "GET", "/ready", ""); r.status != 200 {
		t.Errorf("%+v", r)
	}
	first, drained := make(chan reply, 1), make(chan bool)
	go func() {
		r, _ := s.send(context.Background(), "POST", "/v1/chat/completions", strings.NewReader(ask("x", "")))
		first <- r
	}()
	wait(t, func() bool { return m.running.Load() == 1 })
	go func() { s.Drain(t.Context()); close(drained) }()
	wait(t, func() bool { return s.draining.Load() })
	for path, body := range map[string]string{"/ready": "", "/v1/chat/completions": ask("x", "")} {
		method := "GET"
		if body != "" {
			method = "POST"
		}
		if r := s.do(t, method, path, body); r.status != 503 || !strings.Contains(r.body, "shutting down") {
			t.Errorf("%s: %+v", path, r)
		}
	}
	if r := s.do(t, "GET", "/health", ""); r.status != 200 {
		t.Errorf("%+v", r)
	}
	m.step <- struct{}{}
	if r := <-first; r.status != 200 {
		t.Errorf("%+v", r)
	}
	<-drained
	m = &fake{answer: []string{"a"}, step: make(chan struct{}), slots: 2, ended: make(chan error, 1)}
	s = start(t, m, nil)
	go func() {
		r, _ := s.send(context.Background(), "POST", "/v1/chat/completions", strings.NewReader(ask("x", "")))
		first <- r
	}()
	wait(t, func() bool { return m.running.Load() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	s.Drain(ctx)
	if r := <-first; r.status != 503 {
		t.Errorf("%+v", r)
	}
}

// TestLoading: before there is a model, only health is well.
func TestLoading(t *testing.T) {
	s := start(t, nil, nil)
	for path, want := range map[string]int{"/health": 200, "/ready": 503, "/v1/models": 200, "/metrics": 200} {
		if r := s.do(t, "GET", path, ""); r.status != want {
			t.Errorf("%s: %+v", path, r)
		}
	}
	if r := s.chat(t, ask("x", "")); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("%+v", r)
	}
}

// TestErrors: whatever cannot be answered has a status and an error in the API's form.
func TestErrors(t *testing.T) {
	s := start(t, &fake{answer: []string{"a"}, slots: 2}, nil)
	big := strings.Repeat("x", 2<<20)
	bomb := "data:image/png;base64," + pngHeader(40000, 3000)
	vision := func(url string) string {
		return strings.Replace(ask("x", ""), dot(), url, 1)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		words              string
	}{
		{"POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"a title please"}]}`, 400, "has no picture"},
		{"POST", "/v1/chat/completions", ask(strings.Repeat("word ", 300), ""), 400, "prompt is too long"},
		{"POST", "/v1/chat/completions", ask(big, ""), 413, "too long"},
		{"POST", "/v1/chat/completions", vision("malformed"), 400, "neither a data: URI nor"},
		{"POST", "/v1/chat/completions", vision("data:image/png;base64,AAAA"), 400, "expected a PNG"},
		{"POST", "/v1/chat/completions", vision("data:image/png;base64,!!"), 400, "base64"},
		{"POST", "/v1/chat/completions", vision("https://google.com/404"), 400, "--allow-image-urls"},
		{"POST", "/v1/chat/completions", vision("file:///srv/photo.jpg"), 400, "expected a data: URI"},
		{"POST", "/v1/chat/completions", vision("/srv/photo.jpg"), 400, "neither a data: URI nor"},
		{"POST", "/v1/chat/completions", vision("javascript:1"), 400, "expected a data: URI"},
		{"POST", "/v1/chat/completions", vision(" file:///etc/hosts"), 400, `it is a "file" address, expected a data: URI`},
		{"POST", "/v1/chat/completions", vision(` `), 400, "picture 1"},
		{"POST", "/v1/chat/completions", "\xff\xfe{\x00}\x00", 400, "no UTF-8"},
		{"POST", "/v1/chat/completions", "\ufeff", 400, "no JSON object"},
		{"POST", "/v1/chat/completions", "\ufeff\ufeff{}", 400, "no JSON object"},
		{"POST", "/v1/chat/completions", vision(bomb), 413, "to be decoded"},
		{"GET", "/v1/chat/completions", "", 405, "POST"},
		{"GET", "/v1/nothing", "", 404, "nothing at"},
		{"GET", "/v1/models/other", "", 404, "no model is called"},
		{"POST", "/v1/embeddings", `{"input":"x"}`, 400, "generates text"},
		{"POST", "/tokenize", `{}`, 400, "content is missing"},
		{"POST", "/tokenize", `{"content":7}`, 400, "content holds a number"},
	} {
		r := s.do(t, c.method, c.path, c.body)
		var e struct {
			Error struct{ Message, Type string }
		}
		if err := json.Unmarshal([]byte(r.body), &e); err != nil || r.status != c.status || !strings.Contains(e.Error.Message, c.words) || e.Error.Type != "invalid_request_error" ||
			r.header.Get("Content-Type") != "application/json" || r.header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s %.80s: %+v, expected %d, %s", c.method, c.path, c.body, r, c.status, c.words)
		}
	}
	coded := strings.TrimPrefix(dot(), "data:image/png;base64,")
	for _, body := range []string{"\ufeff" + ask("x", ""), vision(`\n ` + dot()), vision(dot() + `\n`), vision(`\t` + strings.Replace(dot(), "data:", "DATA:", 1)), vision(coded), vision(` ` + coded[:9] + `\n ` + coded[9:])} {
		if r := s.chat(t, body); r.status != 200 {
			t.Errorf("%.90q: %+v", body, r)
		}
	}
	for kind, want := range map[string]int{"application/json; charset=utf-8": 200, "application/x-www-form-urlencoded": 200, "text/json": 200, "image/png": 415, "multipart/form-data; boundary=x": 415,
		"application/json; charset=utf-16": 415, "x": 415} {
		if r := s.chat(t, ask("x", ""), "Content-Type", kind); r.status != want {
			t.Errorf("%s: %+v", kind, r)
		}
	}
	if r := s.chat(t, ask("x", ""), "Content-Encoding", "gzip"); r.status != 415 {
		t.Errorf("%+v", r)
	}
	if r := s.do(t, "POST", "/api/chat", `{"messages":[{"role":"user","content":"x"}]}`); r.status != 400 || !strings.HasPrefix(r.body, `{"error":"the request has no picture`) {
		t.Errorf("%+v", r)
	}
	if r := s.chat(t, ask("x", ""), "X-Request-Id", "mine-7"); r.header.Get("X-Request-Id") != "mine-7" {
		t.Errorf("%+v", r)
	}
	if r := s.chat(t, ask("panic", "")); r.status != 500 || !strings.Contains(s.log.String(), "as asked") {
		t.Errorf("%+v", r)
	}
	for err, want := range map[error]int{pgc.ErrClosed: 503, errors.New("broken"): 500, fmt.Errorf("x: %w", pgc.ErrDamaged): 500} {
		s := start(t, &fake{slots: 1, fail: err}, nil)
		if r := s.chat(t, ask("x", `"stream":true`)); r.status != want {
			t.Errorf("%v: %+v", err, r)
		}
		if r := s.do(t, "GET", "/ready", ""); errors.Is(err, pgc.ErrDamaged) != (r.status == 503) {
			t.Errorf("%v: ready is %+v", err, r)
		}
	}
}

// TestOllama: ollama's answers, whole and streamed.
func TestOllama(t *testing.T) {
	s := start(t, &fake{answer: []string{"a", " dog"}, slots: 2}, nil)
	picture := strings.TrimPrefix(dot(), "data:image/png;base64,")
	r := s.do(t, "POST", "/api/chat", fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":"caption en","images":[%q]}],"tools":[],"options":{}}`, picture))
	lines := strings.Split(strings.TrimSpace(r.body), "\n")
	if r.status != 200 || r.header.Get("Content-Type") != "application/x-ndjson" || len(lines) != 3 || !strings.Contains(lines[1], `"message":{"role":"assistant","content":" dog"},"done":false`) ||
		!strings.Contains(lines[2], `"content":""},"done":true,"done_reason":"stop"`) || !strings.Contains(lines[2], `"eval_count":3`) {
		t.Errorf("%+v", r)
	}
	r = s.do(t, "POST", "/api/generate", fmt.Sprintf(`{"prompt":"caption en","images":[%q],"stream":false}`, picture))
	if r.status != 200 || !strings.Contains(r.body, `"response":"a dog","done":true`) {
		t.Errorf("%+v", r)
	}
	for path, words := range map[string]string{"/api/tags": `"name":"fake"`, "/api/ps": `"fake"`, "/api/version": `"version":"`} {
		if r := s.do(t, "GET", path, ""); r.status != 200 || !strings.Contains(r.body, words) {
			t.Errorf("%s: %+v", path, r)
		}
	}
	if r := s.do(t, "POST", "/api/show", `{"model":"m"}`); r.status != 200 || !strings.Contains(r.body, `"capabilities":["completion","vision"]`) {
		t.Errorf("%+v", r)
	}
	for _, body := range []string{"", "x", "[]", `{"model":7}`, `{"name":[]}`} {
		if r := s.do(t, "POST", "/api/show", body); r.status != 400 || !strings.HasPrefix(r.body, `{"error":"`) {
			t.Errorf("%s: %+v", body, r)
		}
	}
	if r := s.do(t, "POST", "/api/generate", `{"model":"m"}`); r.status != 200 || !strings.Contains(r.body, `"done_reason":"load"`) {
		t.Errorf("%+v", r)
	}
}

// TestHalfClosed: a client that says nothing more, or sends half a body, ends nothing but its own request.
func TestHalfClosed(t *testing.T) {
	m := &fake{answer: []string{"a"}, step: make(chan struct{}), slots: 1, ended: make(chan error, 1)}
	s := start(t, m, func(c *Config) { c.Queue = 0 })
	dial := func() *net.TCPConn {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c.(*net.TCPConn)
	}
	head := func(n int) string {
		return fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", n)
	}
	c, body := dial(), ask("x", "")
	fmt.Fprint(c, head(len(body)), body)
	wait(t, func() bool { return m.running.Load() == 1 })
	c.CloseWrite()
	if err := <-m.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	answer, err := io.ReadAll(c)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 499 ") || !strings.Contains(string(answer), `"code":"client_closed"`) {
		t.Errorf("%s, %v", answer, err)
	}
	c = dial()
	fmt.Fprint(c, head(len(body)), body[:20])
	c.CloseWrite()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.Contains(line, " 400 ") {
		t.Errorf("%q, %v", line, err)
	}
	wait(t, func() bool { answers, bytes := s.gate.Load(); return answers == 0 && bytes == 0 })
}
