package pgc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgc"
	"pgc/golden"
	"pgc/runtime/program"
)

// damaged returns a copy of an executable with one bit of its last weights changed.
func damaged(t *testing.T, exe string) string {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	content, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	image, err := program.OpenFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	for _, s := range image.Sections {
		if s.Name == program.SectionWeights {
			content[s.Offset+s.Bytes-1] ^= 1
		}
	}
	path := filepath.Join(t.TempDir(), "exe")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDamaged: every call on a model with damaged weights fails, at first and later, unless they are not to be checked.
func TestDamaged(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, picture := t.Context(), pgc.File(filepath.Join(golden.Dir(), "pictures", "grey.png"))
	request := pgc.Request{Images: []pgc.Image{picture}, Prompt: "caption en"}
	out := filepath.Join(t.TempDir(), "out")
	ask := map[string]func(m *pgc.Model) error{
		"Generate": func(m *pgc.Model) error { _, err := m.Generate(ctx, request); return err },
		"Stream": func(m *pgc.Model) (last error) {
			for _, err := range m.Stream(ctx, request) {
				last = err
			}
			return last
		},
		"Batch": func(m *pgc.Model) error {
			var errs []error
			for _, err := range m.Batch(ctx, func(yield func(pgc.Request) bool) {
				for range 20 {
					if !yield(request) {
						return
					}
				}
			}) {
				if err == nil {
					return nil
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
		"Forward": func(m *pgc.Model) error {
			_, err := m.Forward(ctx, pgc.ForwardRequest{Images: request.Images, Prompt: "a"})
			return err
		},
		"ForwardFile": func(m *pgc.Model) error {
			return m.ForwardFile(ctx, pgc.ForwardRequest{Images: request.Images, Prompt: "a"}, out)
		},
	}
	embed := map[string]func(m *pgc.Model) error{
		"Embed":     func(m *pgc.Model) error { _, err := m.Embed(ctx, pgc.EmbedRequest{Images: request.Images}); return err },
		"EmbedFile": func(m *pgc.Model) error { return m.EmbedFile(ctx, pgc.EmbedRequest{Queries: []string{"a"}}, out) },
	}
	for exe, calls := range map[string]map[string]func(m *pgc.Model) error{captioner(): ask, pages(): embed} {
		path := damaged(t, exe)
		for name, call := range calls {
			m, err := pgc.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, when := range []string{"at first", "later"} {
				if err := call(m); !errors.Is(err, pgc.ErrDamaged) || !strings.Contains(err.Error(), path+": section weights: tensor ") {
					t.Errorf("%s %s: error %v", name, when, err)
				}
			}
			if _, err := os.Stat(out); err == nil {
				t.Errorf("%s leaves a file", name)
			}
			if err := m.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if m, err = pgc.Open(path, pgc.WithoutVerification()); err != nil {
				t.Fatal(err)
			}
			if err := call(m); err != nil {
				t.Errorf("%s without verification: %v", name, err)
			}
			m.Close()
			os.Remove(out)
			if m, err = pgc.Open(path); err != nil {
				t.Fatal(err)
			}
			canceled, cancel := context.WithCancel(ctx)
			cancel()
			if _, err := m.Generate(canceled, request); name == "Generate" && !errors.Is(err, context.Canceled) && !errors.Is(err, pgc.ErrDamaged) {
				t.Errorf("a canceled call: %v", err)
			}
			m.Close() // while the check runs
		}
	}
	for range 100 { // a goroutine that has returned may still count
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines are left, there were %d", runtime.NumGoroutine(), before)
}
