package serve

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pgc/runtime/serve/openai"
)

// unread is a listener whose connections answer requests that net/http cannot read in OpenAI's form. No handler sees those: net/http
// writes its own text to the connection.
type unread struct {
	net.Listener
	s *Server
}

// Accept waits for a connection.
func (l *unread) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &unreadConn{Conn: c, s: l.s}, nil
}

type unreadConn struct {
	net.Conn
	s *Server
}

// What net/http writes behind the status, in one piece: what a handler answers has a date, too.
var (
	ownText  = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n") // net/http/server.go, errorHeaders
	ownEmpty = []byte("\r\nConnection: close\r\n")                                                // sendExpectationFailed
)

// Write has errors of net/http in OpenAI's form.
func (c *unreadConn) Write(b []byte) (int, error) {
	line, rest := b, []byte(nil)
	if i := bytes.Index(b[:min(len(b), 256)], []byte("\r\n")); i >= 0 {
		line, rest = b[:i], b[i:]
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) || !bytes.HasPrefix(rest, ownText) && !(bytes.HasPrefix(line[9:], []byte("417")) && bytes.HasPrefix(rest, ownEmpty)) {
		return c.Conn.Write(b)
	}
	status, err := strconv.Atoi(string(line[9:min(len(line), 12)]))
	if err != nil {
		return c.Conn.Write(b)
	}
	_, reason, _ := strings.Cut(string(line), ": ")
	if err := c.refuse(c.Conn, status, reason); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Read explains to a client that speaks no TLS what it should speak.
func (c *unreadConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok && e.Conn != nil {
		c.refuse(e.Conn, http.StatusBadRequest, "this server speaks HTTPS, found a request without TLS")
		closeWrite(e.Conn)
		e.Conn.SetReadDeadline(time.Now().Add(lastRead))
		io.Copy(io.Discard, io.LimitReader(e.Conn, maxHeader)) // what is unread when a connection closes takes the answer with it
	}
	return n, err
}

// lastRead is how long a client may still send when it has been refused.
const lastRead = 500 * time.Millisecond

// refuse writes the whole answer to a request that could not be read.
func (c *unreadConn) refuse(w io.Writer, status int, reason string) error {
	switch {
	case status == http.StatusRequestHeaderFieldsTooLarge:
		reason = fmt.Sprintf("the request line and the headers are over %d bytes", maxHeader)
	case status == http.StatusExpectationFailed:
		reason = "the header Expect is not 100-continue"
	case status == http.StatusNotImplemented:
		reason = "the header Transfer-Encoding is not chunked"
	case reason == "":
		reason = "the request cannot be read, expected a line such as POST /v1/chat/completions HTTP/1.1 and well-formed headers"
	}
	text, err := openai.Marshal(openai.Refused(status, "unreadable_request", "%s", reason))
	if err != nil {
		return err
	}
	c.s.metrics.Responded(status)
	c.s.Log.Info("unreadable request", "client", address(c.RemoteAddr().String()), "status", status, "reason", reason)
	_, err = fmt.Fprintf(w, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s\n", status, http.StatusText(status), len(text)+1, text)
	return err
}

// CloseWrite tells the client that nothing follows, so that it reads the answer before the connection ends.
func (c *unreadConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
