package fetch

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// TestAllowed: where a connection may lead, by the host that was named and the address it has.
func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		list, host, to string
		want           bool
	}{
		{"public", "example.org", "93.184.216.34:443", true}, {"public", "example.org", "93.184.216.34:80", true}, {"public", "example.org", "93.184.216.34:22", false},
		{"public", "93.184.216.34", "93.184.216.34:80", true}, {"public", "example.org", "[2606:2800:220:1::1]:443", true},
		{"public", "evil.example", "127.0.0.1:80", false}, {"public", "evil.example", "10.1.2.3:80", false}, {"public", "evil.example", "169.254.169.254:80", false},
		{"public", "evil.example", "100.64.0.1:80", false}, {"public", "evil.example", "[::1]:80", false}, {"public", "evil.example", "[::ffff:127.0.0.1]:80", false},
		{"public", "evil.example", "[fd00::1]:80", false}, {"public", "evil.example", "[fe80::1]:80", false}, {"public", "evil.example", "0.0.0.0:80", false},
		{"public", "evil.example", "0.1.2.3:80", false}, {"public", "evil.example", "255.255.255.255:80", false}, {"public", "evil.example", "[64:ff9b::7f00:1]:80", false},
		{"public", "evil.example", "[2002:7f00:1::]:80", false}, {"public", "evil.example", "[2001::1]:80", false}, {"public", "evil.example", "[::7f00:1]:80", false},
		{"public", "evil.example", "198.18.0.1:80", false}, {"public", "evil.example", "224.0.0.1:80", false}, {"public", "evil.example", "192.0.0.8:80", false},
		{"public", "evil.example", "[64:ff9b::c612:1]:80", false}, {"public", "evil.example", "[::ffff:0:7f00:1]:80", false}, {"public", "evil.example", "[2001:1::1]:80", false},
		{"public", "evil.example", "[3fff::1]:80", false}, {"public", "evil.example", "[5f00::1]:80", false}, {"public", "good.example", "[2001:4860:4860::8888]:443", true},
		{"example.org", "example.org", "93.184.216.34:8080", true}, {"example.org", "www.example.org", "93.184.216.34:80", false}, {"example.org", "other.org", "93.184.216.34:80", false},
		{"example.org", "example.org", "10.0.0.5:80", false}, {"example.org", "example.org", "127.0.0.1:80", false}, {"example.org,10.0.0.0/8", "example.org", "10.0.0.5:80", true},
		{"example.org,10.0.0.0/8", "other.org", "10.0.0.5:80", false}, {"*.example.org", "a.example.org", "93.184.216.34:80", true}, {"*.example.org", "example.org", "93.184.216.34:80", false},
		{"example.org:8443", "example.org", "93.184.216.34:8443", true}, {"example.org:8443", "example.org", "93.184.216.34:443", false},
		{"127.0.0.1", "127.0.0.1", "127.0.0.1:9", true}, {"127.0.0.1:80", "127.0.0.1", "127.0.0.1:81", false}, {"127.0.0.1", "evil.example", "127.0.0.1:80", false},
		{"localhost", "localhost", "127.0.0.1:80", true}, {"localhost", "localhost", "[::1]:80", true}, {"localhost", "evil.example", "127.0.0.1:80", false},
		{"[::1]:80", "::1", "[::1]:80", true}, {"::1", "::1", "[::1]:81", true}, {"10.0.0.0/8", "10.9.9.9", "10.9.9.9:80", true}, {"10.0.0.0/8", "11.9.9.9", "11.9.9.9:80", false},
	} {
		a, err := ParseAllowed(strings.Split(c.list, ","))
		if err != nil {
			t.Errorf("%s: %v", c.list, err)
			continue
		}
		if got := a.admits(c.host, netip.MustParseAddrPort(c.to)); got != c.want {
			t.Errorf("%s: %s at %s is %v", c.list, c.host, c.to, got)
		}
	}
	for _, wrong := range []string{"", "http://example.org", "example.org/x", "example.org:0", "example.org:99999", "user@example.org", "*"} {
		if _, err := ParseAllowed([]string{wrong}); err == nil {
			t.Errorf("%q is a place", wrong)
		}
	}
}

// TestAllowedGet: every hop is checked, no proxy is used, and errors do not tell what there is.
func TestAllowedGet(t *testing.T) {
	asked := 0
	secret := serveAt(t, far, func(w http.ResponseWriter, _ *http.Request) { asked++; w.Write([]byte("secret")) })
	secret.Start()
	open := serveAt(t, netip.MustParseAddr("127.0.0.1"), func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		if r.URL.Path == "/large" {
			w.Write(make([]byte, serverLimits.Bytes+1))
		}
		w.Write([]byte("picture"))
	})
	open.Start()
	t.Setenv("HTTP_PROXY", secret.URL)
	a, err := ParseAllowed([]string{strings.TrimPrefix(open.URL, "http://")})
	if err != nil {
		t.Fatal(err)
	}
	if data, err := a.Get(t.Context(), open.URL+"?to="+open.URL); err != nil || string(data) != "picture" {
		t.Errorf("%q, %v", data, err)
	}
	for _, url := range []string{secret.URL, open.URL + "?to=" + secret.URL, open.URL + "/large", "http://localhost:1/", "http://no.such.host.invalid/", "http://127.0.0.1:1/", "ftp://127.0.0.1/",
		open.URL + "?to=file:///etc/hosts", "http://"} {
		if data, err := a.Get(t.Context(), url); err != errUnread {
			t.Errorf("%s: %q, %v", url, data, err)
		}
	}
	if asked > 0 {
		t.Error("a server was asked that is not allowed")
	}
}
