package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestLinks follows the links between the pages: to a file that is there, and to a heading of it.
func TestLinks(t *testing.T) {
	pages := map[string]string{}
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "out" || d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2):
			return filepath.SkipDir
		case filepath.Ext(path) == ".md":
			text, err := os.ReadFile(path)
			pages[path] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for page, text := range pages {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			file, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(file, "://") {
				continue
			}
			links++
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %s leads nowhere", page, m[1])
			} else if heading != "" && !slices.Contains(headings(pages[to]), heading) {
				t.Errorf("%s: %s is no heading of %s", page, heading, to)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links", links)
	}
}

// headings returns the names that links give the headings of a page.
func headings(page string) (names []string) {
	page = regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(page, "")
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		plain := regexp.MustCompile(`[^\pL\pN_ -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(plain, " ", "-"))
	}
	return names
}

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
