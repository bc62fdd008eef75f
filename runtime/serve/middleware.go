package serve

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgc/runtime/serve/limits"
	"pgc/runtime/serve/openai"
)

// form is how an API writes its errors.
type form func(w http.ResponseWriter, e *openai.Error)

// openaiForm writes an error as OpenAI does.
func openaiForm(w http.ResponseWriter, e *openai.Error) { writeJSON(w, e.Status, e) }

// formOf returns the form of the API that a path belongs to.
func formOf(path string) form {
	if strings.HasPrefix(path, "/api/") {
		return ollamaForm
	}
	return openaiForm
}

// ollamaForm writes an error as ollama does.
func ollamaForm(w http.ResponseWriter, e *openai.Error) {
	writeJSON(w, e.Status, map[string]string{"error": e.Message})
}

// call is a request with what is known of it.
type call struct {
	w      *response
	r      *http.Request
	id     string
	client string // whose turn it is: a part of the key's hash, or an address
	form   form
	model  Model
	body   int64 // bytes of its body, taken from the gate
	taken  int64 // and of its pictures
	begun  time.Time
	fields []any // of the log's line
}

// note adds a field to the log's line about the request.
func (c *call) note(name string, value any) { c.fields = append(c.fields, name, value) }

// take takes bytes from the gate until the call ends.
func (c *call) take(g *limits.Gate, bytes int64) error {
	if !g.Take(bytes) {
		return limits.ErrNoRoom
	}
	c.taken += bytes
	return nil
}

// giveBody gives the bytes of the body back, of which nothing is needed any more.
func (c *call) giveBody(g *limits.Gate) {
	g.Give(c.body)
	c.body = 0
}

type callKey struct{}

// response is a http.ResponseWriter that knows its status.
type response struct {
	http.ResponseWriter
	status int
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the status.
func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// statusGone is the status where the client left before an answer, or said that it sends no more.
const statusGone = 499

// outermost gives every request an id and a line of the log, checks its host and origin, and turns a panic into an
// error.
func (s *Server) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &response{ResponseWriter: rw}
		c := &call{w: w, id: requestID(r), form: formOf(r.URL.Path), begun: time.Now()}
		c.client = address(r.RemoteAddr)
		w.Header().Set("X-Request-Id", c.id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		c.r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
		defer func() {
			if cause := recover(); cause != nil && cause != http.ErrAbortHandler {
				c.note("panic", cause)
				if w.status == 0 {
					c.form(w, openai.Failed(http.StatusInternalServerError, "internal_error", "the server failed on this request"))
				}
			}
			s.logLine(c)
		}()
		if err := s.Hosts.Check(r.Host); err != nil {
			c.form(w, openai.Refused(http.StatusForbidden, "host_not_allowed", "%v", err))
			return
		}
		if err := s.Origins.Check(w, r); err != nil {
			c.form(w, openai.Refused(http.StatusForbidden, "origin_not_allowed", "%v", err))
			return
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			s.Origins.Preflight(w, r)
			return
		}
		unknown := &unknownPath{response: w, form: c.form, path: r.URL.Path}
		next.ServeHTTP(unknown, c.r)
	})
}

// unknownPath rewrites the errors of http.ServeMux, which are text.
type unknownPath struct {
	*response
	form    form
	path    string
	dropped bool
}

// Unwrap is for http.ResponseController.
func (w *unknownPath) Unwrap() http.ResponseWriter { return w.response }

// WriteHeader implements http.ResponseWriter.
func (w *unknownPath) WriteHeader(status int) {
	plain := strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain")
	switch {
	case status == http.StatusNotFound && plain:
		w.drop(openai.Refused(status, "not_found", "there is nothing at %.80q", w.path))
	case status == http.StatusMethodNotAllowed && plain:
		w.drop(openai.Refused(status, "method_not_allowed", "%.80q takes %s only", w.path, w.Header().Get("Allow")))
	case status == http.StatusBadRequest && w.Header().Get("Content-Type") == "": // of the path *
		w.drop(openai.Refused(status, "not_found", "there is nothing at %.80q", w.path))
	default:
		w.response.WriteHeader(status)
	}
}

func (w *unknownPath) drop(e *openai.Error) {
	w.dropped = true
	w.form(w.response, e)
}

// Write implements io.Writer.
func (w *unknownPath) Write(b []byte) (int, error) {
	if w.dropped {
		return len(b), nil
	}
	return w.response.Write(b)
}

// logLine writes the line of the log about a request.
func (s *Server) logLine(c *call) {
	status := c.w.status
	if status == 0 {
		status = statusGone
	}
	s.metrics.Responded(status)
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	} else if strings.HasPrefix(c.r.URL.Path, "/health") || c.r.URL.Path == "/ready" || c.r.URL.Path == "/metrics" {
		level = slog.LevelDebug
	}
	s.Log.Log(context.Background(), level, "request", append([]any{"id", c.id, "client", c.client, "method", c.r.Method, "path", c.r.URL.Path,
		"status", status, "seconds", time.Since(c.begun).Seconds()}, c.fields...)...)
}

// requestID returns the client's id of a request if it is harmless, or else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > 128 || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return newID("req-")
	}
	return id
}

