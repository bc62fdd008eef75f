package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/runtime/safetensors"
)

// Strings reads a list of texts from a reference file's metadata.
func Strings(t *testing.T, f *safetensors.File, key string) (texts []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(f.Metadata[key]), &texts); err != nil || len(texts) == 0 {
		t.Fatalf("%s: metadata %s is %q (%v)", f.Path, key, f.Metadata[key], err)
	}
	return texts
}

// Reference opens a reference file of a checkpoint.
func Reference(t *testing.T, checkpoint, name string) *safetensors.File {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(checkpoint, name+".safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// CompareCase compares an executable, given some flags, with one run of transformers.
func CompareCase(t *testing.T, exe, path string, flags ...string) {
	ref, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Close()
	var images []string
	if err := json.Unmarshal([]byte(ref.Metadata["images"]), &images); err != nil {
		t.Fatal(err)
	}
	args := append(flags, "--prompt", ref.Metadata["prompt"])
	for _, name := range images {
		args = append(args, "--image", filepath.Join(golden.Dir(), "pictures", name))
	}
	forward := append([]string{"forward"}, args...)
	if suffix, ok := ref.Metadata["suffix"]; ok {
		forward = append(forward, "--suffix", suffix)
	}
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "two"), filepath.Join(dir, "one")}
	MustRun(t, exe, append(forward, "-o", files[0], "--threads", "2")...)
	MustRun(t, exe, append(forward, "-o", files[1], "--threads", "1")...)
	two, _ := os.ReadFile(files[0])
	one, _ := os.ReadFile(files[1])
	if !bytes.Equal(one, two) {
		t.Error("one and two threads give different bits")
	}
	got, err := safetensors.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	for _, name := range []string{"input_ids", "token_type_ids", "labels"} {
		if g, w := golden.Ints(got, name), golden.Ints(ref, name); !slices.Equal(g, w) {
			t.Errorf("%s: %v, want %v", name, g, w)
		}
	}
	own := 0.0 // the reference's error, where gen/fuzz.py measured it
	if text, ok := ref.Metadata["logits_error"]; ok {
		if own, err = strconv.ParseFloat(text, 64); err != nil {
			t.Fatal(err)
		}
	}
	var report strings.Builder
	for name, limit := range map[string]float64{"pixel_values": 1e-6, "image_hidden_states": 1e-5, "logits": max(1e-4, 10*own), "loss": 1e-4, "token_logprobs": 1e-4} {
		w := golden.Floats(ref, name)
		if w == nil {
			continue
		}
		e, at := golden.Error(golden.Floats(got, name), w)
		report.WriteString(" " + name + " " + format(e))
		if !(e <= limit) {
			t.Errorf("%s: element %d is off by %g of the largest, limit %g", name, at, e, limit)
		}
	}
	want, margins := golden.Ints(ref, "generated"), golden.Floats(ref, "generated_margin")
	var answer struct{ Tokens []int32 }
	out := MustRun(t, exe, append([]string{"generate", "--json", "--max-new-tokens", "16"}, args...)...)
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sure := len(want)
	for i, m := range margins {
		if m < 1e-3 {
			sure = i
			break
		}
	}
	if len(answer.Tokens) < sure || !slices.Equal(answer.Tokens[:sure], want[:sure]) {
		t.Errorf("tokens %v, want %v", answer.Tokens, want[:sure])
	}
	t.Logf("errors of the largest:%s; %d of %d tokens compared", report.String(), sure, len(want))
}

func format(e float64) string {
	text, _ := json.Marshal(float32(e))
	return string(text)
}
