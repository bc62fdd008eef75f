package archtest

import (
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// theirs are files of other projects that the pages name.
var theirs = []string{"convert_paligemma_weights_to_hf.py"}

// made are the folders of what commands make, which is in no checkout.
var made = []string{"bin", "out"}

// tree is what the pages may name.
type tree struct {
	files   []string            // and folders, from the root
	tests   map[string][]string // tests, fuzz targets and benchmarks, by folder
	targets []string            // of the Makefile
	sources map[string]string   // of Go, by package
}

func (t *tree) has(name string) bool { return slices.Contains(t.files, name) }

// TestPagesNameWhatIsThere looks for the files, folders, tests, packages and targets of make that the pages name.
func TestPagesNameWhatIsThere(t *testing.T) {
	tr := readTree(t)
	named := 0
	for _, page := range tr.files {
		if path.Ext(page) != ".md" {
			continue
		}
		for line := range strings.Lines(joined.ReplaceAllString(read(t, page), "$1 $2")) {
			n, wrong := tr.check(path.Dir(page), line)
			named += n
			for _, w := range wrong {
				t.Errorf("%s: %s is not there: %s", page, w, strings.TrimSpace(line))
			}
		}
	}
	if named < 1000 {
		t.Errorf("the pages name only %d things", named)
	}
}

// TestWrongNames checks that what is not there is found.
func TestWrongNames(t *testing.T) {
	tr := readTree(t)
	for line, wrong := range map[string]string{
		"see `ir/ops_gone.go`":                                "ir/ops_gone.go",
		"see `passes/gone`, a folder":                         "passes/gone",
		"the row of `mma_gone.go`":                            "mma_gone.go",
		"`runtime/{parts,gone}/full.go`":                      "runtime/gone/full.go",
		"(`TestNoSuchThing`)":                                 "TestNoSuchThing",
		"`go test ./gone -run X`":                             "./gone",
		"`go test ./internal/archtest -run 'Links|Gone' -v`":  "Gone in ./internal/archtest",
		"go test ./internal/archtest -run TestLinks/sub":      "",
		"go test ./internal/... -run TestLinks -count=1":      "",
		"`go test ./codegen/ptx/... -run TestLinks`":          "TestLinks in ./codegen/ptx/...",
		"`x.test -test.run 'TestLinks|TestGone'`":             "TestGone in ./...",
		"see docs/GONE.md, too":                               "docs/GONE.md",
		"a `backend.Backend` and an `engine.Executioner`":     "engine.Executioner",
		"`codegen/NAME`":                                      "",
		"`make gone` and `make test`":                         "make gone",
		"`passes/testdata/*.gone`":                            "passes/testdata/*.gone",
		"`bin/demo`, `out/page` and `models/<name>` are fine": "",
	} {
		_, got := tr.check(".", line)
		if want := strings.Fields(wrong); len(got) != min(1, len(want)) || wrong != "" && got[0] != wrong {
			t.Errorf("%s: %q, expected %q", line, got, wrong)
		}
	}
}

// known is the tree that readTree has read.
var known *tree

func readTree(t *testing.T) *tree {
	t.Helper()
	if known != nil {
		return known
	}
	tr := &tree{tests: map[string][]string{}, sources: map[string]string{"pgc": ""}}
	root := filepath.Join("..", "..")
	test := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w*)\(`)
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (strings.HasPrefix(name, ".") && len(name) > 2 || name == "node_modules" || filepath.Dir(file) == root && slices.Contains(made, name)) {
			return filepath.SkipDir
		}
		file = filepath.ToSlash(strings.TrimPrefix(file, root+string(filepath.Separator)))
		tr.files = append(tr.files, file)
		if path.Ext(file) == ".go" {
			of := path.Base(path.Dir(file))
			if of == "." {
				of = "pgc"
			}
			text := read(t, file)
			tr.sources[of] += text
			if strings.HasSuffix(file, "_test.go") {
				for _, m := range test.FindAllStringSubmatch(text, -1) {
					tr.tests[path.Dir(file)] = append(tr.tests[path.Dir(file)], m[1])
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		tr.targets = append(tr.targets, m[1])
	}
	known = tr
	return tr
}

var (
	joined      = regexp.MustCompile("([^\\n])\\n([\\w./'`(])") // lines of a paragraph
	testName    = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)
	makeName    = regexp.MustCompile("(?:^ {4}|`)make ([a-z][a-z0-9-]*)")
	goTest      = regexp.MustCompile("(?:go test|[.]test) ([^`]*)")
	pattern     = regexp.MustCompile(`-(?:test\.)?(?:run|bench) ('[^']*'|\S+)`)
	packageN    = regexp.MustCompile(`(?:^|\s)(\./[\w./-]*)`)
	code        = regexp.MustCompile("`[^`]+`")
	placeholder = regexp.MustCompile(`(?:^|/)[A-Z]+(?:/|$)`) // codegen/NAME
	fileName    = regexp.MustCompile(`^[\w.*-]+(/[\w.*-]+)*$`)
	plain       = regexp.MustCompile(`[\w.*-]+(?:/[\w.*-]+)+\.(?:go|py|sh|md|s|json|txt|ptx|bin)\b`)
	goName      = regexp.MustCompile(`^([a-z]\w*)\.([A-Z]\w*)(?:\.\w+)*$`)
	source      = regexp.MustCompile(`\.(go|py|sh|s|md|mjs)$`)
)

