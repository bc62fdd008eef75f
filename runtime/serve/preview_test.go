package serve

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"image/jpeg"
	"strings"
	"testing"
)

// files are what is at addresses.
type files map[string][]byte

func (f files) Get(_ context.Context, url string) ([]byte, error) {
	if data, found := f[url]; found {
		return data, nil
	}
	return nil, errors.New("it cannot be fetched")
}

// TestPreview: the page gets pictures at addresses, and nothing else.
func TestPreview(t *testing.T) {
	png, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(dot(), "data:image/png;base64,"))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, &fake{slots: 1}, func(c *Config) {
		c.URLs = files{"https://example.org/dot": png, "http://example.org/text": []byte("a secret of the network")}
	})
	r := s.do(t, "POST", "/v1/picture", `{"url":"https://example.org/dot"}`)
	if m, err := jpeg.Decode(bytes.NewReader([]byte(r.body))); err != nil || r.status != 200 || m.Bounds().Dx() != 4 || r.header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("%+v, %v", r, err)
	}
	for body, words := range map[string]string{`{"url":"http://example.org/text"}`: "expected a PNG", `{"url":"https://example.org/none"}`: "cannot be fetched", `{"url":"` + dot() + `"}`: "no address",
		`{"url":"file:///etc/hosts"}`: "no address", `{}`: "url is missing", `{"url":7}`: "url holds a number"} {
		if r := s.do(t, "POST", "/v1/picture", body); r.status != 400 || !strings.Contains(r.body, words) || strings.Contains(r.body, "secret") {
			t.Errorf("%.60s: %+v, expected %s", body, r, words)
		}
	}
	if answers, bytes := s.gate.Load(); answers != 0 || bytes != 0 {
		t.Errorf("%d places and %d bytes are still taken", answers, bytes)
	}
	if r := start(t, &fake{slots: 1}, nil).do(t, "POST", "/v1/picture", `{"url":"https://example.org/dot"}`); r.status != 400 || !strings.Contains(r.body, "--allow-image-urls") {
		t.Errorf("%+v", r)
	}
}
