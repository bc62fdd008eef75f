package fetch

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// limits are small enough for a test, and hasty ones have no patience. Others have, for a machine that does other work, too.
var (
	limits = Limits{Bytes: 100_000, Time: 30 * time.Second, Redirects: 5}
	hasty  = Limits{Bytes: 100_000, Time: 300 * time.Millisecond, Redirects: 5}
)

// server answers in every way that a server can go wrong.
func server(t *testing.T, picture []byte) *httptest.Server {
	mux := http.NewServeMux()
	answer := func(path string, f http.HandlerFunc) { mux.HandleFunc(path, f) }
	answer("/picture", func(w http.ResponseWriter, r *http.Request) { w.Write(picture) })
	answer("/mistyped", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write(picture)
	})
	answer("/hop/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscan(r.PathValue("n"), &n)
		if n == 0 {
			w.Write(picture)
			return
		}
		http.Redirect(w, r, fmt.Sprintf("/hop/%d", n-1), http.StatusFound)
	})
	answer("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	answer("/to-file", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "file:///etc/passwd")
		w.WriteHeader(http.StatusFound)
	})
	answer("/gone", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "gone", http.StatusGone) })
	answer("/odd", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(799) })
	answer("/nothing", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	answer("/silent", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	answer("/drip", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			w.Write([]byte{0xff})
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	})
	answer("/endless", func(w http.ResponseWriter, r *http.Request) {
		for block := make([]byte, 1<<16); r.Context().Err() == nil; {
			w.Write(block)
		}
	})
	answer("/announced", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000000")
		w.WriteHeader(http.StatusOK)
	})
	answer("/broken", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte("half"))
	})
	answer("/header", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeader))
	})
	answer("/bomb", func(w http.ResponseWriter, r *http.Request) { // a kilobyte that unpacks to a megabyte of zeros
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(gzipZeros(1 << 20))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestHTTP(t *testing.T) {
	picture := []byte("\x89PNG\r\n\x1a\n and more")
	s := server(t, picture)
	for _, path := range []string{"/picture", "/mistyped", "/hop/0", "/hop/1", "/hop/5"} {
		if got, err := Get(t.Context(), s.URL+path, nil, limits); err != nil || !bytes.Equal(got, picture) {
			t.Errorf("%s gave %d bytes, %v", path, len(got), err)
		}
	}
	if got, err := Get(t.Context(), strings.Replace(s.URL, "http", "HTTP", 1)+"/picture", nil, limits); err != nil || !bytes.Equal(got, picture) {
		t.Errorf("an upper-case scheme gave %d bytes, %v", len(got), err)
	}
	for path, words := range map[string]string{
		"/absent":    "404 Not Found",
		"/gone":      "410 Gone",
		"/odd":       "answered 799",
		"/nothing":   "204 No Content",
		"/hop/6":     "more than 5 times",
		"/loop":      "more than 5 times",
		"/to-file":   "to a file: address",
		"/silent":    "within 300ms",
		"/drip":      "within 300ms",
		"/endless":   "over the limit of 100000 bytes",
		"/announced": "1000000000 bytes are over the limit",
		"/broken":    "broke after 4 bytes",
		"/header":    "header",
		"/bomb":      "over the limit",
	} {
		t.Run(path, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start, limits := time.Now(), limits
			if words == "within 300ms" {
				limits = hasty
			}
			got, err := Get(t.Context(), s.URL+path, nil, limits)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatalf("%d bytes and no error", len(got))
			}
			text := err.Error()
			if !strings.HasPrefix(text, "image "+s.URL+path+": ") || !strings.Contains(text, words) || strings.Contains(text, "\n") {
				t.Errorf("error %q, expected one that names the address and says %q", text, words)
			}
			used := (after.TotalAlloc - before.TotalAlloc) >> 10
			if took > 10*time.Second || used > 4096 { // what is not given up takes 30 s, or has no end
				t.Errorf("the error took %v and %d KiB", took, used)
			}
			t.Logf("%4d ms, %4d KiB: %s", took.Milliseconds(), used, text)
		})
	}
}

func TestAddresses(t *testing.T) {
	for name, words := range map[string]string{
		"http://":              "names no host",
		"http://[::1":          "malformed",
		"http://127.0.0.1:1/x": "refused",
		"https://user:secret@127.0.0.1:1/x?key=secret":    "refused",
		"data:image/png;base64":                           "without a comma",
		"data:;base64,AA*A":                               `'*' at byte 2`,
		"data:;base64,AAAAA":                              "cut off",
		"data:;base64,AA==AA":                             "after the padding",
		"data:,%4":                                        "within a percent escape",
		"data:,%zz":                                       "hexadecimal",
		"data:," + strings.Repeat("x", 100_001):           "over the limit",
		"data:;base64," + strings.Repeat("AAAA", 100_001): "over the limit",
		"gopher://host/x":                                 "expected a data:, http: or https: URL",
		"ftp://host/x":                                    "an address of FTP",
	} {
		_, err := Get(t.Context(), name, nil, limits)
		if err == nil {
			t.Errorf("%.50s: no error", name)
			continue
		}
		text := err.Error()
		t.Log(text)
		if !strings.HasPrefix(text, "image ") || !strings.Contains(text, words) || len(text) > 250 || strings.Contains(text, "secret") {
			t.Errorf("error %q, expected one sentence that says %q", text, words)
		}
	}
}

