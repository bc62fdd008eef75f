package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPagesNameTests looks for the tests that docs/PARITY.md and docs/RELIABILITY.md name; every row names one.
func TestPagesNameTests(t *testing.T) {
	for _, c := range []struct {
		page  string
		row   *regexp.Regexp
		least int // rows
	}{
		{"PARITY.md", regexp.MustCompile(`^\| \d`), 40},
		{"RELIABILITY.md", regexp.MustCompile("^\\| [`A-Z]"), 15},
	} {
		rows := 0
		for _, line := range strings.Split(read(t, "docs", c.page), "\n") {
			if c.row.MatchString(line) {
				rows++
				findTests(t, c.page, line)
			}
		}
		if rows < c.least {
			t.Errorf("%s has %d rows", c.page, rows)
		}
	}
}

// findTests looks for the tests that the last cell of a row names.
func findTests(t *testing.T, page, line string) {
	t.Helper()
	cells := strings.Split(strings.Trim(line, "| "), " | ")
	tests := regexp.MustCompile(`([a-z0-9/]+)\.(Test\w+)`).FindAllStringSubmatch(cells[len(cells)-1], -1)
	if len(tests) == 0 {
		t.Errorf("%s: no test in the row %s", page, line)
	}
	for _, m := range tests {
		dir := m[1]
		if dir == "pgc" { // the module's root
			dir = "."
		}
		files, _ := filepath.Glob(filepath.Join("..", "..", dir, "*_test.go"))
		found := false
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(src), "func "+m[2]+"(")
		}
		if !found {
			t.Errorf("%s.%s is named in docs/%s, but there is no such test", m[1], m[2], page)
		}
	}
}
