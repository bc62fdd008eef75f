package serve

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// raw sends bytes to an address and returns the answer, or nil where none comes.
func raw(t *testing.T, address, request string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	go io.WriteString(c, request) // of which the server need not read all
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil
	}
	return r
}

// TestUnread: what is no HTTP request, or none that is taken, gets an error in the API's form, too.
func TestUnread(t *testing.T) {
	s := start(t, &fake{answer: []string{"a"}, slots: 2}, nil)
	own := strings.TrimPrefix(s.URL, "http://")
	for request, want := range map[string]struct {
		status int
		words  string
	}{
		"nonsense\r\n\r\n":                                                                            {400, "cannot be read"},
		"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n":                                                        {400, "cannot be read"},
		"GET /health HTTP/1.1\r\n\r\n":                                                                {400, "missing required Host header"},
		"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n":                                  {400, "cannot be read"},
		"GET /health HTTP/1.1\r\nHost: local\thost\r\n\r\n":                                           {400, "malformed Host header"},
		"GET /health HTTP/1.1\r\nHost: localhost\r\nA b: c\r\n\r\n":                                   {400, "invalid header name"},
		"GET /health HTTP/1.1\r\nHost: localhost\r\nA: \x01\r\n\r\n":                                  {400, "cannot be read"},
		"GET /health HTTP/3.7\r\nHost: localhost\r\n\r\n":                                             {505, "unsupported protocol version"},
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                                            {400, "there is nothing at"},
		"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n":               {501, "Transfer-Encoding"},
		"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n":                    {400, "cannot be read"},
		"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nExpect: the best\r\nContent-Length: 2\r\n\r\n": {417, "Expect"},
		"GET /health HTTP/1.1\r\nHost: localhost\r\nA: " + strings.Repeat("a", 200<<10) + "\r\n\r\n":  {431, "are over 65536 bytes"},
		"GET /" + strings.Repeat("a", 200<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n":               {431, "are over 65536 bytes"},
		"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n":                                                   {400, "there is nothing at"},
	} {
		r := raw(t, own, request)
		if r == nil {
			t.Errorf("%.60q: no answer", request)
			continue
		}
		var e struct {
			Error struct{ Message, Type, Code string }
		}
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &e); err != nil || r.StatusCode != want.status || !strings.Contains(e.Error.Message, want.words) || e.Error.Type != "invalid_request_error" ||
			e.Error.Code == "" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%.60q: %d %s, expected %d, %s", request, r.StatusCode, body, want.status, want.words)
		}
	}
	if !strings.Contains(s.do(t, "GET", "/metrics", "").body, `status="431"} 2`) {
		t.Error("what could not be read is not counted")
	}
	text := strings.Repeat("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request", 3)
	if r := s.chat(t, ask(text, "")); r.status != 200 {
		t.Errorf("%+v", r)
	}
}

// TestNoTLS: a client that speaks no TLS to a server that does hears so.
func TestNoTLS(t *testing.T) {
	s := New(testConfig(&lockedBuffer{}))
	h := httptest.NewUnstartedServer(nil)
	h.StartTLS() // for its certificate
	defer h.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(tls.NewListener(l, &tls.Config{Certificates: h.TLS.Certificates}))
	defer s.http.Close()
	r := raw(t, l.Addr().String(), "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if r == nil {
		t.Fatal("no answer")
	}
	if body, _ := io.ReadAll(r.Body); r.StatusCode != 400 || !strings.Contains(string(body), "speaks HTTPS") {
		t.Errorf("%d %s", r.StatusCode, body)
	}
	if r := raw(t, l.Addr().String(), "\x16\x03\x01\x00\x01x"); r != nil {
		t.Errorf("broken TLS has the answer %+v", r)
	}
	got, err := h.Client().Get(fmt.Sprintf("https://%s/health", l.Addr()))
	if err != nil || got.StatusCode != 200 {
		t.Errorf("%+v, %v", got, err)
	}
}
