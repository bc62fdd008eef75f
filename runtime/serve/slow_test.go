package serve

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// slowReader is the server's side of a connection whose client does not read. Its time to read ends when the test says so,
// however long the machine takes.
type slowReader struct {
	net.Conn
	mu    sync.Mutex
	until time.Time // when it would end
	over  bool
}

// SetWriteDeadline implements net.Conn.
func (c *slowReader) SetWriteDeadline(until time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = until
	if c.over {
		until = time.Unix(1, 0)
	}
	return c.Conn.SetWriteDeadline(until)
}

// end ends the time to read, and returns when it would have ended.
func (c *slowReader) end() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.Conn.SetWriteDeadline(time.Unix(1, 0))
	return c.until
}

// slowReaders is a listener of slowReaders, which the test gets, too.
type slowReaders struct {
	net.Listener
	accepted chan *slowReader
}

// Accept implements net.Listener.
func (l slowReaders) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	slow := &slowReader{Conn: c}
	l.accepted <- slow
	return slow, nil
}

// TestSlowReader: a client that does not read is given up on; its place comes back with its answer, not with its
// reading.
func TestSlowReader(t *testing.T) {
	long := slices.Repeat([]string{strings.Repeat("long ", 20000)}, 60)
	m := &fake{answer: long, slots: 1, ended: make(chan error, 2)}
	s := start(t, m, func(c *Config) { c.Queue = 0 })
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := slowReaders{tcp, make(chan *slowReader, 1)}
	go s.Serve(l)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body, begun := ask("x", `"stream":true`), time.Now()
	fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if err := <-m.ended; err != nil {
		t.Errorf("the answer ended with %v", err)
	}
	wait(t, func() bool { return !s.gate.Full("127.0.0.1") })
	if strings.Contains(s.log.String(), "path=/v1/chat/completions") {
		t.Error("the request ended before it was read")
	}
	if r := s.chat(t, ask("x", "")); r.status != 200 {
		t.Errorf("%d %.200s", r.status, r.body)
	}
	if until := (<-l.accepted).end(); until.Before(begun.Add(writeTime)) || until.After(time.Now().Add(writeTime)) {
		t.Errorf("the client has until %v to read, expected %v from a write", until.Sub(begun), writeTime)
	}
	wait(t, func() bool { return strings.Count(s.log.String(), "path=/v1/chat/completions") == 2 })
}
