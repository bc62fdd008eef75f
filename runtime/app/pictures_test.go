package app

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPictureSources reads one picture in the four ways to name it.
func TestPictureSources(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 3, 2))
	m.Set(2, 1, color.NRGBA{10, 20, 30, 255})
	var file bytes.Buffer
	if err := png.Encode(&file, m); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "picture.jpg") // the name claims another format
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	stdin, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	defer func(old *os.File) { os.Stdin = old }(os.Stdin)
	os.Stdin = stdin
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html") // and so does the server
		if r.URL.Path == "/page" {
			w.Write([]byte("<!DOCTYPE html><p>not found"))
			return
		}
		w.Write(file.Bytes())
	}))
	defer s.Close()
	data := "data:image/gif;base64," + base64.StdEncoding.EncodeToString(file.Bytes())
	list, err := new(album).images([]string{path, "-", data, s.URL + "/picture"})
	if err != nil || len(list) != 4 {
		t.Fatalf("%d pictures, %v", len(list), err)
	}
	for i, image := range list {
		p, err := image.Decode(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if size := p.Bounds().Size(); size.X != 3 || size.Y != 2 || p.At(2, 1) != (color.RGBA{10, 20, 30, 255}) || p.At(0, 0) != (color.RGBA{255, 255, 255, 255}) {
			t.Errorf("picture %d is %v with %v and %v", i, size, p.At(2, 1), p.At(0, 0))
		}
	}
	for name, words := range map[string]string{
		s.URL + "/page":           "HTML",
		"data:,hello":             "it holds text",
		"data:,":                  "it is empty",
		"data:;base64,iVBORw0KGg": "belong to no known format",
		"http.png":                "no such file",
	} {
		list, err := new(album).images([]string{name})
		if err == nil {
			_, err = list[0].Decode(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), words) || !strings.HasPrefix(err.Error(), "image "+name+": ") {
			t.Errorf("%s gave %v, expected an error that says %q", name, err, words)
		}
	}
	_, err = new(album).images([]string{"-", path, "-"})
	if u := (usage{}); !errors.As(err, &u) {
		t.Errorf("standard input named twice gave %v, expected a usage error", err)
	}
}
