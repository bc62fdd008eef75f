package build

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/passes"
	"pgc/runtime/safetensors"
)

func mustRun(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", filepath.Base(name), args, err, stderr.String())
	}
	return out
}

// TestGolden compiles every golden checkpoint and compares the executables with transformers.
func TestGolden(t *testing.T) {
	elf := runtimeELF(t)
	dir := t.TempDir()
	built := map[string]string{}
	for _, c := range golden.Cases() {
		exe := built[c.Checkpoint]
		if exe == "" {
			exe = filepath.Join(dir, filepath.Base(c.Checkpoint))
			if _, err := Compile(t.Context(), c.Checkpoint, exe, elf, Options{CPU: "x86-64-v3", MaxTokens: 311, Passes: passes.Options{Check: true}}); err != nil {
				t.Fatal(err)
			}
			built[c.Checkpoint] = exe
		}
		t.Run(filepath.Base(c.Checkpoint)+"/"+c.Name, func(t *testing.T) { compareCase(t, exe, c.Path) })
	}
	if len(built) < 4 {
		t.Errorf("only %d golden checkpoints", len(built))
	}
}

// compareCase compares an executable, given some flags, with one run of transformers.
func compareCase(t *testing.T, exe, path string, flags ...string) {
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
	mustRun(t, exe, append(forward, "-o", files[0], "--threads", "2")...)
	mustRun(t, exe, append(forward, "-o", files[1], "--threads", "1")...)
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
	out := mustRun(t, exe, append([]string{"generate", "--json", "--max-new-tokens", "16"}, args...)...)
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
