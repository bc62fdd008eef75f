package serve

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/runtime/serve/guard"
)

// TestKeys: keys are asked for everywhere but where there is nothing to protect, and stand in no log.
func TestKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("\ufeff# of the lab\n\nsecret-one\nsecret-two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := guard.ReadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, &fake{answer: []string{"a"}, slots: 2}, func(c *Config) { c.Keys = keys })
	for _, e := range []struct {
		method, path string
		open         bool
	}{
		{"GET", "/health", true}, {"GET", "/ready", true}, {"GET", "/", true}, {"GET", "/metrics", false}, {"GET", "/v1/models", false}, {"GET", "/v1/models/fake", false},
		{"POST", "/v1/chat/completions", false}, {"POST", "/v1/completions", false}, {"POST", "/v1/embeddings", false}, {"POST", "/tokenize", false}, {"POST", "/api/chat", false},
		{"POST", "/chat/completions", false}, {"POST", "/completions", false}, {"POST", "/embeddings", false}, {"GET", "/models", false}, {"POST", "/detokenize", false},
		{"POST", "/api/generate", false}, {"POST", "/api/show", false}, {"GET", "/api/tags", false}, {"GET", "/api/version", false}, {"GET", "/v1/detection.schema.json", false},
	} {
		for _, c := range []struct {
			headers []string
			ok      bool
		}{{nil, false}, {[]string{"Authorization", "Bearer wrong"}, false}, {[]string{"Authorization", "Bearer secret-on"}, false}, {[]string{"Authorization", "secret-one"}, false},
			{[]string{"Authorization", "Bearer "}, false}, {[]string{"Authorization", "Bearer # of the lab"}, false},
			{[]string{"Authorization", "Bearer secret-two"}, true}, {[]string{"Authorization", "bearer secret-one"}, true}, {[]string{"X-Api-Key", "secret-one"}, true}} {
			r := s.do(t, e.method, e.path, "{}", c.headers...)
			if refused := r.status == 401; refused != !(e.open || c.ok) {
				t.Errorf("%s with %v: %+v", e.path, c.headers, r)
			} else if refused && !strings.HasPrefix(e.path, "/api/") && !strings.Contains(r.body, `"type":"authentication_error"`) {
				t.Errorf("%s: %s", e.path, r.body)
			}
		}
	}
	if r := s.chat(t, ask("a private prompt", ""), "Authorization", "Bearer secret-one"); r.status != 200 {
		t.Errorf("%+v", r)
	}
	if log := s.log.String(); strings.Contains(log, "secret") || strings.Contains(log, "private") || !strings.Contains(log, "client=key-") {
		t.Errorf("the log is %s", log)
	}
}

// TestKeysChange: a key that is added to the file is taken, one that is removed is not, and a file that is being written
// changes nothing.
func TestKeysChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	keys, err := guard.ReadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, &fake{}, func(c *Config) { c.Keys = keys })
	expect := func(first, second int) {
		t.Helper()
		for key, want := range map[string]int{"first": first, "second": second} {
			if r := s.do(t, "GET", "/v1/models", "", "X-Api-Key", key); r.status != want {
				t.Errorf("%s: %d, expected %d", key, r.status, want)
			}
		}
	}
	expect(200, 401)
	write("first\nsecond\n")
	expect(200, 200)
	write("")
	expect(200, 200)
	write("second\n")
	expect(401, 200)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect(401, 200)
}

// TestHostsOrigins: other names (DNS rebinding) and pages of elsewhere are refused, unless they are allowed.
func TestHostsOrigins(t *testing.T) {
	s := start(t, &fake{answer: []string{"a"}, slots: 2}, nil)
	own := strings.TrimPrefix(s.URL, "http://")
	for _, c := range []struct {
		host, origin string
		want         int
	}{
		{own, "", 200}, {"localhost:1", "", 200}, {"LOCALHOST.", "", 200}, {"a.localhost", "", 200}, {"[::1]:8080", "", 200}, {"192.168.1.5", "", 200},
		{"evil.example", "", 403}, {"evil.example:80", "", 403}, {"127.0.0.1.evil.example", "", 403}, {"localhost.evil.example", "", 403},
		{own, "http://" + own, 200}, {own, "http://evil.example", 403}, {own, "null", 403}, {own, "http://" + own + ".evil.example", 403}, {own, "http://localhost:1", 403},
	} {
		for _, path := range []string{"/health", "/v1/models"} {
			headers := []string{"Host", c.host}
			if c.origin != "" {
				headers = append(headers, "Origin", c.origin)
			}
			r := s.do(t, "GET", path, "", headers...)
			if r.status != c.want || r.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s at %s from %s: %+v", path, c.host, c.origin, r)
			}
		}
	}
	probe, err := net.Dial("tcp", own)
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	fmt.Fprint(probe, "GET /health HTTP/1.0\r\n\r\n")
	if line, err := bufio.NewReader(probe).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		t.Errorf("a probe got %q, %v", line, err)
	}
	origins, err := guard.NewOrigins([]string{"https://web.example", "http://localhost:3000"})
	if err != nil {
		t.Fatal(err)
	}
	s = start(t, &fake{answer: []string{"a"}, slots: 2}, func(c *Config) { c.Origins, c.Hosts = origins, guard.NewHosts([]string{"gpu.example"}) })
	if r := s.chat(t, ask("x", ""), "Host", "gpu.example", "Origin", "https://web.example"); r.status != 200 || r.header.Get("Access-Control-Allow-Origin") != "https://web.example" {
		t.Errorf("%+v", r)
	}
	r := s.do(t, "OPTIONS", "/v1/chat/completions", "", "Origin", "https://web.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "Authorization")
	if r.status != 200 || r.header.Get("Access-Control-Allow-Headers") != "Authorization" || r.header.Get("Access-Control-Allow-Credentials") != "true" || !strings.Contains(r.header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("%+v", r)
	}
	if r := s.do(t, "OPTIONS", "/v1/chat/completions", "", "Origin", "https://other.example", "Access-Control-Request-Method", "POST"); r.status != 403 {
		t.Errorf("%+v", r)
	}
	if r := s.do(t, "GET", "/health", ""); r.header.Get("Vary") != "Origin" {
		t.Errorf("a cache may answer pages of elsewhere with this: %+v", r)
	}
	if origins, err = guard.NewOrigins([]string{"*"}); err != nil {
		t.Fatal(err)
	}
	s = start(t, &fake{answer: []string{"a"}, slots: 2}, func(c *Config) { c.Origins = origins })
	if r := s.do(t, "GET", "/v1/models", "", "Origin", "https://web.example"); r.header.Get("Access-Control-Allow-Origin") != "https://web.example" || r.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("any page may send what a proxy asks for: %+v", r)
	}
	for _, wrong := range []string{"web.example", "https://web.example/", "https://web.example/x"} {
		if _, err := guard.NewOrigins([]string{wrong}); err == nil {
			t.Errorf("%s is an origin", wrong)
		}
	}
}
