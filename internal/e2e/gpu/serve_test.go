package gpu

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"pgc"
	"pgc/golden"
	"pgc/internal/build"
	"pgc/runtime/serve"
	"pgc/runtime/serve/guard"
)

// TestServeOnGPU: a server whose model is on a GPU answers three clients at the same time as each alone is answered, while
// a fourth leaves, and completes what is under way when it ends.
func TestServeOnGPU(t *testing.T) {
	m := onGPUAs(t, filepath.Join(golden.Dir(), "pg1-bf16"), build.Options{Storage: build.Storage{Weights: "int8"}})
	origins, err := guard.NewOrigins(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := serve.New(serve.Config{Name: "model", Info: m.Info(), Hosts: guard.NewHosts(nil), Origins: origins, Page: http.NotFoundHandler(), Queue: 4,
		QueueBytes: serve.DefaultBody, Body: serve.DefaultBody, DecodeBytes: serve.DefaultDecodeBytes, Connections: 8, Log: slog.New(slog.DiscardHandler)})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	s.Ready(m)
	ask := func(ctx context.Context, picture, prompt string, most int) (text string, err error) {
		raw, err := os.ReadFile(golden.Picture(picture))
		if err != nil {
			return "", err
		}
		body := fmt.Sprintf(`{"max_tokens":%d,"ignore_eos":true,"messages":[{"role":"user","content":[{"type":"text","text":%q},`+
			`{"type":"image_url","image_url":{"url":"data:image/png;base64,%s"}}]}]}`, most, prompt, base64.StdEncoding.EncodeToString(raw))
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://%s/v1/chat/completions", l.Addr()), bytes.NewReader([]byte(body)))
		if err != nil {
			return "", err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		var a struct {
			Choices []struct{ Message struct{ Content string } }
		}
		if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || len(a.Choices) != 1 {
			return "", fmt.Errorf("status %d, %d choices, %v", resp.StatusCode, len(a.Choices), err)
		}
		return a.Choices[0].Message.Content, nil
	}
	var clients sync.WaitGroup
	for i, picture := range []string{"shapes.png", "noise.png", "grey.png"} {
		prompt, most := fmt.Sprint("caption ", i), 4+3*i
		request := pgc.Request{Images: []pgc.Image{pgc.File(golden.Picture(picture))}, Prompt: prompt, Settings: pgc.Settings{MaxNewTokens: &most, IgnoreEOS: true}}
		want, err := m.Generate(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		clients.Go(func() {
			if got, err := ask(t.Context(), picture, prompt, most); err != nil || got != want.Text {
				t.Errorf("%s: %q, %v, alone %q", prompt, got, err, want.Text)
			}
		})
	}
	leaves, leave := context.WithCancel(t.Context())
	clients.Go(func() {
		if _, err := ask(leaves, "wide.png", "caption en", 200); err == nil {
			t.Error("a client that left has an answer")
		}
	})
	leave()
	clients.Wait()
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Errorf("the server ended with %v", err)
	}
}