func TestData(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	plain := base64.StdEncoding.EncodeToString(all)
	for name, want := range map[string][]byte{
		"data:,":        {},
		"data:,a+b%20c": []byte("a+b c"),
		"data:text/plain;charset=utf-8,caf%C3%A9":                                           []byte("café"),
		"DATA:image/png;BASE64," + plain:                                                    all,
		"data:;base64," + base64.URLEncoding.EncodeToString(all):                            all,
		"data:;base64," + base64.RawURLEncoding.EncodeToString(all):                         all,
		"data:image/png;name=a,b":                                                           []byte("b"),
		"data:image/png;base64," + strings.ReplaceAll(url.QueryEscape(plain), "%2B", "%2b"): all,
		"data:image/png;base64," + plain[:76] + "\r\n" + plain[76:]:                         all,
		"data:," + url.PathEscape(string(all)):                                              all,
	} {
		if got, err := Get(t.Context(), name, nil, limits); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%.60s gave %q, %v", name, got, err)
		}
	}
}

func TestUnknownHost(t *testing.T) {
	err := explain(t.Context(), limits, &url.Error{Op: "Get", URL: "http://x", Err: &net.DNSError{Err: "no such host", Name: "x.example"}})
	if got := err.Error(); got != "the host x.example is not found (no such host)" {
		t.Errorf("an unknown host gave %q", got)
	}
}

// TestInterrupted cancels a request, which is no error about the picture.
func TestInterrupted(t *testing.T) {
	s := server(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := Get(ctx, s.URL+"/silent", nil, DefaultLimits); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled request gave %v", err)
	}
}

func TestCertificates(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	_, err := Get(t.Context(), s.URL, nil, limits)
	if err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a self-signed server gave %v", err)
	}
	_, count := embeddedRoots()
	if count < 100 {
		t.Errorf("%d root certificates are embedded, expected over 100", count)
	}
	t.Logf("%d root certificates", count)
}

func TestShort(t *testing.T) {
	for name, want := range map[string]string{
		"http://a/b.png":                "http://a/b.png",
		"https://u:p@a/b.png?sig=1#top": "https://a/b.png?…",
		"http://a/%zz":                  "http://…",
		"data:image/png;base64," + strings.Repeat("A", 99): "data:image/png;base64," + strings.Repeat("A", 38) + "…",
		"data:,a\nb": "data:,a?b",
	} {
		if got := Short(name); got != want {
			t.Errorf("Short(%q) is %q, expected %q", name, got, want)
		}
	}
	for name, want := range map[string]bool{"a.png": false, "./data:x": false, "data:": true, "http:/x": false, "https://x": true, "data": false, "c:\\x": false} {
		if IsURL(name) != want {
			t.Errorf("IsURL(%q) is %v", name, !want)
		}
	}
}

func FuzzData(f *testing.F) {
	for _, s := range []string{",", ";base64,AAAA", "image/png;base64,iVBORw0K%3D", ",%41%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		data, err := Get(t.Context(), "data:"+rest, nil, limits)
		if err != nil && (strings.ContainsAny(err.Error(), "\n\r") || !strings.HasPrefix(err.Error(), "image data:")) {
			t.Errorf("error %q is not one sentence", err)
		}
		if int64(len(data)) > limits.Bytes {
			t.Errorf("%d bytes", len(data))
		}
	})
}

// TestRoots has the system's certificates where there are some, and else ours. The certificates of a process are read
// once, so it runs itself again without any.
func TestRoots(t *testing.T) {
	const none = "/proc/none" // which no one can make
	if os.Getenv("SSL_CERT_FILE") != none {
		cmd := exec.Command(os.Args[0], "-test.run=^TestRoots$", "-test.v")
		cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+none, "SSL_CERT_DIR="+none)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "embedded roots") {
			t.Errorf("without the system's certificates: %v\n%s", err, out)
		}
		return
	}
	pool, _ := embeddedRoots()
	if got := roots(); got == nil || !got.Equal(pool) {
		t.Error("a system without certificates does not get the embedded ones")
	}
	t.Log("embedded roots")
}
