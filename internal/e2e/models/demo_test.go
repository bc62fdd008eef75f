package models

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/internal/e2e"
)

// asked writes a file of requests, a line for each row, and returns its path.
func asked(t *testing.T, rows []e2e.DemoAnswer, logprobs bool) (path string) {
	t.Helper()
	demo, _ := e2e.DemoAnswers(t)
	var lines strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&lines, "{\"images\":[%q],\"prompt\":%q,\"logprobs\":%v}\n", filepath.Join(demo, "pictures", r.Image), r.Prompt, logprobs)
	}
	path = filepath.Join(t.TempDir(), "in.jsonl")
	if err := os.WriteFile(path, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDemo compiles the demo checkpoints and compares their answers about the sample pictures with transformers',
// those for which no logits are written with those for which they are, some with those of generate, and areas of masks
// with torch's.
func TestDemo(t *testing.T) {
	demo, all := e2e.DemoAnswers(t)
	of := map[string][]e2e.DemoAnswer{}
	for _, r := range all {
		of[r.Checkpoint] = append(of[r.Checkpoint], r)
	}
	compared, masks := 0, 0
	for name, rows := range of {
		exe := filepath.Join(t.TempDir(), name)
		e2e.CompileTo(t, exe, filepath.Join(demo, name))
		answers := e2e.Replies(t, e2e.MustRun(t, exe, "batch", "--input", asked(t, rows, false), "--output", "-"))
		scored := e2e.Replies(t, e2e.MustRun(t, exe, "batch", "--input", asked(t, rows, true), "--output", "-"))
		if len(answers) != len(rows) || len(scored) != len(rows) {
			t.Fatalf("%s: %d and %d answers to %d requests", name, len(answers), len(scored), len(rows))
		}
		for i, r := range rows {
			a, b := answers[i], scored[i]
			if len(a.Tokens) == 0 || !slices.Equal(a.Tokens, b.Tokens) || len(b.Logprobs) != len(b.Tokens) {
				t.Errorf("%s, answer %d: tokens %v without log-probabilities, %v with %d of them", name, i, a.Tokens, b.Tokens, len(b.Logprobs))
			}
			if i%10 == 0 {
				args := []string{"generate", "--json", "--image", filepath.Join(demo, "pictures", r.Image), "--prompt", r.Prompt}
				if g := e2e.Replies(t, e2e.MustRun(t, exe, args...))[0]; !slices.Equal(g.Tokens, a.Tokens) || g.Text != a.Text {
					t.Errorf("%s, answer %d: generate says %q, batch %q", name, i, g.Text, a.Text)
				}
			}
			if r.Margin < 1e-3 {
				continue // a tie in the reference
			}
			compared++
			if r.Kind == "segment" && len(r.Areas) == strings.Count(r.Text, "<loc")/4 { // all codes: the grammar lets it be
				compareAreas(t, exe, filepath.Join(demo, "pictures", r.Image), r)
				masks += len(r.Areas)
			}
			if !slices.Equal(a.Tokens, r.Tokens) || a.Text != r.Text {
				t.Errorf("%s %s %q: %q, transformers says %q", name, r.Image, r.Prompt, a.Text, r.Text)
			}
		}
	}
	t.Logf("%d of %d answers and %d masks compared, %d checkpoints", compared, len(all), masks, len(of))
	if len(of) != 2 || compared < 100 || masks < 20 {
		t.Errorf("only %d answers and %d masks of %d checkpoints compared", compared, masks, len(of))
	}
}

// compareAreas segments what an answer is about and compares the areas of its masks with the answer's: pixels at an
// edge may round differently.
func compareAreas(t *testing.T, exe, picture string, want e2e.DemoAnswer) {
	t.Helper()
	var got struct {
		Boxes []struct{ Area int }
	}
	classes := strings.TrimPrefix(want.Prompt, "segment ")
	out := e2e.MustRun(t, exe, "segment", picture, classes, "--format", "json", "--min-score", "0", "--nms", "1", "--no-per-class")
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	var areas []int
	for _, b := range got.Boxes {
		areas = append(areas, b.Area)
	}
	if !slices.EqualFunc(areas, want.Areas, func(a, b int) bool { return max(a-b, b-a) <= 2 }) {
		t.Errorf("%s %s %q: masks of %d pixels, torch says %d", want.Checkpoint, want.Image, want.Prompt, areas, want.Areas)
	}
}
