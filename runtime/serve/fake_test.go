package serve

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgc"
	"pgc/runtime/serve/guard"
)

// fake is a model whose answers a test lets come.
type fake struct {
	answer  []string      // texts that come with tokens
	bytes   []string      // of the tokens, where those are others
	step    chan struct{} // one is received before each token; nil for none
	running atomic.Int32
	slots   int
	fail    error
	ended   chan error   // gets the error of every answer that ends
	adapter atomic.Value // of the last answer
	fitted  atomic.Int32 // pictures
}

func (f *fake) Info() pgc.Info { return pgc.Info{Model: "fake"} }
func (f *fake) Slots() int     { return f.slots }
func (f *fake) Load() pgc.Load { return pgc.Load{Running: int(f.running.Load()), Slots: f.slots} }

// Tokenize makes a token of every letter a, which is the first, or b.
func (f *fake) Tokenize(text string, _ bool) (ids []int32, err error) {
	for _, c := range text {
		ids = append(ids, int32(c-'a'))
	}
	return ids, nil
}

func (f *fake) BOS() int32 { return int32(len(f.answer)) }

func (f *fake) TokenText(id int32) ([]byte, bool, error) {
	if int(id) == len(f.answer) {
		return []byte("<eos>"), true, nil
	}
	if id < 0 || int(id) > len(f.answer) {
		return nil, false, nil
	}
	if f.bytes != nil {
		return []byte(f.bytes[id]), false, nil
	}
	return []byte(f.answer[id]), false, nil
}

func (f *fake) CheckRequest(r pgc.Request) error {
	if len(r.Prompt) > 1000 {
		return fmt.Errorf("the prompt is too long: %w", pgc.ErrTooLong)
	}
	return nil
}

func (f *fake) CheckDetect(pgc.DetectRequest) error { return nil }
func (f *fake) CheckEmbed(context.Context, pgc.EmbedRequest) error {
	return errors.New("no embeddings")
}
func (f *fake) Embed(context.Context, pgc.EmbedRequest) ([]pgc.Tensor, error) {
	return nil, errors.New("no embeddings")
}

func (f *fake) Fit(ctx context.Context, i pgc.Image) (pgc.Image, error) {
	f.fitted.Add(1)
	_, _, err := i.Size(ctx)
	return i, err
}

func (f *fake) Watch(ctx context.Context, r pgc.Request, watch func(pgc.Token)) (a *pgc.Answer, err error) {
	f.adapter.Store(r.Adapter)
	f.running.Add(1)
	defer func() {
		f.running.Add(-1)
		if f.ended != nil {
			f.ended <- err
		}
	}()
	if f.fail != nil {
		return nil, f.fail
	}
	a = &pgc.Answer{FinishReason: pgc.Stop, PromptTokens: 10}
	for i, text := range f.answer {
		if f.step != nil {
			select {
			case <-f.step:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		a.Text += text
		a.Tokens, a.Logprobs = append(a.Tokens, int32(i)), append(a.Logprobs, -0.5)
		t := pgc.Token{ID: int32(i), Text: text, Logprob: -0.5}
		if r.Top > 0 {
			t.Top = []pgc.Alternative{{ID: int32(i), Logprob: -0.5}}
			a.Top = append(a.Top, t.Top)
		}
		watch(t)
	}
	a.Tokens, a.Logprobs = append(a.Tokens, int32(len(f.answer))), append(a.Logprobs, -0.1)
	if r.Top > 0 {
		a.Top = append(a.Top, nil)
	}
	if r.Prompt == "panic" {
		panic("as asked")
	}
	a.Boxes, a.Malformed = pgc.ParseBoxes(a.Text, 4, 4)
	return a, nil
}

func (f *fake) WatchDetect(ctx context.Context, r pgc.DetectRequest, watch func(pgc.Piece)) (*pgc.Detection, error) {
	o := pgc.Object{Box: pgc.Box{Label: "cat", Box: [4]float64{0, 0, 4, 4}, Loc: [4]int{0, 0, 1023, 1023}}}
	d := &pgc.Detection{Width: 4, Height: 4, Task: "detect", Classes: r.Classes, FinishReason: pgc.Stop, Prompts: 1}
	for _, p := range []pgc.Piece{{Text: "<loc0000><loc0000>"}, {Text: "<loc1023>"}, {Text: "<loc1023>"}, {Text: " cat"}, {Objects: []pgc.Object{o}}} {
		d.Text += p.Text
		watch(p)
	}
	o.Score = &pgc.ObjectScore{Label: 1, Begin: 0.5, Loc: 1}
	d.Objects = []pgc.Object{o}
	return d, nil
}

// dot is a picture as a data: URI.
var dot = sync.OnceValue(func() string {
	var b bytes.Buffer
	png.Encode(&b, image.NewGray(image.Rect(0, 0, 4, 4)))
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
})

// testServer is a server of a fake model, with what it logs.
type testServer struct {
	*Server
	URL string
	log *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// testConfig is a configuration of little room.
func testConfig(log io.Writer) Config {
	origins, err := guard.NewOrigins(nil)
	if err != nil {
		panic(err)
	}
	return Config{Name: "fake", Created: time.Now(), Hosts: guard.NewHosts(nil), Origins: origins, Page: http.NotFoundHandler(), Queue: 4, QueueBytes: 64 << 20, Body: 1 << 20,
		DecodeBytes: 16 << 20, Connections: 100, Log: slog.New(slog.NewTextHandler(log, nil))}
}

// start serves a model until the test ends; change changes the configuration.
func start(t *testing.T, m Model, change func(*Config)) *testServer {
	t.Helper()
	s := &testServer{log: &lockedBuffer{}}
	c := testConfig(s.log)
	if change != nil {
		change(&c)
	}
	s.Server = New(c)
	if m != nil {
		s.Ready(m)
	}
	h := httptest.NewUnstartedServer(nil)
	go s.Serve(h.Listener)
	s.URL = "http://" + h.Listener.Addr().String()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Drain(ctx)
	})
	return s
}

// ask makes a chat about a picture.
func ask(prompt, fields string) string {
	if fields != "" {
		fields = "," + fields
	}
	return fmt.Sprintf(`{"messages":[{"role":"user","content":[{"type":"text","text":%q},{"type":"image_url","image_url":{"url":%q}}]}]%s}`, prompt, dot(), fields)
}

// reply is a response, read.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request with headers, pairs of a name and a value.
func (s *testServer) do(t *testing.T, method, path, body string, headers ...string) reply {
	t.Helper()
	r, err := s.send(t.Context(), method, path, strings.NewReader(body), headers...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *testServer) send(ctx context.Context, method, path string, body io.Reader, headers ...string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, body)
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text)}, err
}

// chat is do of a chat.
func (s *testServer) chat(t *testing.T, body string, headers ...string) reply {
	t.Helper()
	return s.do(t, "POST", "/v1/chat/completions", body, headers...)
}
