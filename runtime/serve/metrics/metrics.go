// Package metrics counts and times what a server does, under the names of vLLM's metrics with the prefix pgc:, so that
// dashboards made for those fit.
package metrics

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Server is the metrics of a server.
type Server struct {
	set   *metrics.Set
	model string

	prompt, generated        *metrics.Counter
	first, between, whole    *metrics.PrometheusHistogram
	queue, prefill, decoding *metrics.PrometheusHistogram
	pictures                 *metrics.PrometheusHistogram

	mu       sync.Mutex
	counters map[string]*metrics.Counter // by name with labels
}

// Upper bounds of buckets, in seconds: vLLM's, and finer ones below.
var (
	ofRequests = []float64{0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960}
	ofFirst    = []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640}
	ofTokens   = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 10}
	ofPictures = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}
)

// Now is what the gauges tell.
type Now struct{ Running, Waiting, Slots int }

// New returns the metrics of a model's server; now is asked whenever they are read.
func New(model string, now func() Now) *Server {
	metrics.ExposeMetadata(true)
	s := &Server{set: metrics.NewSet(), model: model, counters: map[string]*metrics.Counter{}}
	gauge := func(name string, value func(Now) float64) {
		s.set.NewGauge(s.name(name), func() float64 { return value(now()) })
	}
	gauge("num_requests_running", func(n Now) float64 { return float64(n.Running) })
	gauge("num_requests_waiting", func(n Now) float64 { return float64(n.Waiting) })
	gauge("batch_occupancy", func(n Now) float64 { return float64(n.Running) / float64(max(1, n.Slots)) })
	s.prompt = s.set.NewCounter(s.name("prompt_tokens_total"))
	s.generated = s.set.NewCounter(s.name("generation_tokens_total"))
	histogram := func(name string, bounds []float64) *metrics.PrometheusHistogram {
		return s.set.NewPrometheusHistogramExt(s.name(name), bounds)
	}
	s.first = histogram("time_to_first_token_seconds", ofFirst)
	s.between = histogram("inter_token_latency_seconds", ofTokens)
	s.whole = histogram("e2e_request_latency_seconds", ofRequests)
	s.queue = histogram("request_queue_time_seconds", ofRequests)
	s.prefill = histogram("request_prefill_time_seconds", ofRequests)
	s.decoding = histogram("request_decode_time_seconds", ofRequests)
	s.pictures = histogram("image_decode_time_seconds", ofPictures)
	for _, reason := range []string{"stop", "length", "abort"} {
		s.count("request_success_total", "finished_reason", reason)
	}
	for _, reason := range []string{"queue", "bytes"} {
		s.count("admission_rejections_total", "reason", reason)
	}
	return s
}

// name is that of a metric with the labels that all have and those given, pairs of a name and a value.
func (s *Server) name(metric string, labels ...string) string {
	text := fmt.Sprintf("pgc:%s{model_name=%q", metric, s.model)
	for pair := range slices.Chunk(labels, 2) {
		text += fmt.Sprintf(",%s=%q", pair[0], pair[1])
	}
	return text + "}"
}

// count returns a counter with a label.
func (s *Server) count(metric, label, value string) *metrics.Counter {
	name := s.name(metric, label, value)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counters[name] == nil {
		s.counters[name] = s.set.NewCounter(name)
	}
	return s.counters[name]
}

// First notes the time from a request to its first token.
func (s *Server) First(d time.Duration) { s.first.Update(d.Seconds()) }

// Between notes the time between two tokens.
func (s *Server) Between(d time.Duration) { s.between.Update(d.Seconds()) }

// Picture notes how long a picture took to be decoded.
func (s *Server) Picture(d time.Duration) { s.pictures.Update(d.Seconds()) }

// Answer is a complete answer.
type Answer struct {
	Prompt, Tokens                int
	Finish                        string
	Queue, Prefill, Decode, Whole time.Duration
}

// Answered notes a complete answer.
func (s *Server) Answered(a Answer) {
	s.prompt.Add(a.Prompt)
	s.generated.Add(a.Tokens)
	s.queue.Update(a.Queue.Seconds())
	s.prefill.Update(a.Prefill.Seconds())
	s.decoding.Update(a.Decode.Seconds())
	s.whole.Update(a.Whole.Seconds())
	s.count("request_success_total", "finished_reason", a.Finish).Inc()
}

// Aborted notes an answer that nobody waits for any more.
func (s *Server) Aborted() { s.count("request_success_total", "finished_reason", "abort").Inc() }

// Rejected notes a request that found no room.
func (s *Server) Rejected(reason string) {
	s.count("admission_rejections_total", "reason", reason).Inc()
}

// Responded notes the status of a response.
func (s *Server) Responded(status int) {
	s.count("http_responses_total", "status", fmt.Sprint(status)).Inc()
}

// Write writes all metrics as Prometheus reads them, those of the process, too.
func (s *Server) Write(w io.Writer) {
	s.set.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}
