package pgc_test

import (
	"context"
	"fmt"
	"iter"
	"log"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgc"
	"pgc/golden"
)

func ExampleModel_Detect() {
	m, err := pgc.Open(demo())
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	d, err := m.Detect(context.Background(), pgc.DetectRequest{
		Image:   pgc.File("models/paligemma/demo/pictures/05-purple.png"),
		Classes: []string{"airplane", "cat"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, o := range d.Objects {
		width, height := o.Box.Box[2]-o.Box.Box[0], o.Box.Box[3]-o.Box.Box[1] // in pixels
		fmt.Printf("%s, wide: %v, high: %v, sure: %v\n", o.Label, width > 60, height > 60, o.Score.Value() > 0.5)
	}
	for _, class := range d.Missing() {
		fmt.Println("no", class)
	}
	// Output:
	// airplane, wide: true, high: true, sure: true
	// no cat
}

func ExampleModel_DetectBatch() {
	m, err := pgc.Open(demo())
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	files := []string{"00-white.png", "missing.png", "06-green.png"}
	requests := func(yield func(pgc.DetectRequest) bool) {
		for _, file := range files {
			if !yield(pgc.DetectRequest{Image: pgc.File("models/paligemma/demo/pictures/" + file), Classes: []string{"bird", "boat"}, DetectSettings: pgc.DetectSettings{PerClass: new(true)}}) {
				return
			}
		}
	}
	for d, err := range m.DetectBatch(context.Background(), requests) {
		if err != nil {
			fmt.Println("error:", err)
			continue
		}
		for _, o := range d.Objects {
			fmt.Print(o.Label, " ")
		}
		fmt.Println(d.FinishReason)
	}
	// Output:
	// boat stop
	// error: image models/paligemma/demo/pictures/missing.png: no such file, expected a PNG, JPEG, GIF, WebP, BMP, TIFF or PNM image
	// bird stop
}

// demoPicture is one of the demo's.
func demoPicture(name string) pgc.Image {
	return pgc.File(filepath.Join(golden.Dir(), "../models/paligemma/demo/pictures", name+".png"))
}

// located are the objects of a detection with scores as numbers.
func located(d *pgc.Detection) (out []string) {
	for _, o := range d.Objects {
		score := "null"
		if o.Score != nil {
			score = fmt.Sprint(*o.Score)
		}
		out = append(out, fmt.Sprint(o.Label, o.Loc, o.Box.Box, score))
	}
	return out
}

// TestDetect: an answer is the same alone and among others of both kinds, with and without scores, and in one prompt a
// class the same as asked for each by itself.
func TestDetect(t *testing.T) {
	m, err := pgc.Open(demo())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	all := []string{"horse", "airplane", "bird", "fish", "guitar", "boat"}
	var tasks []pgc.Task
	for _, name := range []string{"05-purple", "06-green", "00-white"} {
		image := demoPicture(name)
		tasks = append(tasks, pgc.DetectRequest{Image: image, Classes: all[:2]}, pgc.Request{Images: []pgc.Image{image}, Prompt: "caption en"},
			pgc.DetectRequest{Image: image, Classes: all}, pgc.DetectRequest{Image: image, Classes: all[:2], DetectSettings: pgc.DetectSettings{NoScores: true}})
	}
	i, objects := 0, 0
	for got, err := range m.Tasks(t.Context(), slices.Values(tasks)) {
		if err != nil {
			t.Fatal(err)
		}
		r, isDetect := tasks[i].(pgc.DetectRequest)
		i++
		if !isDetect {
			if got.Answer == nil || got.Detection != nil {
				t.Errorf("task %d has %+v", i, got)
			}
			continue
		}
		alone, err := m.Detect(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(located(alone), located(got.Detection)) || alone.Text != got.Detection.Text {
			t.Errorf("task %d: %v, alone %v", i, located(got.Detection), located(alone))
		}
		objects += len(alone.Objects)
		for _, o := range alone.Objects {
			if (o.Score == nil) != r.NoScores || o.Score != nil && (o.Score.Value() < 0.25 || o.Score.Value() > 1) {
				t.Errorf("%+v", o)
			}
		}
		if len(r.Classes) < 5 {
			continue
		}
		if alone.Prompts != len(all) {
			t.Errorf("%d prompts for %d classes", alone.Prompts, len(all))
		}
		var each []string
		for _, c := range r.Classes {
			d, err := m.Detect(t.Context(), pgc.DetectRequest{Image: r.Image, Classes: []string{c}})
			if err != nil {
				t.Fatal(err)
			}
			each = append(each, located(d)...)
		}
		if !reflect.DeepEqual(each, located(alone)) {
			t.Errorf("a class at a time %v, together %v", each, located(alone))
		}
	}
	if i != len(tasks) || objects < 10 {
		t.Errorf("%d of %d tasks, %d objects", i, len(tasks), objects)
	}
}

// TestWatchDetect: pieces are the text, in its order, and the objects of the detection before anything is left out, each no
// later than the text behind it, of one prompt as of several.
func TestWatchDetect(t *testing.T) {
	m, err := pgc.Open(demo())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r := pgc.DetectRequest{Image: demoPicture("05-purple"), Classes: []string{"horse", "airplane", "bird"}}
	r.NMS, r.MinScore = new(1.0), new(0.0)
	for _, r.PerClass = range []*bool{new(false), new(true)} {
		want, err := m.Detect(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		text, found, pieces := "", []string(nil), 0
		d, err := m.WatchDetect(t.Context(), r, func(p pgc.Piece) {
			text, pieces = text+p.Text, pieces+1
			for _, o := range p.Objects {
				found = append(found, fmt.Sprint(o.Label, o.Box.Loc, o.Box.Box))
			}
			if !*r.PerClass && len(found) < strings.Count(text, ";") {
				t.Errorf("%d objects in %q", len(found), text)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, o := range want.Objects {
			all = append(all, fmt.Sprint(o.Label, o.Box.Loc, o.Box.Box))
		}
		if *r.PerClass { // in the order of time
			slices.Sort(found)
			slices.Sort(all)
		}
		if text != want.Text || d.Text != text || !slices.Equal(found, all) || len(all) < 3 || pieces <= len(all) || !reflect.DeepEqual(located(d), located(want)) {
			t.Errorf("%d pieces: %q with %q, expected %q with %q", pieces, text, found, want.Text, all)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := m.WatchDetect(ctx, r, func(pgc.Piece) { cancel() }); err != context.Canceled {
		t.Errorf("%v", err)
	}
}

// TestJointWarning: where one prompt of several classes finds nothing of one, a warning names a prompt for each, unless
// the request has chosen.
func TestJointWarning(t *testing.T) {
	m, err := pgc.Open(demo())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, c := range []struct {
		classes  []string
		settings pgc.DetectSettings
		want     string
	}{
		{[]string{"airplane", "tree"}, pgc.DetectSettings{}, "the answer to one prompt of 2 classes has no tree: a prompt for each may find it (per_class, --per-class)"},
		{[]string{"airplane", "cat"}, pgc.DetectSettings{MinScore: new(1.0)}, ""}, // both are found, with lower scores
		{[]string{"cat"}, pgc.DetectSettings{}, ""},
		{[]string{"airplane", "banana"}, pgc.DetectSettings{PerClass: new(true)}, ""},
		{[]string{"airplane", "banana"}, pgc.DetectSettings{PerClass: new(false)}, ""},
		{[]string{"horse", "cat"}, pgc.DetectSettings{MaxBoxes: new(1)}, ""}, // which says why
		{[]string{"airplane", "horse", "cat", "dog", "bird"}, pgc.DetectSettings{}, ""},
	} {
		d, err := m.Detect(t.Context(), pgc.DetectRequest{Image: demoPicture("05-purple"), Classes: c.classes, DetectSettings: c.settings})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, w := range d.Warnings {
			got += string(w.Kind) + ": " + w.Text
		}
		if want := c.want; got != want && got != "joint-prompt: "+want || want == "" && got != "" {
			t.Errorf("%q %+v: %q, expected %q", c.classes, c.settings, got, want)
		}
	}
}

// TestDetectSettings: scores, suppression and the most boxes leave objects out, and the scale moves boxes.
func TestDetectSettings(t *testing.T) {
	m, err := pgc.Open(demo())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ask := func(set func(s *pgc.DetectSettings)) *pgc.Detection {
		t.Helper()
		r := pgc.DetectRequest{Image: demoPicture("05-purple"), Classes: []string{"horse"}}
		set(&r.DetectSettings)
		d, err := m.Detect(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	usual := ask(func(*pgc.DetectSettings) {})
	if len(usual.Objects) != 2 || usual.FinishReason != pgc.Stop || usual.Suppressed != 0 {
		t.Fatalf("%+v", usual)
	}
	if d := ask(func(s *pgc.DetectSettings) { s.MinScore = new(1.0) }); len(d.Objects) != 0 || !slices.Equal(d.Missing(), []string{"horse"}) {
		t.Errorf("%+v", d)
	}
	if d := ask(func(s *pgc.DetectSettings) { s.NMS = new(0.0) }); len(d.Objects)+d.Suppressed != 2 {
		t.Errorf("%+v", d)
	}
	if d := ask(func(s *pgc.DetectSettings) { s.MaxBoxes = new(1) }); len(d.Objects) != 1 || d.FinishReason != pgc.Length {
		t.Errorf("%+v", d)
	}
	scaled := ask(func(s *pgc.DetectSettings) { s.BoxScale = 1023 }).Objects[0]
	if want := float64(scaled.Loc[1]) / 1023 * float64(usual.Width); scaled.Box.Box[0] != want || scaled.Loc != usual.Objects[0].Loc {
		t.Errorf("%+v, expected x0 %v", scaled, want)
	}
}

// TestDetectErrors: what cannot be asked is one sentence.
func TestDetectErrors(t *testing.T) {
	m, err := pgc.Open(demo())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	image := demoPicture("05-purple")
	many := strings.Split(strings.Repeat("a thing with a name so long that few fit;", 30), ";")
	for i := range many {
		many[i] += strings.Repeat("x", i)
	}
	settings := func(set func(s *pgc.DetectSettings)) pgc.DetectRequest {
		r := pgc.DetectRequest{Image: image, Classes: []string{"cat"}}
		set(&r.DetectSettings)
		return r
	}
	for _, c := range []struct {
		r    pgc.DetectRequest
		says string
	}{
		{pgc.DetectRequest{Image: image}, "no class is named"},
		{pgc.DetectRequest{Image: image, Classes: []string{"a ; b"}}, `holds ';'`},
		{pgc.DetectRequest{Image: image, Classes: []string{"<loc0001>"}}, `holds '<'`},
		{pgc.DetectRequest{Classes: []string{"cat"}}, "zero Image"},
		{pgc.DetectRequest{Image: image, Classes: []string{"cat"}, Adapter: "none"}, `no adapter is called "none"`},
		{pgc.DetectRequest{Image: image, Classes: many, DetectSettings: pgc.DetectSettings{PerClass: new(false)}}, "the KV cache holds 311"},
		{pgc.DetectRequest{Image: image, Classes: []string{strings.Repeat("word ", 400)}}, "the KV cache holds 311"},
		{settings(func(s *pgc.DetectSettings) { s.MinScore = new(1.5) }), "min_score is 1.5, expected 0 to 1"},
		{settings(func(s *pgc.DetectSettings) { s.NMS = new(-1.0) }), "nms is -1"},
		{settings(func(s *pgc.DetectSettings) { s.MaxBoxes = new(0) }), "max_boxes is 0, expected 1 or more"},
		{settings(func(s *pgc.DetectSettings) { s.BoxScale = 7 }), "box_scale is 7, expected 1024 or 1023"},
		{settings(func(s *pgc.DetectSettings) { s.MinScore, s.NoScores = new(0.5), true }), "min_score and no_scores are given"},
	} {
		if _, err := m.Detect(t.Context(), c.r); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.100v: %v, expected %s", c.r.Classes, err, c.says)
		}
	}
	var none iter.Seq[pgc.Task] = func(yield func(pgc.Task) bool) { yield(nil) }
	for _, err := range m.Tasks(t.Context(), none) {
		if err == nil {
			t.Error("a nil task is no error")
		}
	}
}
