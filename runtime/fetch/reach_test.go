package fetch

import (
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

// far is the address of this machine that counts as public in a test.
var far = netip.MustParseAddr("127.0.0.2")

func testScope(a netip.Addr) scope {
	if a == far {
		return public
	}
	return scopeOf(a)
}

// serveAt starts a server at an address of this machine.
func serveAt(t *testing.T, addr netip.Addr, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	return s
}

// TestRedirectNearer follows redirects to this machine's own addresses only from such.
func TestRedirectNearer(t *testing.T) {
	var asked atomic.Int32
	near := serveAt(t, netip.MustParseAddr("127.0.0.1"), func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		asked.Add(1)
		w.Write([]byte("picture"))
	})
	distant := serveAt(t, far, func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		w.Write([]byte("picture"))
	})
	near.Start()
	distant.Start()
	_, port, _ := net.SplitHostPort(near.Listener.Addr().String())
	named := "http://localhost:" + port
	for _, test := range []struct{ url, words string }{
		{near.URL, ""},
		{distant.URL, ""},
		{near.URL + "?to=" + near.URL, ""},
		{near.URL + "?to=" + named, ""},
		{near.URL + "?to=" + distant.URL, ""},
		{distant.URL + "?to=" + distant.URL, ""},
		{distant.URL + "?to=" + near.URL, "from a public address to 127.0.0.1, a loopback one"},
		{distant.URL + "?to=" + named, "from a public address to "},
		{distant.URL + "?to=http://169.254.169.254/latest", "from a public address to 169.254.169.254, a link-local one"},
		{distant.URL + "?to=http://10.0.0.1/", "from a public address to 10.0.0.1, a private one"},
		{distant.URL + "?to=http://[::1]:1/", "from a public address to ::1, a loopback one"},
		{distant.URL + "?to=http://[::ffff:127.0.0.1]:" + port, "a loopback one"},
		{distant.URL + "?to=http://0.0.0.0:" + port, "a loopback one"},
		{near.URL + "?to=" + distant.URL + "?to=" + near.URL, "from a public address to 127.0.0.1, a loopback one"},
	} {
		asked.Store(0)
		_, err := overHTTP(t.Context(), test.url, nil, limits, network{roots: roots, scopeOf: testScope})
		switch {
		case test.words == "" && err != nil:
			t.Errorf("%s gave %v", test.url, err)
		case test.words != "" && (err == nil || !strings.Contains(err.Error(), test.words) || asked.Load() != 0):
			t.Errorf("%s gave %v after %d requests, expected %q", test.url, err, asked.Load(), test.words)
		}
	}
}

func TestScope(t *testing.T) {
	for text, want := range map[string]scope{
		"127.0.0.1": loopback, "127.9.9.9": loopback, "::1": loopback, "0.0.0.0": loopback, "::": loopback,
		"::ffff:127.0.0.1": loopback, "64:ff9b::7f00:1": loopback, "::ffff:169.254.1.1": linkLocal,
		"169.254.169.254": linkLocal, "fe80::1%eth0": linkLocal, "64:ff9b::a9fe:a9fe": linkLocal,
		"10.0.0.1": private, "172.16.0.1": private, "192.168.1.1": private, "100.64.0.1": private, "fd00::1": private,
		"239.1.1.1": private, "172.32.0.1": public, "100.128.0.1": public, "8.8.8.8": public, "2001:4860::8888": public,
	} {
		if got := scopeOf(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is %v, expected %v", text, got, want)
		}
	}
}

// TestRedirectTells follows redirects between two hosts, which are not to learn of each other's queries, and refuses
// one that gives up the encryption.
func TestRedirectTells(t *testing.T) {
	one, two := netip.MustParseAddr("127.0.0.1"), far
	var referer, authorization atomic.Value
	open := serveAt(t, two, func(w http.ResponseWriter, r *http.Request) {
		referer.Store(r.Header.Get("Referer"))
		authorization.Store(r.Header.Get("Authorization"))
		w.Write([]byte("picture"))
	})
	open.Start()
	h := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, open.URL, http.StatusFound) }
	plain, secure := serveAt(t, one, h), serveAt(t, one, h)
	plain.Start()
	secure.StartTLS()
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	trust := network{roots: func() *x509.CertPool { return pool }, scopeOf: scopeOf}
	url := strings.Replace(plain.URL, "://", "://user:word@", 1) + "/x?key=secret"
	if _, err := overHTTP(t.Context(), url, nil, limits, trust); err != nil {
		t.Fatal(err)
	}
	if referer.Load() != "" || authorization.Load() != "" {
		t.Errorf("the second host learns Referer %q and Authorization %q", referer.Load(), authorization.Load())
	}
	_, err := overHTTP(t.Context(), secure.URL+"/x?key=secret", nil, limits, trust)
	want := "it redirects from https to " + open.URL + ", which is not encrypted, expected https"
	if err == nil || err.Error() != want {
		t.Errorf("a redirect from https to http gave %v, expected %q", err, want)
	}
}