// address is the host of a client's address.
func address(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}

// keyed asks for a key where there are some.
func (s *Server) keyed(next func(c *call)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(callKey{}).(*call)
		c.r = r
		if s.Keys != nil {
			name, ok := s.Keys.Client(r)
			if !ok {
				w.Header().Set("WWW-Authenticate", "Bearer")
				c.form(w, openai.Unauthorized("the API key is missing or unknown, expected Authorization: Bearer KEY"))
				return
			}
			c.client = "key-" + name
		}
		next(c)
	})
}

// answering is keyed for requests that the model answers: next gets the body. Their context ends with the client's
// connection, with the time they may take, and with the server.
func (s *Server) answering(next func(c *call, body []byte) error) http.Handler {
	return s.keyed(func(c *call) {
		s.active.Enter()
		defer s.active.Leave()
		if e := s.unready(); e != nil {
			c.fail(e, 1)
			return
		}
		c.model = *s.model.Load()
		if e := s.checkType(c.r); e != nil {
			c.fail(e, 0)
			return
		}
		if s.gate.Full(c.client) {
			limits.Discard(c.w, c.r, s.Body)
			s.refuse(c, "queue")
			return
		}
		var body []byte
		var err error
		body, c.body, err = limits.ReadBody(c.w, c.r, s.Body, s.gate)
		defer func() { s.gate.Give(c.body + c.taken) }()
		if err != nil {
			s.refuseBody(c, err)
			return
		}
		ctx, cancel := context.WithCancelCause(c.r.Context())
		defer cancel(nil)
		defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()
		if s.Timeout > 0 {
			var stop context.CancelFunc
			ctx, stop = context.WithTimeoutCause(ctx, s.Timeout, errTimeout)
			defer stop()
		}
		c.r = c.r.WithContext(ctx)
		if err := next(c, body); err != nil {
			s.answerError(c, err)
		}
	})
}

// errTimeout is the cause of requests that take longer than they may.
var errTimeout = openai.Failed(http.StatusGatewayTimeout, "timeout", "the answer took longer than the server allows (--request-timeout)")

// refuse answers a request for which there is no room.
func (s *Server) refuse(c *call, reason string) {
	c.note("rejected", reason)
	s.metrics.Rejected(reason)
	c.fail(openai.Overloaded("the queue is full: ask again later"), s.gate.RetryAfter())
}

// refuseBody answers a request whose body cannot be read.
func (s *Server) refuseBody(c *call, err error) {
	switch {
	case errors.Is(err, limits.ErrTooLong):
		c.w.Header().Set("Connection", "close")
		c.fail(openai.Refused(http.StatusRequestEntityTooLarge, "body_too_long", "%v", err), 0)
	case errors.Is(err, limits.ErrTooSlow):
		c.w.Header().Set("Connection", "close")
		c.fail(openai.Refused(http.StatusRequestTimeout, "body_too_slow", "%v", err), 0)
	case errors.Is(err, limits.ErrNoRoom):
		limits.Discard(c.w, c.r, s.Body)
		s.refuse(c, "bytes")
	default:
		c.w.Header().Set("Connection", "close")
		c.fail(openai.Invalid("", "the body cannot be read: %v", err), 0)
	}
}

// checkType refuses bodies that cannot be JSON. Those without a type, or with that of forms, which curl -d sends, are
// taken.
func (s *Server) checkType(r *http.Request) *openai.Error {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return openai.Refused(http.StatusUnsupportedMediaType, "unsupported_encoding", "the body is encoded as %.40q, expected none", e)
	}
	given := r.Header.Get("Content-Type")
	if given == "" {
		return nil
	}
	kind, params, err := mime.ParseMediaType(given)
	charset := params["charset"]
	switch {
	case err == nil && charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii"):
		return openai.Refused(http.StatusUnsupportedMediaType, "unsupported_media_type", "the body is in %.40q, expected JSON in UTF-8", charset)
	case err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json") || kind == "text/json" || kind == "application/x-www-form-urlencoded"):
		return nil
	}
	return openai.Refused(http.StatusUnsupportedMediaType, "unsupported_media_type", "the body is %.60q, expected application/json", given)
}

// fail answers with an error; seconds, unless 0, say when to ask again.
func (c *call) fail(e *openai.Error, seconds int) {
	if seconds > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	c.note("code", cmp.Or(e.Code, e.Type))
	if e.Param != "" {
		c.note("param", e.Param)
	}
	if e.Status >= http.StatusInternalServerError { // the others may repeat what was asked
		c.note("error", e.Message)
	}
	c.form(c.w, e)
}

// writeJSON answers with JSON.
func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := openai.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":{"message":"the answer cannot be written","type":"server_error","param":null,"code":null}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	write(w, append(text, '\n'))
}

// writePiece is how much is written at a time.
const writePiece = 256 << 10

// write writes text piece by piece, each of which the client has a time to read.
func write(w http.ResponseWriter, text []byte) error {
	control := http.NewResponseController(w)
	for piece := range slices.Chunk(text, writePiece) {
		control.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// writeTime is how long a client may take to read what is written at once.
const writeTime = 30 * time.Second
