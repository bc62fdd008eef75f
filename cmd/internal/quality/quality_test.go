package quality

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
)

// runtimeELF stands for the runtime: the files of these tests are read, never run.
var runtimeELF = []byte("\x7fELF")

// TestCalibrationAndReport compiles the demo checkpoint to int4 with and without calibration and measures both on
// pictures that the calibration has not seen.
func TestCalibrationAndReport(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	demo := filepath.Join(golden.Dir(), "..", "models", "paligemma", "demo")
	checkpoint := filepath.Join(demo, "paligemma-demo")
	samples, err := Read(t.Context(), filepath.Join(demo, "pictures"))
	if err != nil {
		t.Fatal(err)
	}
	calibration, rest := samples[:6], samples[6:]
	o := build.Options{CPU: "x86-64-v3", MaxTokens: 160, Storage: build.Storage{Weights: "int4", Compute: "f32"}}
	compile := func(name string, o build.Options) string {
		exe := filepath.Join(dir, name)
		if _, err := build.Compile(ctx, checkpoint, exe, runtimeELF, o); err != nil {
			t.Fatal(err)
		}
		return exe
	}
	calibrate := func(r *Reference) build.Options {
		o := o
		var err error
		if o.Inputs, err = r.Calibrate(ctx, calibration); err != nil {
			t.Fatal(err)
		}
		return o
	}
	r, err := Open(ctx, checkpoint, dir, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	report := func(exe string) *Report {
		q, err := r.Report(ctx, exe, rest)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	plain := compile("plain", o)
	before := report(plain)
	calibrated := compile("calibrated", calibrate(r))
	after := report(calibrated)
	var text bytes.Buffer
	before.Print(&text)
	after.Print(&text)
	t.Logf("%s", text.Bytes())
	if n := len(before.Layers); before.Positions < 20 || n != 15 || before.KL <= 0 || before.Layers[0].Error != 0 || before.Layers[n-1].Error <= 0 {
		t.Errorf("the report is %+v", before)
	}
	last := len(before.Layers) - 1
	if a, b := after.Layers[last], before.Layers[last]; !(after.KL < before.KL && a.Error < 0.8*b.Error) {
		t.Errorf("with calibration KL is %g and the error of %s %g, without %g and %g", after.KL, a.Name, a.Error, before.KL, b.Error)
	}
	again, err := Open(ctx, checkpoint, dir, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	a, _ := os.ReadFile(calibrated)
	b, _ := os.ReadFile(compile("again", calibrate(again)))
	c, _ := os.ReadFile(plain)
	if !bytes.Equal(a, b) || bytes.Equal(a, c) {
		t.Errorf("two calibrations are equal: %v; with and without are equal: %v", bytes.Equal(a, b), bytes.Equal(a, c))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestSamples reads folders of pictures, with and without prompts, and says what is wrong with others.
func TestSamples(t *testing.T) {
	picture, err := os.ReadFile(filepath.Join(golden.Dir(), "pictures", "grey.png"))
	if err != nil {
		t.Fatal(err)
	}
	folder := func(files ...string) string {
		dir := t.TempDir()
		for i := 0; i < len(files); i += 2 {
			if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	png := string(picture)
	for _, c := range []struct {
		dir     string
		prompts string // of the samples
		wrong   string // in the error
	}{
		{dir: folder("b.png", png, "a.PNG", png, "notes.md", "x"), prompts: strings.Join(Prompts, "|")},
		{dir: folder("a.png", png, "prompts.txt", "one\r\n\ntwo\n"), prompts: "one|two"},
		{dir: folder("a.png", png, "b.png", png, "c.png", png, "prompts.txt", "one\ntwo"), prompts: "one|two|one"},
		{dir: folder("a.png", png, "requests.jsonl", `{"images":["a.png"],"prompt":"p","suffix":"s"}`+"\n\n"+`{"images":["a.png"],"prompt":""}`), prompts: "p|"},
		{dir: folder("notes.md", ""), wrong: "holds no pictures"},
		{dir: folder("a.png", "no picture"), wrong: "a.png"},
		{dir: folder("a.png", png, "prompts.txt", "\n"), wrong: "prompts.txt is empty"},
		{dir: folder("a.png", png, "requests.jsonl", "\n"+`{"images":["a.png","a.png"],"prompt":"p"}`), wrong: "line 2 is no sample"},
		{dir: folder("requests.jsonl", `{"images":["a.png"],"prompt":"p"}`), wrong: "line 1: "},
		{dir: folder("requests.jsonl", ""), wrong: "requests.jsonl is empty"},
		{dir: filepath.Join(t.TempDir(), "none"), wrong: "no folder of pictures"},
	} {
		samples, err := Read(t.Context(), c.dir)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("the error is %v, expected %q in it", err, c.wrong)
			}
			continue
		}
		var prompts []string
		for _, s := range samples {
			prompts = append(prompts, s.Prompt)
			if s.Picture == nil {
				t.Error("a sample has no picture")
			}
		}
		if got := strings.Join(prompts, "|"); err != nil || got != c.prompts {
			t.Errorf("prompts %q, error %v, expected %q", got, err, c.prompts)
		}
	}
}
