package passes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPassesDocument holds the list in docs/PASSES.md to the pipeline, and every optional pass to having fixtures.
func TestPassesDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("| pass | what it does | why it stands there |\n|---|---|---|\n")
	for _, p := range Pipeline {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", p.Name, p.Doc, p.Place)
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
