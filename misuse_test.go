package pgc_test

import (
	"context"
	"errors"
	"image"
	"image/color"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgc"
	"pgc/golden"
	"pgc/internal/e2e"
)

// TestClosed calls everything that a closed model or executable refuses: none of it reads the unmapped file.
func TestClosed(t *testing.T) {
	for _, path := range []string{captioner(), pages()} {
		e, err := pgc.OpenExecutable(path)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := e.Load()
		if err != nil {
			t.Fatal(err)
		}
		if err := loaded.Close(); err != nil {
			t.Error(err)
		}
		if _, err := e.Tokenize("word", false); err != nil {
			t.Errorf("the executable is open: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		opened, err := pgc.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := opened.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		_, loadErr := e.Load()
		_, ids := e.Tokenize("word", false)
		errs := map[string]error{"Load": loadErr, "Executable.Tokenize": ids, "Verify": e.Verify(t.Context(), nil)}
		for name, m := range map[string]*pgc.Model{"loaded": loaded, "opened": opened, "zero": {}} {
			_, errs[name+" Tokenize"] = m.Tokenize("word", false)
			if path == captioner() {
				_, errs[name+" Generate"] = m.Generate(t.Context(), requests()[0])
				_, errs[name+" Forward"] = m.Forward(t.Context(), pgc.ForwardRequest{Images: requests()[0].Images})
				for _, errs[name+" Stream"] = range m.Stream(t.Context(), requests()[0]) {
				}
				for _, errs[name+" Batch"] = range m.Batch(t.Context(), slices.Values(requests()[:1])) {
				}
			} else {
				_, errs[name+" Embed"] = m.Embed(t.Context(), pgc.EmbedRequest{Queries: []string{"word"}})
			}
		}
		for name, err := range errs {
			if !errors.Is(err, pgc.ErrClosed) {
				t.Errorf("%s: %v, expected %v", name, err, pgc.ErrClosed)
			}
		}
		if i := e.Info(); i.CodeBytes == 0 || i.Kernels == 0 {
			t.Errorf("%+v", i)
		}
	}
}

// closing is an image that closes a model when it is read.
type closing struct {
	image.Image
	m *pgc.Model
}

func (c closing) At(x, y int) color.Color {
	c.m.Close()
	return c.Image.At(x, y)
}

// TestClosedMeanwhile closes a model while a request is prepared, as the end of a loop over a batch lets a program do: the
// request is refused, and none of it reads the unmapped file.
func TestClosedMeanwhile(t *testing.T) {
	suffix := "a cat"
	for name, call := range map[string]func(*pgc.Model, []pgc.Image) error{
		"Generate": func(m *pgc.Model, images []pgc.Image) error {
			_, err := m.Generate(t.Context(), pgc.Request{Images: images, Prompt: "caption en"})
			return err
		},
		"Generate with a suffix": func(m *pgc.Model, images []pgc.Image) error {
			_, err := m.Generate(t.Context(), pgc.Request{Images: images, Suffix: &suffix})
			return err
		},
		"Forward": func(m *pgc.Model, images []pgc.Image) error {
			_, err := m.Forward(t.Context(), pgc.ForwardRequest{Images: images, Prompt: "caption en"})
			return err
		},
		"Detect": func(m *pgc.Model, images []pgc.Image) error {
			_, err := m.Detect(t.Context(), pgc.DetectRequest{Image: images[0], Classes: []string{"cat"}})
			return err
		},
		"Embed": func(m *pgc.Model, images []pgc.Image) error {
			_, err := m.Embed(t.Context(), pgc.EmbedRequest{Images: images})
			return err
		},
	} {
		path := captioner()
		if name == "Embed" {
			path = pages()
		}
		m, err := pgc.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := call(m, []pgc.Image{pgc.Pixels(closing{image.NewGray(image.Rect(0, 0, 8, 8)), m})}); !errors.Is(err, pgc.ErrClosed) {
			t.Errorf("%s: %v, expected %v", name, err, pgc.ErrClosed)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A model runs on after its executable was closed, which unmaps the file with the last model.
func TestCloseExecutableFirst(t *testing.T) {
	e, err := pgc.OpenExecutable(captioner())
	if err != nil {
		t.Fatal(err)
	}
	var models []*pgc.Model
	for range 2 {
		m, err := e.Load(pgc.WithISA(baseline))
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, m)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	want := answers(t, open(t), requests()[:2])
	for _, m := range models {
		for i, a := range answers(t, m, requests()[:2]) {
			if !same(a, want[i]) {
				t.Errorf("%+v, expected %+v", a, want[i])
			}
		}
		if _, err := m.Tokenize("word", false); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Info of a model is about the instruction set that it was opened with, whatever another model of the executable runs.
func TestInfoOfISA(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "two")
	if err := e2e.CompileFor(better+","+baseline, filepath.Join(golden.Dir(), "pg1-odd"), exe); err != nil {
		t.Fatal(err)
	}
	e, err := pgc.OpenExecutable(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, isa := range []string{baseline, "", baseline} {
		m, err := e.Load(pgc.WithISA(isa))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		want := isa
		if want == "" {
			want = e.Info().CPU
		}
		i := m.Info()
		at := slices.IndexFunc(i.Variants, func(v pgc.ISA) bool { return v.Runs })
		if i.CPU != want || at < 0 || i.Variants[at].CPU != want {
			t.Errorf("Info is about %s and %+v runs, expected %s", i.CPU, i.Variants, want)
		}
	}
}

// better is an instruction set beyond the baseline, which this machine may lack.
var better = map[string]string{"amd64": "x86-64-v4", "arm64": "neoverse-n1"}[runtime.GOARCH]

func TestImageErrors(t *testing.T) {
	m := open(t)
	broken := errors.New("broken")
	for _, c := range []struct {
		image pgc.Image
		says  string
	}{
		{pgc.Pixels(nil), "it is nil, expected an image"},
		{pgc.Pixels((*image.RGBA)(nil)), "its pixels cannot be read"},
		{pgc.Pixels(&image.RGBA{Stride: 40, Rect: image.Rect(0, 0, 10, 10)}), "its pixels cannot be read"},
		{pgc.Pixels(image.NewGray(image.Rectangle{})), "its size is 0x0"},
		{pgc.Pixels(image.NewUniform(color.White)), "expected at most 120000000 pixels"},
		{pgc.Lazy("photo", nil), "image photo: its function is nil"},
		{pgc.Lazy("photo", func(context.Context) ([]byte, error) { return nil, broken }), "broken"},
		{pgc.Bytes(nil), "it is empty"},
		{pgc.Bytes([]byte("\x89PNG\r\n\x1a\nand nothing more")), "damaged"},
		{pgc.URL("ftp://example.org/photo.png"), "it is an address of FTP, expected an https one or a file"},
	} {
		_, err := m.Generate(t.Context(), pgc.Request{Images: []pgc.Image{c.image}})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, expected a line that says %q", err, c.says)
		}
	}
}

// Who waits for an image that another goroutine reads can leave.
func TestCancelWhileImageIsRead(t *testing.T) {
	m := open(t)
	reading, release := make(chan struct{}), make(chan struct{})
	r := requests()[0]
	r.Images = []pgc.Image{pgc.Lazy("slow", func(context.Context) ([]byte, error) {
		close(reading)
		<-release
		return nil, errors.New("too late")
	})}
	first := make(chan error)
	go func() {
		_, err := m.Generate(context.Background(), r)
		first <- err
	}()
	<-reading
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		_, err := m.Generate(ctx, r)
		second <- err
	}()
	cancel()
	select {
	case err := <-second:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, expected %v", err, context.Canceled)
		}
	case <-time.After(10 * time.Second):
		t.Error("a canceled request waits for an image")
	}
	close(release)
	if err := <-first; err == nil || err.Error() != "too late" {
		t.Errorf("%v, expected too late", err)
	}
}

func TestBatchOfNil(t *testing.T) {
	var got []error
	for _, err := range open(t).Batch(t.Context(), nil) {
		got = append(got, err)
	}
	if len(got) != 1 || got[0] == nil || !strings.Contains(got[0].Error(), "expected a sequence") {
		t.Errorf("%v, expected one error", got)
	}
}

func TestScoreErrors(t *testing.T) {
	vectors := func(rows, dim, elements int) pgc.Tensor {
		return pgc.Tensor{Shape: []int{rows, dim}, Float32s: make([]float32, elements)}
	}
	for _, c := range []struct {
		query, image pgc.Tensor
		says         string
	}{
		{pgc.Tensor{}, vectors(1, 4, 4), "a tensor of shape [] with 0 elements"},
		{vectors(1, 4, 4), vectors(2, 4, 7), "a tensor of shape [2 4] with 7 elements"},
		{vectors(1, 0, 0), vectors(1, 4, 4), "a tensor of shape [1 0]"},
		{vectors(1, 4, 4), vectors(1, 3, 3), "vectors of 4 and 3 elements"},
	} {
		if _, err := pgc.Score(c.query, c.image); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, expected an error that says %q", err, c.says)
		}
	}
	if s, err := pgc.Score(vectors(2, 3, 6), vectors(1, 3, 3)); s != 0 || err != nil {
		t.Errorf("%v, %v, expected 0", s, err)
	}
}
