package pagetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"
)

// fake is a server whose page is the demo's and whose answers a test decides.
type fake struct {
	*httptest.Server
	model   map[string]any // what /v1/models says beside the name
	models  http.HandlerFunc
	chat    func(w http.ResponseWriter, r *http.Request, body request)
	embed   func(item json.RawMessage) [][]float64
	picture func(w http.ResponseWriter, url string)
}

// request is what the page sends.
type request struct {
	Model    string
	Messages []struct {
		Content []struct {
			Type     string
			Text     string
			ImageURL struct{ URL string } `json:"image_url"`
		}
	}
	Task      string
	Classes   []string
	MinScore  *float64 `json:"min_score"`
	Adapter   string
	MaxTokens int `json:"max_tokens"`
	Stream    bool
}

// prompt is the text of a request.
func (r request) prompt() string {
	for _, part := range r.Messages[0].Content {
		if part.Type == "text" {
			return part.Text
		}
	}
	return ""
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{model: map[string]any{"tasks": []string{"caption", "ask", "ocr", "detect", "segment"}, "image_size": 224, "embeds": false,
		"adapters": []string{}, "frozen": []string{}, "masks": true}}
	f.models = func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": []any{map[string]any{"id": "fake", "object": "model", "pgc": f.model}}})
	}
	f.chat = func(w http.ResponseWriter, r *http.Request, body request) {
		stream(w, nil, "answer to ", body.prompt())
	}
	upstream, err := url.Parse(demo)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) { f.models(w, r) })
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		var body request
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Messages) != 1 || !body.Stream {
			t.Errorf("the page sends what is no chat: %v", err)
		}
		f.chat(w, r, body)
	})
	mux.HandleFunc("POST /v1/picture", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ URL string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		f.picture(w, body.URL)
	})
	mux.HandleFunc("POST /v1/embeddings", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Input []json.RawMessage }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		data := []any{}
		for i, item := range body.Input {
			data = append(data, map[string]any{"object": "embedding", "index": i, "embedding": f.embed(item)})
		}
		json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": data})
	})
	mux.Handle("/", httputil.NewSingleHostReverseProxy(upstream))
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

// event writes one event of a stream.
func event(w http.ResponseWriter, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(w, "data: %s\n\n", text)
	w.(http.Flusher).Flush()
}

// delta is an event of a chat with a piece of the message.
func delta(message map[string]any, finish any) map[string]any {
	return map[string]any{"object": "chat.completion.chunk", "choices": []any{map[string]any{"index": 0, "delta": message, "finish_reason": finish}}}
}

// stream writes a whole answer in pieces; more stands beside the last one.
func stream(w http.ResponseWriter, more map[string]any, pieces ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	event(w, delta(map[string]any{"role": "assistant", "content": ""}, nil))
	fmt.Fprint(w, ": still there\n\n")
	for _, p := range pieces {
		event(w, delta(map[string]any{"content": p}, nil))
		time.Sleep(5 * time.Millisecond)
	}
	last := map[string]any{}
	for name, value := range more {
		last[name] = value
	}
	end := delta(last, "stop")
	end["timings"] = map[string]any{"preprocess_s": 0.004, "encode_s": 0.2, "prefill_s": 0.3, "decode_s": 0.1, "tokens_per_s": 31.5}
	event(w, end)
	event(w, map[string]any{"choices": []any{}, "usage": map[string]any{"prompt_tokens": 260, "completion_tokens": len(pieces), "total_tokens": 260 + len(pieces)}})
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// fail writes an error as OpenAI's servers do.
func fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": message, "type": strings.ToLower(http.StatusText(status)), "param": nil, "code": nil}})
}
