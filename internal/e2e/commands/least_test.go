package commands

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
)

// TestRuntimeSizes holds the sizes of the runtimes, in bytes: what a change adds to every executable is seen here.
func TestRuntimeSizes(t *testing.T) {
	if n, most := len(e2e.LeastRuntime(t)), 5_000_000; n > most {
		t.Errorf("the least runtime has %d bytes, expected at most %d", n, most)
	}
	if n, most := len(e2e.Runtime(t)), 12_300_000; n > most {
		t.Errorf("the full runtime has %d bytes, expected at most %d", n, most)
	}
}

// TestLeast compiles a checkpoint with the least runtime: what it has answers as the full one does, and what it has not
// is refused with the next step.
func TestLeast(t *testing.T) {
	dir := t.TempDir()
	compiled := func(name string, rt []byte) string {
		exe := filepath.Join(dir, name)
		o := build.Options{CPU: "x86-64-v3", MaxTokens: 311, Runtime: name}
		e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg2-odd"), rt, o)
		return exe
	}
	least, full := compiled("least", e2e.LeastRuntime(t)), compiled("full", e2e.Runtime(t))
	noise := golden.Picture("noise.png")
	list := filepath.Join(dir, "in.jsonl")
	line, err := json.Marshal(map[string]any{"id": 7, "images": []string{noise}, "prompt": "caption en", "max_new_tokens": 5})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, append(line, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{noise, "caption en"},
		{"generate", "--image", noise, "--prompt=caption en", "--prompt", "", "--max-new-tokens", "4", "--no-stream"},
		{"--device", "cpu", "generate", noise, "ocr", "--max-new-tokens=3", "--threads", "1", "--stop", "x", "--stop", "y"},
		{"detect", noise, "cat ; dog", "--max-boxes", "2", "--format", "tsv", "--min-score=0"},
		{"--isa=x86-64-v3", "detect", "--no-per-class", noise, "cat", "--format", "coco"},
		{"batch", "--input", list, "--output", "-", "--threads", "1"},
		{"--", noise, "caption en"},
		{"--version"}, {"version"},
	} {
		code, stdout, stderr := e2e.Status(least, args...)
		wantCode, want, wantErr := e2e.Status(full, args...)
		stdout, _, _ = strings.Cut(stdout, `"timings"`)
		want, _, _ = strings.Cut(want, `"timings"`)
		if code != wantCode || code != 0 || stdout != want {
			t.Errorf("%q: status %d, %q %q, with the full runtime %d, %q %q", args, code, stdout, stderr, wantCode, want, wantErr)
		}
	}
	gif := filepath.Join(dir, "x.gif")
	if err := os.WriteFile(gif, []byte("GIF89a\x01\x00\x01\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"serve"}, 2, "serve is not part of this executable"},
		{[]string{"segment", noise, "cat"}, 2, "segment is not part of this executable"},
		{[]string{"embed"}, 2, "embed is not a command of a paligemma"},
		{[]string{"forward", "--image", noise}, 2, "pgc compile --runtime full"},
		{[]string{"http://127.0.0.1:9/x.png", "caption en"}, 1, "reading http(s) addresses is not part of this executable"},
		{[]string{"--header", "A: b", noise, "caption en"}, 2, "--header is not part of this executable"},
		{[]string{gif, "caption en"}, 1, "it is a GIF image, whose decoder is not part of this executable"},
		{[]string{"generate", noise, "detect cat", "--draw", filepath.Join(dir, "d.png")}, 2, "drawing is not part of this executable"},
		{[]string{"detect", noise, "cat", "--format", "png", "-o", filepath.Join(dir, "d.png")}, 2, "drawing is not part"},
		{[]string{"detect", noise, "cat", "--format", "xml"}, 2, "--format: expected one of auto, table"},
		{[]string{"generate", noise, "x", "--top-k", "a"}, 2, "--top-k: expected an integer but got \"a\""},
		{[]string{"generate", noise, "x", "--nothing"}, 2, "unknown flag --nothing (see --help)"},
		{[]string{"generate", noise, "x", "--top-k"}, 2, "--top-k: expected a value behind it"},
		{[]string{"batch", "--input", list}, 2, "missing flags: --output=OUT.jsonl"},
		{[]string{"batch", "a", "b"}, 2, "unexpected argument a (for several pictures"},
		{[]string{"info", "x"}, 2, "unexpected argument x"},
		{[]string{"help", "serve"}, 2, "help is asked for serve, expected one of generate, detect, batch, info, help"},
	} {
		code, _, stderr := e2e.Status(least, c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: status %d, %q, expected %d and %q", c.args, code, stderr, c.code, c.want)
		}
	}
	for _, args := range [][]string{{}, {"--help"}, {"help"}, {"help", "detect"}, {"batch", "--help"}} {
		if code, stdout, stderr := e2e.Status(least, args...); code != 0 || !strings.HasPrefix(stdout, "Usage: least ") || stderr != "" || !strings.Contains(stdout, "--runtime full adds segment") {
			t.Errorf("%q: status %d, %q %q", args, code, stdout, stderr)
		}
	}
	for exe, runtime := range map[string]string{least: "least", full: "full"} {
		var info struct{ Runtime string }
		if err := json.Unmarshal(e2e.MustRun(t, exe, "info", "--json"), &info); err != nil || info.Runtime != runtime {
			t.Errorf("info says the runtime is %q (%v), expected %s", info.Runtime, err, runtime)
		}
		if text := e2e.MustRun(t, exe, "info"); bytes.Contains(text, []byte("\nruntime ")) != (runtime == "least") {
			t.Errorf("info of %s says %s", runtime, text)
		}
	}
}
