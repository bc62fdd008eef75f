// Package serve answers over HTTP: OpenAI's and ollama's APIs, health, metrics and a page, through package pgc.
//
// A request is read and checked, its pictures are decoded, and it takes places at the gate, all on its own goroutine;
// the model's scheduler does the rest. What a request may take is bounded before it is taken (package limits).
package serve

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"pgc"
	"pgc/runtime/serve/guard"
	"pgc/runtime/serve/limits"
	"pgc/runtime/serve/metrics"
	"pgc/runtime/serve/openai"
	"pgc/runtime/serve/request"
)

// Model is what answers: a pgc.Model.
type Model interface {
	Info() pgc.Info
	Slots() int
	Tokenize(text string, parseSpecials bool) ([]int32, error)
	TokenText(id int32) (text []byte, special bool, err error)
	BOS() int32
	CheckRequest(r pgc.Request) error
	CheckDetect(r pgc.DetectRequest) error
	Watch(ctx context.Context, r pgc.Request, watch func(pgc.Token)) (*pgc.Answer, error)
	Load() pgc.Load
	WatchDetect(ctx context.Context, r pgc.DetectRequest, watch func(pgc.Piece)) (*pgc.Detection, error)
	CheckEmbed(ctx context.Context, r pgc.EmbedRequest) error
	Fit(ctx context.Context, i pgc.Image) (pgc.Image, error)
	Embed(ctx context.Context, r pgc.EmbedRequest) ([]pgc.Tensor, error)
}

// Config says how to serve.
type Config struct {
	Name        string // of the model, as clients see it
	Info        pgc.Info
	Created     time.Time    // of the executable
	Frozen      []pgc.Frozen // prompts that are built in, the only ones then
	Fingerprint string       // of what the bits of answers depend on besides the request
	License     string

	Keys    *guard.Keys // nil for none
	Hosts   *guard.Hosts
	Origins *guard.Origins
	Page    http.Handler // at / and below /page/

	Queue       int           // answers that may wait
	QueueBytes  int64         // of bodies and pictures of all requests
	Body        int64         // longest body
	DecodeBytes int64         // that decoding pictures may take
	Timeout     time.Duration // of a request; 0 is none
	Connections int
	URLs        Fetcher // of pictures; nil where addresses are not read
	LogPrompts  bool
	Log         *slog.Logger
}

// Fetcher reads the file at an address.
type Fetcher interface {
	Get(ctx context.Context, url string) ([]byte, error)
}

// Defaults of a Config.
const (
	DefaultBody        = 32 << 20
	DefaultDecodeBytes = 1 << 30
)

// maxHeader bounds the request line and the headers.
const maxHeader = 64 << 10

// cacheBytes bounds the pictures that are kept for the next requests about them.
const cacheBytes = 32 << 20

// Server answers requests.
type Server struct {
	Config
	gate     *limits.Gate
	metrics  *metrics.Server
	decoding *limits.Decoding
	seen     *cache // pictures of the last requests
	model    atomic.Pointer[Model]
	draining atomic.Bool
	lost     atomic.Pointer[error] // why the model answers no more
	active   limits.Group          // requests for answers
	ctx      context.Context       // of all requests
	cancel   context.CancelCauseFunc
	http     *http.Server
}

// New returns a server whose model is still to come.
func New(c Config) *Server {
	s := &Server{Config: c, decoding: limits.NewDecoding(c.DecodeBytes)}
	s.gate = limits.NewGate(c.Queue, c.QueueBytes)
	s.seen = newCache(cacheBytes, s.fitted())
	s.metrics = metrics.New(c.Name, s.now)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// now is how busy the model is.
func (s *Server) now() metrics.Now {
	if m := s.model.Load(); m != nil {
		return metrics.Now((*m).Load())
	}
	return metrics.Now{}
}

// Ready has the server answer with a model.
func (s *Server) Ready(m Model) {
	s.gate.Widen(s.Queue + m.Slots())
	s.model.Store(&m)
}

// Serve answers the connections of a listener until Drain or Close; then it returns http.ErrServerClosed.
func (s *Server) Serve(l net.Listener) error {
	return s.http.Serve(&unread{limits.Connections(l, s.Connections), s})
}

// Drain takes no more requests for answers, and returns when those that are under way have ended, or with ctx. It ends
// them then.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	done := s.active.Idle()
	select {
	case <-done:
	case <-ctx.Done():
		s.cancel(errDraining)
		<-done
	}
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(last) != nil {
		return s.http.Close()
	}
	return nil
}

// errDraining is the cause of requests that end because the server does.
var errDraining = openai.Unavailable("draining", "the server is shutting down: ask another one")

// routes are the endpoints.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /ready", s.ready)
	mux.Handle("GET /metrics", s.keyed(s.writeMetrics))
	for _, base := range []string{"/v1", ""} { // clients are often given the address without /v1
		mux.Handle("POST "+base+"/chat/completions", s.answering(s.chat))
		mux.Handle("POST "+base+"/completions", s.answering(s.completion))
		mux.Handle("POST "+base+"/embeddings", s.answering(s.embeddings))
		mux.Handle("GET "+base+"/models", s.keyed(s.models))
		mux.Handle("GET "+base+"/models/{id...}", s.keyed(s.modelByID))
	}
	mux.Handle("GET /v1/detection.schema.json", s.keyed(s.schema))
	mux.Handle("POST /api/chat", s.answering(s.ollamaChat))
	mux.Handle("POST /api/generate", s.answering(s.ollamaGenerate))
	mux.Handle("POST /api/show", s.answering(s.ollamaShow))
	mux.Handle("GET /api/tags", s.keyed(s.ollamaTags))
	mux.Handle("GET /api/ps", s.keyed(s.ollamaTags))
	mux.Handle("GET /api/version", s.keyed(s.ollamaAPIVersion))
	mux.Handle("POST /tokenize", s.answering(s.tokenize))
	mux.Handle("POST /detokenize", s.answering(s.detokenize))
	mux.Handle("POST /v1/picture", s.answering(s.preview))
	mux.Handle("GET /{$}", s.Page)
	mux.Handle("GET /page/", s.Page)
	return s.outermost(mux)
}

// newID makes an id.
func newID(prefix string) string {
	var b [12]byte
	rand.Read(b[:])
	return prefix + hex.EncodeToString(b[:])
}

// health answers as long as the process can answer at all.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// ready says whether a request for an answer would be taken.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if e := s.unready(); e != nil {
		writeJSON(w, e.Status, e)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

// unready says why no request for an answer is taken, or returns nil.
func (s *Server) unready() *openai.Error {
	switch lost := s.lost.Load(); {
	case s.draining.Load():
		return errDraining
	case lost != nil:
		return openai.Failed(http.StatusServiceUnavailable, "model_failed", "the model answers no more: %v", *lost)
	case s.model.Load() == nil:
		return openai.Unavailable("loading", "the model is being loaded: ask again in a moment")
	}
	return nil
}

// writeMetrics answers GET /metrics.
func (s *Server) writeMetrics(c *call) {
	c.w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	s.metrics.Write(c.w)
}

// schema publishes the schema of detections.
func (s *Server) schema(c *call) {
	c.w.Header().Set("Content-Type", "application/schema+json")
	c.w.Write(request.DetectionSchema)
}
