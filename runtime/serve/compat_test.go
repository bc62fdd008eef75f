package serve

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgc/runtime/serve/openai"
)

// TestTokens: texts to tokens and back, as llama.cpp's server does.
func TestTokens(t *testing.T) {
	s := start(t, &fake{answer: []string{"a", "b", "c"}, bytes: []string{"a", "b", "\xc3"}, slots: 1}, nil)
	for _, c := range []struct{ path, body, want string }{
		{"/tokenize", `{"content":"ab"}`, `{"tokens":[0,1]}`},
		{"/tokenize", `{"content":""}`, `{"tokens":[]}`},
		{"/tokenize", `{"content":"","with_pieces":true}`, `{"tokens":[]}`},
		{"/tokenize", `{"content":"ab","add_special":true}`, `{"tokens":[3,0,1]}`},
		{"/tokenize", `{"content":"bc","add_special":true,"with_pieces":true}`, `{"tokens":[{"id":3,"piece":"<eos>"},{"id":1,"piece":"b"},{"id":2,"piece":[195]}]}`},
		{"/detokenize", `{"tokens":[0,1,0]}`, `{"content":"aba"}`},
		{"/detokenize", `{"tokens":[0,2]}`, `{"content":"a\ufffd"}`},
		{"/detokenize", `{"tokens":[]}`, `{"content":""}`},
	} {
		var got, want any
		r := s.do(t, "POST", c.path, c.body)
		if json.Unmarshal([]byte(r.body), &got) != nil || json.Unmarshal([]byte(c.want), &want) != nil || r.status != 200 || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s %s: %+v, expected %s", c.path, c.body, r, c.want)
		}
	}
	for _, body := range []string{`{}`, `{"tokens":"x"}`, `{"tokens":["x"]}`, `{"tokens":[4]}`, `{"tokens":[-1]}`, `{"tokens":[99999999999]}`, `{"tokens":[0.5]}`} {
		if r := s.do(t, "POST", "/detokenize", body); r.status != 400 || !strings.Contains(r.body, `"param":"tokens"`) {
			t.Errorf("%s: %+v", body, r)
		}
	}
}

// TestWithoutV1: clients that are given the server's address alone find the API, too.
func TestWithoutV1(t *testing.T) {
	s := start(t, &fake{answer: []string{"a"}, slots: 1}, nil)
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/models", "", `"object":"list"`}, {"GET", "/models/fake", "", `"id":"fake"`},
		{"POST", "/chat/completions", ask("x", ""), `"object":"chat.completion"`},
		{"POST", "/completions", fmt.Sprintf(`{"prompt":"x","images":[%q]}`, dot()), `"object":"text_completion"`},
	} {
		if r := s.do(t, c.method, c.path, c.body); r.status != 200 || !strings.Contains(r.body, c.want) {
			t.Errorf("%s: %+v", c.path, r)
		}
	}
	if r := s.do(t, "POST", "/embeddings", `{"input":"x"}`); r.status != 400 || !strings.Contains(r.body, "generates text") {
		t.Errorf("%+v", r)
	}
}

// TestPictureForms: the same picture in all the ways in which clients write base64.
func TestPictureForms(t *testing.T) {
	file, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(dot(), "data:image/png;base64,"))
	if err != nil {
		t.Fatal(err)
	}
	file = append(file, bytes.Repeat([]byte{0xfb, 0xff}, 5)...) // behind the end; letters that the alphabets write differently
	std, url := base64.StdEncoding.EncodeToString(file), base64.RawURLEncoding.EncodeToString(file)
	if !strings.ContainsAny(std, "+/") || !strings.HasSuffix(std, "=") {
		t.Fatalf("%s tells no alphabet or has no padding", std)
	}
	s := start(t, &fake{answer: []string{"a"}, slots: 1}, nil)
	for _, picture := range []string{std, url, std + "\n", " " + url, std[:20] + "\r\n" + std[20:], "data:image/png;base64," + std, " data:image/png;base64," + url + "\n", "DATA:;BASE64," + std} {
		if r := s.do(t, "POST", "/v1/completions", fmt.Sprintf(`{"prompt":"x","images":[%q]}`, picture)); r.status != 200 {
			t.Errorf("%q: %+v", picture, r)
		}
	}
}

// TestTooLong: a prompt that the KV cache does not hold has the code that clients look for.
func TestTooLong(t *testing.T) {
	s := start(t, &fake{answer: []string{"a"}, slots: 1}, nil)
	for _, fields := range []string{"", `"stream":true`} {
		if r := s.chat(t, ask(strings.Repeat("x", 2000), fields)); r.status != 400 || !strings.Contains(r.body, `"code":"context_length_exceeded"`) {
			t.Errorf("%+v", r)
		}
	}
}

// TestFingerprint: answers, whole and in pieces, say what their bits depend on.
func TestFingerprint(t *testing.T) {
	s := start(t, &fake{answer: []string{"a"}, slots: 1}, func(c *Config) { c.Fingerprint = "fp_7" })
	for _, fields := range []string{"", `"stream":true,"stream_options":{"include_usage":true}`} {
		r := s.chat(t, ask("x", fields))
		for event := range strings.SplitSeq(strings.TrimSpace(r.body), "\n\n") {
			var c openai.Chat
			if text := strings.TrimPrefix(event, "data: "); text != "[DONE]" && (json.Unmarshal([]byte(text), &c) != nil || c.Fingerprint != "fp_7") {
				t.Errorf("%s", event)
			}
		}
	}
}

// TestOllamaLogprobs: ollama's clients get log-probabilities, whole and by piece.
func TestOllamaLogprobs(t *testing.T) {
	s := start(t, &fake{answer: []string{"a", " dog"}, slots: 1}, nil)
	picture := strings.TrimPrefix(dot(), "data:image/png;base64,")
	for _, stream := range []bool{false, true} {
		r := s.do(t, "POST", "/api/generate", fmt.Sprintf(`{"prompt":"x","images":[%q],"logprobs":true,"top_logprobs":1,"stream":%t}`, picture, stream))
		joined := ""
		for line := range strings.SplitSeq(strings.TrimSpace(r.body), "\n") {
			var p struct {
				Logprobs []openai.ChatLogprob `json:"logprobs"`
			}
			if err := json.Unmarshal([]byte(line), &p); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			for _, l := range p.Logprobs {
				if joined += l.Token; len(l.Top) != 1 || l.Logprob.Logprob != -0.5 {
					t.Errorf("%+v", l)
				}
			}
		}
		if joined != "a dog" {
			t.Errorf("%q from %+v", joined, r)
		}
	}
}
