package bench

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgc/internal/e2e"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// TestAlign expects what two functions have in common beside what only one has.
func TestAlign(t *testing.T) {
	none, adapter := strings.Fields("row_2 mul_3 row_2 mul_4 row_5"), strings.Fields("row_9 mul_1 mul_3 row_9 mul_1 mul_4 row_5 row_5")
	var got []string
	for _, s := range align(0, none, adapter) {
		if s.none >= 0 && none[s.none] != s.kernel || s.adapter >= 0 && adapter[s.adapter] != s.kernel {
			t.Fatalf("%+v is no launch of both", s)
		}
		got = append(got, fmt.Sprint(s.none, s.adapter))
	}
	for _, want := range []string{"1 2", "3 5", "0 -1", "2 -1", "-1 0", "-1 1", "-1 3", "-1 4"} {
		if !slices.Contains(got, want) {
			t.Errorf("launches %v, expected %s among them", got, want)
		}
	}
	if len(got) != len(none)+len(adapter)-3 {
		t.Errorf("%d steps, expected the two functions with three launches in common", len(got))
	}
}

// TestCompared expects the mean of the middle half of differences, so that one turn that was disturbed does not count.
func TestCompared(t *testing.T) {
	s := step{kernel: "k", none: 0, adapter: 0}
	for i := range 12 {
		s.times[0], s.times[1], s.times[2] = append(s.times[0], 100+float64(i)), append(s.times[1], 100+float64(i)), append(s.times[2], 105+float64(i))
	}
	s.times[2][3] = 1000
	extra := step{kernel: "first", none: -1, adapter: 1, times: [3]lap{make(lap, 12), make(lap, 12), slices.Repeat(lap{2}, 12)}}
	c := compared([]step{s, extra})
	if math.Abs(c.Time.Again-c.Time.None) > 1e-9 || math.Abs(c.Time.Adapter-c.Time.None-7) > 1e-9 {
		t.Errorf("times %+v, expected 7 seconds more with the adapter and as many again", c.Time)
	}
	if r := c.Rows[1]; r.Kernel != "first" || r.Launches != [2]int{0, 1} || math.Abs(r.Seconds.Adapter-2) > 1e-9 {
		t.Errorf("row %+v, expected one launch of 2 seconds with the adapter alone", r)
	}
}

// TestCompare compares the functions of an executable with adapters: each has launches of its own with one.
func TestCompare(t *testing.T) {
	exe := e2e.WithAdapters(t)
	image, err := program.OpenFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	m, err := manifest.Decode(image.Program.Model)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Compare(t.Context(), exe, m.Adapters[0].Name, 4, Options{Threads: 2, Text: 4})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Phases) < 4 {
		t.Errorf("%d phases, expected the encoder, prefill and two steps of decoding", len(c.Phases))
	}
	for _, p := range c.Phases {
		launches := [2]int{}
		for _, r := range p.Rows {
			launches[0], launches[1] = launches[0]+r.Launches[0], launches[1]+r.Launches[1]
		}
		if p.Time.None <= 0 || p.Time.Adapter <= 0 || p.Turns != 6 || launches[0] == 0 || launches[1] < launches[0] {
			t.Errorf("%s: %+v, %d turns, launches %v: expected times of 6 turns, and no fewer launches with the adapter", p.Name, p.Time, p.Turns, launches)
		}
	}
	var text bytes.Buffer
	if c.Print(&text); !strings.Contains(text.String(), "with adapter "+m.Adapters[0].Name) {
		t.Errorf("printed %q", text.String())
	}
	if _, err := Compare(t.Context(), exe, "nobody", 1, Options{Threads: 1, Text: 4}); err == nil || !strings.Contains(err.Error(), "no adapter is called \"nobody\"") {
		t.Errorf("an unknown adapter: %v", err)
	}
}
