package fetch

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestHeader: a header is sent to the host of the URL and back to it, but to no other that a redirect leads to.
func TestHeader(t *testing.T) {
	header, err := ParseHeader([]string{"Authorization: Bearer secret", "x-key:a", "X-Key: b"})
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	note := func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.URL.Path+" "+r.Header.Get("Authorization")+" "+strings.Join(r.Header["X-Key"], ","))
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
		}
	}
	first, other := httptest.NewServer(http.HandlerFunc(note)), httptest.NewServer(http.HandlerFunc(note))
	defer first.Close()
	defer other.Close()
	to := func(address, next string) string { return address + "?to=" + url.QueryEscape(next) }
	address := to(first.URL+"/1", to(first.URL+"/2", to(other.URL+"/3", other.URL+"/4")))
	if _, err := Get(t.Context(), address, header, DefaultLimits); err != nil {
		t.Fatal(err)
	}
	want := []string{"/1 Bearer secret a,b", "/2 Bearer secret a,b", "/3  ", "/4  "}
	if !slices.Equal(seen, want) {
		t.Errorf("seen %q, expected %q", seen, want)
	}
	for line, words := range map[string]string{
		"Authorization":     "is not of the form",
		": x":               "is not of the form",
		"a b: x":            "is not of the form",
		"host: x":           "names Host, which belongs to the connection",
		"X: secret\r\nY: z": "X has a value with control characters",
	} {
		if _, err := ParseHeader([]string{line}); err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q gave %v, expected %q and no value", line, err, words)
		}
	}
}

// TestAddressAsTyped: spaces and letters beyond ASCII behind the host are encoded, white space around a URL is not part of
// it.
func TestAddressAsTyped(t *testing.T) {
	var seen string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen = r.RequestURI }))
	defer s.Close()
	for typed, want := range map[string]string{
		"/a b.jpg":            "/a%20b.jpg",
		"/a%20b.jpg":          "/a%20b.jpg",
		"/bild für.jpg?q=ä b": "/bild%20f%C3%BCr.jpg?q=%C3%A4%20b",
		"?x y#part":           "/?x%20y",
	} {
		if _, err := Get(t.Context(), " "+s.URL+typed+"\n", nil, DefaultLimits); err != nil || seen != want {
			t.Errorf("%q asked for %q (%v), expected %q", typed, seen, err, want)
		}
	}
	for name, words := range map[string]string{"s3://b/k": "Amazon S3", "GS://b/k": "Google Cloud Storage", "file:///x": "expected its path", "rtsp://h": "a video stream"} {
		if _, err := Get(t.Context(), name, nil, DefaultLimits); !IsURL(name) || err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s gave %v, expected %q", name, err, words)
		}
	}
	for _, path := range []string{"s3", "s3:x", "c:/x.jpg", "unknown://x", "a/http://x"} {
		if IsURL(path) {
			t.Errorf("%s passes as a URL", path)
		}
	}
}

// TestFirstFrame: of a camera's stream, which never ends, the first picture is read.
func TestFirstFrame(t *testing.T) {
	picture := append([]byte("\xff\xd8\n--other\r\n--fram"), bytes.Repeat([]byte("x\n\r-"), 30_000)...)
	for name, c := range map[string]struct{ boundary, begin, end, words string }{
		"length":             {"frame", "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 120018\r\n\r\n", "\r\n--frame\r\n", ""},
		"no length":          {"frame", "--frame\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n--frame\r\n", ""},
		"another boundary":   {"--frame", "\r\n\r\n--frame\nContent-Type: image/jpeg\n\n", "\n--frame\n", ""},
		"ends":               {"frame", "--frame\r\n\r\n", "", "ended within the first picture"},
		"no stream of parts": {"frame", "GIF89a\r\n", "", "begins with no boundary"},
		"empty":              {"frame", "", "", "ended within the first picture"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "multipart/x-mixed-replace;boundary="+c.boundary)
				w.Write([]byte(c.begin))
				if c.begin != "" {
					w.Write(picture)
				}
				w.Write([]byte(c.end))
				if c.words == "" {
					w.(http.Flusher).Flush()
					<-r.Context().Done()
				}
			}))
			defer s.Close()
			got, err := Get(t.Context(), s.URL, nil, DefaultLimits)
			if c.words == "" && (err != nil || !bytes.Equal(got, picture)) {
				t.Errorf("%d bytes, %v, expected %d", len(got), err, len(picture))
			} else if c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)) {
				t.Errorf("error %v, expected %q", err, c.words)
			}
		})
	}
}
