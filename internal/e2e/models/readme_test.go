package models

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pgc/internal/e2e"
)

// command is a command line of README that runs the demo, and what it says that it prints.
var command = regexp.MustCompile(`(?m)^    \$ bin/demo (.*)\n((?:    [^$\n].*\n)+)`)

// scored is a row of a table of objects up to its score, whose last digit may differ between instruction sets.
var scored = regexp.MustCompile(`(?m)^(\w+ +)\d\.\d\d`)

// TestReadme: the demo prints what README says.
func TestReadme(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(t.TempDir(), "demo")
	e2e.CompileTo(t, exe, filepath.Join(root, "models/paligemma/demo/paligemma-demo"))
	found := command.FindAllStringSubmatch(string(text), -1)
	if len(found) < 4 {
		t.Errorf("README has %d commands of the demo, expected 4 or more", len(found))
	}
	for _, m := range found {
		var args []string
		for i, part := range strings.Split(m[1], `"`) {
			if i%2 == 1 {
				args = append(args, part)
				continue
			}
			args = append(args, strings.Fields(part)...)
		}
		for i, a := range args {
			switch {
			case strings.HasPrefix(a, "models/"):
				args[i] = filepath.Join(root, a)
			case i > 0 && args[i-1] == "--draw":
				args[i] = filepath.Join(t.TempDir(), a)
			}
		}
		plain := func(s string) string { return scored.ReplaceAllString(strings.TrimSpace(s), "$1") }
		want := plain(strings.ReplaceAll("\n"+m[2], "\n    ", "\n"))
		if got := plain(string(e2e.MustRun(t, exe, args...))); got != want {
			t.Errorf("bin/demo %s prints\n%s\nREADME says\n%s", m[1], got, want)
		}
	}
}
