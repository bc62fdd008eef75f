package limits

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestGate: places and bytes are given out as far as they go, and come back; the time to come back follows the rate.
func TestGate(t *testing.T) {
	g := NewGate(3, 100)
	if !g.Enter("a", 2) || g.Enter("a", 2) || !g.Enter("a", 1) || !g.Full("a") || g.Enter("a", 1) {
		t.Error("three places are others")
	}
	if !g.Take(60) || g.Take(41) || !g.Take(40) {
		t.Error("100 bytes are others")
	}
	if got := g.RetryAfter(); got != leastWait {
		t.Errorf("%d s without a rate", got)
	}
	g.Leave("a", 2, true)
	g.Give(60)
	if answers, bytes := g.Load(); answers != 1 || bytes != 40 {
		t.Errorf("%d answers, %d bytes", answers, bytes)
	}
	g = NewGate(1000, 1)
	for i := range 200 { // 64 answers in 6.4 seconds
		g.Enter("a", 1)
		g.Leave("a", 1, true)
		g.ended[i%len(g.ended)] = time.Now().Add(time.Duration(i-200) * 100 * time.Millisecond)
	}
	g.Enter("a", 100)
	if got := g.RetryAfter(); got < 4 || got > 7 {
		t.Errorf("%d s for 100 answers at ten a second", got)
	}
	g.Enter("a", 900)
	if got := g.RetryAfter(); got < 40 || got > mostWait {
		t.Errorf("%d s for 1000 answers at ten a second", got)
	}
}

// TestGateFair: one client may have all places while it is alone, and leaves a quarter to others once there are some.
func TestGateFair(t *testing.T) {
	g := NewGate(16, 1)
	if !g.Enter("greedy", 16) || g.Enter("other", 1) {
		t.Error("16 places are others")
	}
	g.Leave("greedy", 8, true)
	if !g.Enter("greedy", 4) || g.Enter("greedy", 1) || !g.Full("greedy") {
		t.Error("a client took the last quarter although another asks")
	}
	if !g.Enter("other", 3) || !g.Enter("third", 1) || g.Enter("third", 1) {
		t.Error("the last quarter is not for the others")
	}
	g.Leave("other", 3, true)
	for _, c := range g.clients {
		c.asked = time.Now().Add(-2 * present)
	}
	if !g.Enter("greedy", 3) {
		t.Error("a client that is gone still counts")
	}
	for i := range 3 * mostClients {
		g.client(fmt.Sprint(i)).asked = time.Now().Add(-2 * present)
	}
	if n := len(g.clients); n > 2*mostClients {
		t.Errorf("%d clients are remembered", n)
	}
}

// TestReadBody: bodies with and without a length, too long, too slow, broken off, without room.
func TestReadBody(t *testing.T) {
	defer func(d time.Duration) { patience = d }(patience)
	patience = 300 * time.Millisecond
	gate := NewGate(1, 1<<20)
	type outcome struct {
		body string
		err  error
	}
	seen := make(chan outcome, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, taken, err := ReadBody(w, r, 300<<10, gate)
		gate.Give(taken)
		seen <- outcome{string(body), err}
	}))
	defer s.Close()
	long := strings.Repeat("x", 290<<10)
	send := func(head string, parts ...string) outcome {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", head)
		for _, p := range parts {
			if p == "close" {
				c.Close()
			} else {
				io.WriteString(c, p)
			}
		}
		return <-seen
	}
	chunked := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(s), s) }
	for _, text := range []string{"", "x", long} {
		if got := send(fmt.Sprintf("Content-Length: %d", len(text)), text); got.err != nil || got.body != text {
			t.Errorf("%d bytes: %d, %v", len(text), len(got.body), got.err)
		}
		if got := send("Transfer-Encoding: chunked", strings.TrimPrefix(chunked(text), "0\r\n\r\n")); got.err != nil || got.body != text {
			t.Errorf("%d bytes in chunks: %d, %v", len(text), len(got.body), got.err)
		}
	}
	for name, c := range map[string]struct {
		head  string
		parts []string
		want  error
	}{
		"length": {"Content-Length: 400000", nil, ErrTooLong}, "chunks": {"Transfer-Encoding: chunked", []string{chunked(long + long)}, ErrTooLong},
		"nothing": {"Content-Length: 10", nil, ErrTooSlow}, "a part": {"Content-Length: 10", []string{"x"}, ErrTooSlow}, "broken off": {"Content-Length: 10", []string{"x", "close"}, io.ErrUnexpectedEOF},
	} {
		if got := send(c.head, c.parts...); !errors.Is(got.err, c.want) {
			t.Errorf("%s: %v, expected %v", name, got.err, c.want)
		}
	}
	gate.Take(1 << 20)
	if got := send("Content-Length: 10", "0123456789"); !errors.Is(got.err, ErrNoRoom) {
		t.Errorf("%v", got.err)
	}
	if _, bytes := gate.Load(); bytes != 1<<20 {
		t.Errorf("%d bytes are taken", bytes)
	}
}

// TestConnections: more connections than may be open wait until one is closed.
func TestConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })}
	go s.Serve(Connections(l, 2))
	defer s.Close()
	open := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		return c, bufio.NewReader(c)
	}
	first, a := open()
	second, b := open()
	defer second.Close()
	for _, r := range []*bufio.Reader{a, b} {
		if _, err := r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	third, c := open()
	defer third.Close()
	third.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if line, err := c.ReadString('\n'); err == nil {
		t.Errorf("a third connection got %q", line)
	}
	first.Close()
	third.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.ReadString('\n'); err != nil {
		t.Error(err)
	}
}

// TestDecoding: decoders wait for each other's memory; what is more than all is refused.
func TestDecoding(t *testing.T) {
	d := NewDecoding(100)
	inside, release := make(chan struct{}), make(chan struct{})
	go d.Do(t.Context(), func(memory func(int64, string) error) error {
		memory(80, "a picture")
		close(inside)
		<-release
		return nil
	})
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.Do(ctx, func(memory func(int64, string) error) error { return memory(30, "a picture") }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	close(release)
	for range 2 { // again after the machine's memory was short
		if err := d.Do(t.Context(), func(memory func(int64, string) error) error {
			return errors.Join(memory(70, "a picture"), memory(70, "a picture"))
		}); err != nil {
			t.Error(err)
		}
	}
	if _, ok := errors.AsType[TooLarge](d.Do(t.Context(), func(memory func(int64, string) error) error { return memory(101, "a picture") })); !ok {
		t.Error("a picture that takes more than all was not refused")
	}
}
