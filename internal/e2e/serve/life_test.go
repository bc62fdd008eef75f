package serve

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgc/internal/e2e"
)

// pictures is a server of a picture.
type pictures struct {
	*httptest.Server
	asked atomic.Int32
}

// pictureServer serves a picture, or leads elsewhere.
func pictureServer(t *testing.T, data []byte, to string) *pictures {
	p := &pictures{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		switch {
		case to != "":
			http.Redirect(w, r, to, http.StatusFound)
		case r.URL.Path == "/picture.png":
			w.Write(data)
		case r.URL.Path == "/text":
			w.Write([]byte("a secret of the network"))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// TestSystemd: the socket that systemd hands over is listened on, and systemd hears when the server is ready, alive and
// ending.
func TestSystemd(t *testing.T) {
	exe, _ := demo(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	p := start(t, "/bin/sh", func(c *exec.Cmd) {
		c.Args = []string{"sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" serve`, exe}
		c.Env = append(os.Environ(), "LISTEN_FDS=1", "NOTIFY_SOCKET="+notify.LocalAddr().String(), "WATCHDOG_USEC=200000")
		c.ExtraFiles = []*os.File{file}
	})
	file.Close()
	if p.URL != "http://"+l.Addr().String() {
		t.Errorf("it answers at %s, expected %s", p.URL, l.Addr())
	}
	hear := func(want string) {
		t.Helper()
		notify.SetReadDeadline(time.Now().Add(20 * time.Second))
		b := make([]byte, 100)
		for {
			n, err := notify.Read(b)
			if err != nil {
				t.Fatalf("%s did not come: %v", want, err)
			}
			if string(b[:n]) == want {
				return
			}
		}
	}
	hear("READY=1")
	hear("WATCHDOG=1")
	if resp, err := http.Get(p.URL + "/ready"); err != nil || resp.StatusCode != 200 {
		t.Errorf("%+v, %v", resp, err)
	}
	go p.cmd.Process.Signal(syscall.SIGTERM)
	hear("STOPPING=1")
	if err := <-p.ended; err != nil {
		t.Errorf("%v: %s", err, p.logged())
	}
}

// TestTLS: a server with a certificate, also with one that was renewed.
func TestTLS(t *testing.T) {
	exe, _ := demo(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	first := certificate(t, cert, key, 1)
	p := start(t, exe, nil, "--tls-cert", cert, "--tls-key", key)
	ask := func(trusted *x509.Certificate) error {
		pool := x509.NewCertPool()
		pool.AddCert(trusted)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
		resp, err := client.Get(p.URL + "/health")
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := ask(first); err != nil || !strings.HasPrefix(p.URL, "https://") {
		t.Errorf("%s: %v", p.URL, err)
	}
	second := certificate(t, cert, key, 2)
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(cert, later, later); err != nil {
		t.Fatal(err)
	}
	if err := ask(second); err != nil {
		t.Errorf("the new certificate: %v", err)
	}
	if err := ask(first); err == nil {
		t.Error("the old certificate is still there")
	}
	p.stop(t)
}

// certificate writes a certificate for 127.0.0.1.
func certificate(t *testing.T, cert, key string, serial int64) *x509.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	hidden, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: hidden}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSignals: TERM completes what is under way, also a request whose body is still to come; a second one ends at once.
func TestSignals(t *testing.T) {
	exe, dir := demo(t)
	long := chat(t, picture(t, filepath.Join(dir, "00-white.png")), "caption en", map[string]any{"max_tokens": 190, "ignore_eos": true})
	p := start(t, exe, nil)
	var statuses []<-chan int
	for range 8 {
		statuses = append(statuses, p.begin(t, bytes.NewReader(long)))
	}
	body, send := io.Pipe()
	statuses = append(statuses, p.begin(t, body))
	p.cmd.Process.Signal(syscall.SIGTERM)
	for !strings.Contains(p.logged(), "ending: completing the requests that are under way") {
		if time.Sleep(10 * time.Millisecond); len(p.ended) > 0 {
			t.Fatalf("it ended with a request under way: %s", p.logged())
		}
	}
	send.Write(long)
	send.Close()
	for i, status := range statuses {
		if got := <-status; got != 200 {
			t.Errorf("request %d: status %d", i, got)
		}
	}
	if err := <-p.ended; err != nil {
		t.Errorf("%v: %s", err, p.logged())
	}
	p = start(t, exe, nil)
	body, send = io.Pipe()
	defer send.Close()
	p.begin(t, body)
	for ended := false; !ended; { // signals that follow each other closely are one
		p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-p.ended:
			if ended = true; err == nil {
				t.Errorf("it waited for the request: %s", p.logged())
			}
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestUsage: what cannot be served is said in one line, with the status of wrong usage where it is that.
func TestUsage(t *testing.T) {
	exe, _ := demo(t)
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	empty, spaced := filepath.Join(dir, "empty"), filepath.Join(dir, "spaced")
	for path, text := range map[string]string{empty: "# none\n", spaced: "a key\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args  string
		code  int
		words string
	}{
		{"--addr " + taken.Addr().String(), 1, "address already in use"},
		{"--addr 8080", 1, "cannot listen at 8080"},
		{"--api-keys " + filepath.Join(dir, "none"), 1, "none: no such file or directory"},
		{"--api-keys " + empty, 1, "holds no key"},
		{"--api-keys " + spaced, 1, "line 1 holds a space"},
		{"--tls-cert x", 2, "expected both"},
		{"--tls-cert x --tls-key y", 1, "--tls-cert"},
		{"--max-queue=-1", 2, "--max-queue is -1"},
		{"--max-queue-bytes 5", 2, "--max-queue-bytes is 5"},
		{"--cors example.org", 2, "--cors: example.org is no origin"},
		{"--allow-image-urls http://x/", 2, "is no place of pictures"},
		{"--request-timeout=-1s", 2, "negative"},
		{"--log-format xml", 2, "--log-format"},
		{"--header a:b", 2, "--header is given to serve"},
	} {
		code, _, stderr := e2e.Status(exe, append([]string{"serve"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(stderr, c.words) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: status %d, %q, expected %d, %s", c.args, code, stderr, c.code, c.words)
		}
	}
	p := start(t, exe, nil, "--addr", "0.0.0.0:0")
	if !strings.Contains(p.logged(), "warning: everyone who reaches") || !strings.Contains(p.logged(), "http://localhost:") {
		t.Errorf("%s", p.logged())
	}
	p.stop(t)
}
