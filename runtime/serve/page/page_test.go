package page

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, method, path string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestHandler(t *testing.T) {
	for _, c := range []struct {
		method, path, mediaType string
		status                  int
	}{
		{"GET", "/", "text/html; charset=utf-8", 200},
		{"HEAD", "/", "text/html; charset=utf-8", 200},
		{"GET", "/page/main.js", "text/javascript; charset=utf-8", 200},
		{"GET", "/page/style.css", "text/css; charset=utf-8", 200},
		{"GET", "/page/icon.svg", "image/svg+xml", 200},
		{"POST", "/", "text/plain; charset=utf-8", 405},
		{"GET", "/index.html", "text/plain; charset=utf-8", 404},
		{"GET", "/page/", "text/plain; charset=utf-8", 404},
		{"GET", "/page/../page.go", "text/plain; charset=utf-8", 404},
		{"GET", "/v1/models", "text/plain; charset=utf-8", 404},
	} {
		r := get(t, c.method, c.path, nil)
		if got := r.Header.Get("Content-Type"); r.StatusCode != c.status || got != c.mediaType {
			t.Errorf("%s %s: %d %s, expected %d %s", c.method, c.path, r.StatusCode, got, c.status, c.mediaType)
		}
		if csp := r.Header.Get("Content-Security-Policy"); c.status == 200 && !strings.HasPrefix(csp, "default-src 'none'; ") {
			t.Errorf("%s %s: Content-Security-Policy is %q", c.method, c.path, csp)
		}
	}
}

func TestUnchangedFilesAreNotSentAgain(t *testing.T) {
	tag := get(t, "GET", "/", nil).Header.Get("ETag")
	if r := get(t, "GET", "/", http.Header{"If-None-Match": {tag}}); r.StatusCode != http.StatusNotModified {
		t.Errorf("with the tag %s: status %d, expected 304", tag, r.StatusCode)
	}
}

// elsewhere finds addresses that a browser would load or follow. Namespaces of SVG are none.
var elsewhere = regexp.MustCompile(`(?i)(src|href|url\(|import|fetch\()[^\n]{0,8}(https?:)?//`)

func TestFiles(t *testing.T) {
	size := 0
	err := fs.WalkDir(files, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		size += len(content)
		if found := elsewhere.Find(content); found != nil {
			t.Errorf("%s asks elsewhere: %s", name, found)
		}
		at := "/page/" + strings.TrimPrefix(name, "static/")
		if name == "static/index.html" {
			at = "/"
			for _, inline := range []string{"<style", " style=", " onclick=", "<script>"} {
				if strings.Contains(string(content), inline) {
					t.Errorf("%s has %q, which its Content-Security-Policy forbids", name, inline)
				}
			}
		}
		if r := get(t, "GET", at, nil); r.StatusCode != 200 || r.Header.Get("Content-Type") == "" {
			t.Errorf("%s: status %d, type %q", at, r.StatusCode, r.Header.Get("Content-Type"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if size > 120<<10 {
		t.Errorf("the page has %d bytes, expected 120 KiB at most", size)
	}
}

// TestPreloads holds the list of modules that index.html names to the files, so that no module is found only after another has come.
func TestPreloads(t *testing.T) {
	index, err := files.ReadFile("static/index.html")
	if err != nil {
		t.Fatal(err)
	}
	list, err := files.ReadDir("static")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if strings.HasSuffix(f.Name(), ".js") && f.Name() != "main.js" && !strings.Contains(string(index), `<link rel="modulepreload" href="page/`+f.Name()+`">`) {
			t.Errorf("index.html does not preload page/%s", f.Name())
		}
	}
}
