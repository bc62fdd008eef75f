package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgc/codegen/ptx/emulated"
	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/internal/gputest"
	"pgc/runtime/engine"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// example is a report of two phases with one launch each on two threads, of which the second did nothing in the first
// phase.
func example() *Report {
	share := func(start, end time.Duration) engine.Share {
		return engine.Share{Start: start, End: end, Busy: end - start, Tasks: 3}
	}
	r := &Report{Model: "m & n", CPU: "x86-64-v3", Threads: 2, Prompt: 266,
		Peaks: &Peaks{Flops: 100e9, BF16: 150e9, Int8: 200e9, Int4: 400e9, Bandwidth: 10e9, Cache: 100e9}}
	for _, p := range []struct {
		name  string
		times []engine.Timing
	}{
		{"prefill", []engine.Timing{{Kernel: "matmul_1_Sx2048x8192_int4_int8", LHS: "int8", RHS: "int4", Seconds: 0.1, Flops: 20e9, Bytes: 1e6,
			Threads: []engine.Share{share(0, 100*time.Millisecond), {}}}}},
		{"decode", []engine.Timing{{Kernel: "matmul_1_1x2048x8192_int8_int8", LHS: "int8", RHS: "int8", Seconds: 0.001, Flops: 1e7, Bytes: 5e6,
			Threads: []engine.Share{share(0, time.Millisecond), share(time.Microsecond, time.Millisecond)}},
			{Kernel: "row_2", Start: 0.001, Seconds: 0.0005, Bytes: 1e6}}},
	} {
		phase := newPhase(p.times)
		phase.Name = p.name
		r.Phases = append(r.Phases, *phase)
	}
	r.rate()
	return r
}

func TestRoofs(t *testing.T) {
	r := example()
	if s := r.Phases[1].Seconds; math.Abs(s-0.0015) > 1e-9 {
		t.Errorf("decode takes %g s, expected 0.0015 to the end of its last launch", s)
	}
	for _, c := range []struct {
		phase, row int
		want       float64
	}{
		{0, 0, 0.5},  // 200 of 400 GOP/s of 4 by 8 bits
		{1, 0, 0.5},  // 5 of 10 GB/s
		{1, 1, 0.02}, // 2 of 100 GB/s of the cache
	} {
		row := r.Phases[c.phase].Rows[c.row]
		if math.Abs(row.Roof-c.want) > 1e-9 {
			t.Errorf("%s is at %g of its roof, expected %g", row.Kernel, row.Roof, c.want)
		}
	}
	for _, c := range []struct {
		lhs, rhs program.DType
		want     float64
	}{
		{"int8", "int8", 200e9}, {"int8", "int4", 400e9}, {"f32", "int4", 100e9}, {"f32", "bf16", 100e9}, {"bf16", "bf16", 150e9}, {"", "", 100e9},
	} {
		row := &Row{lhs: c.lhs, rhs: c.rhs}
		if got, name := r.Peaks.arithmetic(row); got != c.want {
			t.Errorf("the limit of %s by %s is %g (%s), expected %g", c.lhs, c.rhs, got, name, c.want)
		}
	}
}

func TestPictures(t *testing.T) {
	r := example()
	dir := t.TempDir()
	for _, name := range []string{"a.svg", "a.png"} {
		if err := r.Roofline(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "a.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(data)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the SVG: %v", err)
		}
	}
	for _, want := range []string{"m &amp; n on x86-64-v3, 2 threads", "matmul_1_Sx2048x8192_int4_int8", "int4 by int8 products: 400", "memory: 10 GB/s"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("the SVG lacks %q", want)
		}
	}
	if data, err = os.ReadFile(filepath.Join(dir, "a.png")); err != nil {
		t.Fatal(err)
	}
	m, err := png.Decode(bytes.NewReader(data))
	if err != nil || m.Bounds().Dx() != zoom*plotWidth || m.Bounds().Dy() != zoom*plotHeight {
		t.Errorf("the PNG: %v, %v", m.Bounds(), err)
	}
	if err := r.Roofline(filepath.Join(dir, "a.gif")); err == nil || !strings.Contains(err.Error(), "expected a name that ends in .svg or .png") {
		t.Errorf("a GIF: error %v", err)
	}
}

