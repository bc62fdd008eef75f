package passes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPassesDocument holds the list in docs/PASSES.md to the pipeline, and every optional pass to having fixtures and a
// reason for its place.
func TestPassesDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("| pass | what it does | it must run |\n|---|---|---|\n")
	for _, p := range Pipeline {
		var reasons []string
		for _, c := range constraints {
			switch p.Name {
			case c.before:
				reasons = append(reasons, fmt.Sprintf("before `%s`: %s", c.after, c.reason))
			case c.after:
				reasons = append(reasons, fmt.Sprintf("after `%s`", c.before))
			}
		}
		if len(reasons) == 0 {
			t.Errorf("%s has no constraint that says why it stands where it does", p.Name)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", p.Name, p.Doc, strings.Join(reasons, "; "))
		fixtures, _ := filepath.Glob(filepath.Join("testdata", strings.TrimSuffix(p.Name, "-again"), "*.pgir"))
		if !strings.HasSuffix(p.Name, "dce") && len(fixtures) == 0 {
			t.Errorf("%s has no fixtures", p.Name)
		}
	}
	const path, begin, end = "../docs/PASSES.md", "<!-- passes: go test ./passes -update writes this -->\n", "<!-- end -->"
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(src), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the list", path)
	}
	want := head + begin + b.String() + end + tail
	if *update {
		err = os.WriteFile(path, []byte(want), 0o644)
	}
	if err != nil || !*update && string(src) != want {
		t.Errorf("the list in %s is not the pipeline (%v): go test ./passes -update writes it", path, err)
	}
}

// A pipeline in another order than its constraints ask for is refused, and so is a constraint of a pass that is not
// there.
func TestOrderOfPasses(t *testing.T) {
	for _, c := range constraints {
		swapped := slices.Clone(Pipeline)
		i := slices.IndexFunc(swapped, func(p Pass) bool { return p.Name == c.before })
		j := slices.IndexFunc(swapped, func(p Pass) bool { return p.Name == c.after })
		swapped[i], swapped[j] = swapped[j], swapped[i]
		if err := checkConstraints(swapped, constraints); err == nil || !strings.Contains(err.Error(), "must run before") {
			t.Errorf("%s and %s in each other's place: %v", c.before, c.after, err)
		}
	}
	for want, c := range map[string]constraint{
		"names a pass that is not there": {"fuse-everything", "legalize", ""},
		"dce must run before cse":        {"dce", "cse", "a test"},
	} {
		if err := checkConstraints(Pipeline, []constraint{c}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q, got %v", want, err)
		}
	}
	if err := checkConstraints(append(slices.Clone(Pipeline), Pipeline[0]), nil); err == nil {
		t.Error("a pass that occurs twice is not refused")
	}
}
