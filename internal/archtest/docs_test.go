package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestParityNamesTests looks for the tests that docs/PARITY.md names; every row names one.
func TestParityNamesTests(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "PARITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`([a-z0-9/]+)\.(Test\w+)`)
	rows := 0
	for _, line := range strings.Split(string(page), "\n") {
		if !regexp.MustCompile(`^\| \d`).MatchString(line) {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		tests := name.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(tests) == 0 {
			t.Errorf("no test in the row %s", line)
		}
		for _, m := range tests {
			files, _ := filepath.Glob(filepath.Join(root, m[1], "*_test.go"))
			found := false
			for _, file := range files {
				src, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				found = found || strings.Contains(string(src), "func "+m[2]+"(")
			}
			if !found {
				t.Errorf("%s.%s is named in docs/PARITY.md, but there is no such test", m[1], m[2])
			}
		}
	}
	if rows < 40 {
		t.Errorf("%d rows", rows)
	}
}