func TestTrace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.json")
	if err := example().Trace(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ TraceEvents []event }
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	var runs []string
	for _, e := range got.TraceEvents {
		if e.Phase == "X" {
			runs = append(runs, strings.Join([]string{e.Name, string(rune('0' + e.PID)), string(rune('0' + e.TID))}, " "))
			if e.Dur <= 0 {
				t.Errorf("%+v takes no time", e)
			}
		}
	}
	want := "matmul_1_Sx2048x8192_int4_int8 1 1, matmul_1_1x2048x8192_int8_int8 2 1, matmul_1_1x2048x8192_int8_int8 2 2"
	if s := strings.Join(runs, ", "); s != want {
		t.Errorf("kernel, process and thread of the events are %s, expected %s", s, want)
	}
}

// A file for GPUs is timed on one, here an emulated one: kernels and whole answers, without the limits of a processor.
// TestFrozen times executables that answer their own prompts only: a task, which may end before the tokens that were asked
// for, and a text.
func TestFrozen(t *testing.T) {
	for _, frozen := range []build.Frozen{{Task: []string{"detect cat"}}, {Prompt: []string{"caption en", "detect cat"}}} {
		path := filepath.Join(t.TempDir(), "model")
		o := build.Options{CPU: "x86-64-v3", MaxTokens: 311, Frozen: frozen}
		e2e.Build(t, path, filepath.Join(golden.Dir(), "pg1-odd"), e2e.Runtime(t), o)
		want := append(frozen.Task, frozen.Prompt...)[0]
		a, err := answer(t.Context(), path, []manifest.Frozen{{Text: want}}, Options{Threads: 1, Text: 3, New: 12})
		if err != nil {
			t.Fatal(err)
		}
		if a.Prompt != want || a.Start <= 0 || a.First <= 0 || a.Tokens > 12 || (a.Tokens > 0) != (a.PerSecond > 0) || frozen.Task == nil && a.Tokens != 12 {
			t.Errorf("%q: %+v", want, a)
		}
		r := example()
		r.Answer = a
		var text strings.Builder
		r.Print(&text)
		if _, err := json.Marshal(r); err != nil || !strings.Contains(text.String(), "answer to \""+want+"\": first token after ") || strings.Contains(text.String(), "NaN") {
			t.Errorf("%v, %s", err, text.String())
		}
		none := *a
		none.Tokens = 0
		r.Answer, text = &none, strings.Builder{}
		if r.Print(&text); !strings.Contains(text.String(), ", which was the last; from process start ") {
			t.Error(text.String())
		}
	}
}

func TestOnGPU(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model")
	o := build.Options{Target: "cuda", MaxTokens: 311}
	e2e.Build(t, path, filepath.Join(golden.Dir(), "pg1-odd"), []byte("\x7fELF"), o)
	gpus := gputest.GPUs(&emulated.Driver{Zeroed: true})
	r, err := Run(t.Context(), path, Options{Threads: 1, Text: 3, New: 1, GPUs: gpus, Alone: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Phases) != 4 || r.Peaks != nil || r.CPU != "" || r.GPU == "" || r.Answer.PerSecond <= 0 || r.Answer.Start != 0 {
		t.Errorf("%+v, %+v", r, r.Answer)
	}
	for _, p := range r.Phases {
		if len(p.Rows) < 5 || p.Seconds <= 0 || p.Flops == 0 || p.Bytes == 0 {
			t.Errorf("%s: %d kernels, %g s, %d operations, %d bytes", p.Name, len(p.Rows), p.Seconds, p.Flops, p.Bytes)
		}
	}
	var text strings.Builder
	if r.Print(&text); strings.Contains(text.String(), "roof") || strings.Contains(text.String(), "NaN") || strings.Contains(text.String(), "process start") {
		t.Error(text.String())
	}
	trace := filepath.Join(t.TempDir(), "trace.json")
	if err := r.Trace(trace); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(trace); err != nil || strings.Count(string(data), `"cat":"kernel"`) < 50 {
		t.Errorf("the trace: %v, %d bytes", err, len(data))
	}
	if err := r.Roofline("a.svg"); err == nil || !strings.Contains(err.Error(), "the limits of a GPU are not measured") {
		t.Errorf("the roofline: %v", err)
	}
	if _, err := Run(t.Context(), path, Options{Threads: 1, Text: 3, New: 1}); err == nil || !strings.Contains(err.Error(), "kind ptx") {
		t.Errorf("on the processor: %v", err)
	}
}