// check returns how many things a line of a page in dir names that it looked for, and those that are not there.
func (t *tree) check(dir, line string) (named int, wrong []string) {
	look := func(found bool, name string) {
		named++
		if !found && !slices.Contains(wrong, name) {
			wrong = append(wrong, name)
		}
	}
	for _, m := range goTest.FindAllStringSubmatch(line, -1) {
		packages := packageN.FindAllStringSubmatch(m[1], -1)
		for _, p := range packages {
			look(len(t.below(p[1])) > 0 || strings.Contains(p[1], "PACKAGE"), p[1])
		}
		in := "./..."
		if len(packages) == 1 {
			in = packages[0][1]
		}
		for _, run := range pattern.FindAllStringSubmatch(m[1], -1) {
			first, _, _ := strings.Cut(strings.Trim(run[1], `'),.;`), "/") // of the test, not of its parts
			for alternative := range strings.SplitSeq(first, "|") {
				look(alternative == "^$" || len(t.below(in)) == 0 || t.matches(alternative, in), alternative+" in "+in)
			}
		}
		line = strings.Replace(line, m[0], "", 1)
	}
	for _, name := range testName.FindAllString(line, -1) {
		look(t.matches("^"+name+"$", "./..."), name)
	}
	for _, m := range makeName.FindAllStringSubmatch(line, -1) {
		look(slices.Contains(t.targets, m[1]), "make "+m[1])
	}
	for _, span := range code.FindAllString(line, -1) {
		for word := range strings.FieldsSeq(strings.Trim(span, "`")) {
			for _, name := range expand(strings.TrimRight(word, ".,;:)/")) {
				t.file(dir, name, look)
			}
		}
	}
	for _, name := range plain.FindAllString(code.ReplaceAllString(line, ""), -1) {
		t.file(dir, name, look)
	}
	return named, wrong
}

// file looks for what is written as a file or folder of this repository: a source's name, or a path that begins at the root.
func (t *tree) file(dir, name string, look func(bool, string)) {
	top, _, below := strings.Cut(name, "/")
	if m := goName.FindStringSubmatch(name); m != nil && t.sources[m[1]] != "" && !strings.HasPrefix(dir, "clients") { // Python's pgc
		look(regexp.MustCompile(`\b`+m[2]+`\b`).MatchString(t.sources[m[1]]), name)
		return
	}
	switch {
	case !fileName.MatchString(name) || placeholder.MatchString(name) || slices.Contains(made, top) || slices.Contains(theirs, name):
	case below && t.has(top):
		pkg := regexp.MustCompile(`\.[A-Z]\w*(\.\w+)?$`).ReplaceAllString(name, "") // of a package, one of its names
		look(t.glob(name) || t.glob(path.Join(dir, name)) || pkg != name && t.glob(pkg), name)
	case !below && source.MatchString(name):
		look(slices.ContainsFunc(t.files, func(f string) bool { return path.Base(f) == name }), name)
	}
}

func (t *tree) glob(name string) bool {
	return t.has(name) || slices.ContainsFunc(t.files, func(f string) bool { ok, _ := path.Match(name, f); return ok })
}

// below returns the folders of tests that a pattern of packages names.
func (t *tree) below(packages string) (dirs []string) {
	dir, all := strings.CutSuffix(packages, "...")
	dir = path.Clean(dir)
	for d := range t.tests {
		if d == dir || all && (dir == "." || strings.HasPrefix(d, dir+"/")) {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

// matches reports whether an expression of -run finds a test in packages.
func (t *tree) matches(expr, packages string) bool {
	re, err := regexp.Compile(expr)
	return err == nil && slices.ContainsFunc(t.below(packages), func(d string) bool { return slices.ContainsFunc(t.tests[d], re.MatchString) })
}
