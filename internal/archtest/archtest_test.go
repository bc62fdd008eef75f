// Package archtest holds the rules of docs/ARCHITECTURE.md: who may import whom, how long files are, that every package
// says what it is.
package archtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath, Doc                    string
	Imports, TestImports, XTestImports []string // direct ones
}

// name returns the path of the package within the module, which is pgc for its root.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, "pgc/") }

// imports returns the packages of this module and the modules that paths name, without the standard library and p
// itself.
func (p pkg) imports(paths, modules []string) (out []string) {
	for _, path := range paths {
		switch m := slices.IndexFunc(modules, func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") }); {
		case path == p.ImportPath:
		case path == "pgc" || strings.HasPrefix(path, "pgc/"):
			out = append(out, strings.TrimPrefix(path, "pgc/"))
		case m >= 0:
			out = append(out, modules[m])
		case strings.Contains(strings.Split(path, "/")[0], "."):
			out = append(out, path) // of an indirect dependency, which no row can name
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// listed are the packages that go list has listed.
var listed []pkg

func packages(t *testing.T) []pkg {
	t.Helper()
	if listed != nil {
		return listed
	}
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,TestImports,XTestImports", "pgc/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	listed = list
	return list
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// modules returns the modules that go.mod requires directly, in order.
func modules(t *testing.T) (out []string) {
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(read(t, "go.mod"), -1) {
		out = append(out, m[1])
	}
	return out
}

// TestImports holds the code to the tables of docs/ARCHITECTURE.md, and the tables to the code.
func TestImports(t *testing.T) {
	p, err := parsePolicy(read(t, "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatalf("docs/ARCHITECTURE.md: %v", err)
	}
	for _, v := range p.violations(packages(t), modules(t)) {
		t.Errorf("docs/ARCHITECTURE.md: %s", v)
	}
}

// TestPolicy breaks a small policy in every way.
func TestPolicy(t *testing.T) {
	const page = "### `low`\n\n| package | its job | imports |\n|---|---|---|\n| `a`, `b` | – | `m.org/x` |\n" +
		"### `high`: more\n\n| `c/{d,e}` | – | `a`, **high** |\n## End\n| `not` | a | row |\n"
	list := []pkg{
		{ImportPath: "pgc/a", Imports: []string{"fmt", "m.org/x/y"}}, {ImportPath: "pgc/b"},
		{ImportPath: "pgc/c/d", Imports: []string{"pgc/a", "pgc/c/e"}, XTestImports: []string{"pgc/b", "pgc/c/d", "testing"}}, {ImportPath: "pgc/c/e"},
	}
	with := func(p pkg) []pkg { return append(slices.Clone(list), p) }
	for _, c := range []struct {
		old, new string
		list     []pkg
		want     string
	}{
		{"", "", list, ""},
		{"", "", with(pkg{ImportPath: "pgc", Imports: []string{"pgc/b", "m.org/x"}}), "pgc has no row: add to the table of its layer\n| `pgc` | its job | `b`, `m.org/x` |"},
		{"", "", with(pkg{ImportPath: "pgc/a", Imports: []string{"pgc/b"}}), "line 5: a imports b, which its row does not allow"},
		{"", "", with(pkg{ImportPath: "pgc/a", Imports: []string{"pgc/b"}}), "line 5: as the code is, the row would be\n| `a`, `b` | – | `m.org/x`, `b` |"},
		{"", "", with(pkg{ImportPath: "pgc/a", Imports: []string{"n.org/z"}}), "line 5: a imports n.org/z"},
		{"", "", with(pkg{ImportPath: "pgc/b", TestImports: []string{"pgc/c/d"}}), "a test of b imports c/d, a package of a higher layer"},
		{"`a`, **high**", "`a`, `b`, **high**", list, "line 8: none of the row's packages imports b"},
		{"`a`, **high**", "`a`, `b`, **high**", list, "line 8: as the code is, the row would be\n| `c/{d,e}` | – | `a`, **high** |"},
		{"`a`, **high**", "`a`, `x`, **high**", list, "line 8: x is no package, layer or module"},
		{"`m.org/x`", "`m.org/x`, **high**", list, "line 5: **high** is of a higher layer"},
		{"`m.org/x`", "`m.org/x`, `c/d`", list, "line 5: c/d is of a higher layer"},
		{"`a`, `b` |", "`a`, `b`, `x` |", list, "line 5: there is no package x"},
		{"{d,e}", "{d,e}`, `a", list, "line 8: a is in line 5, too"},
		{"`a`, **high**", "`a` and **high**", list, "line 8: expected | `package`"},
	} {
		p, err := parsePolicy(strings.Replace(page, c.old, c.new, 1))
		var got []string
		if err != nil {
			got = []string{err.Error()}
		} else {
			got = p.violations(c.list, []string{"m.org/x"})
		}
		found := slices.ContainsFunc(got, func(v string) bool { return strings.HasPrefix(v, c.want) })
		if c.want == "" && len(got) > 0 || c.want != "" && !found {
			t.Errorf("with %q for %q: %q, expected %q", c.new, c.old, got, c.want)
		}
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && !strings.HasSuffix(p.ImportPath, "/archtest") {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// TestFilesAreShort holds files to 500 lines, and their comments to the one wrap width.
func TestFilesAreShort(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		lines := 0
		for s := bufio.NewScanner(f); s.Scan(); {
			lines++
			if text := strings.TrimLeft(s.Text(), "\t"); strings.HasPrefix(text, "// ") && utf8.RuneCountInString(text) > 140 {
				t.Errorf("%s:%d: a comment of %d columns, expected 140 at most", path, lines, utf8.RuneCountInString(text))
			}
		}
		if lines > 500 {
			t.Errorf("%s has %d lines", path, lines)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFixedVersions(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), "github.com/llir/llvm v0.3.6\n") {
		t.Error("go.mod does not ask for github.com/llir/llvm v0.3.6")
	}
}

// TestProcessorRuntime holds the runtime of executables for processors free of what opens the system's libraries.
func TestProcessorRuntime(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "pgc/cmd/pgcrt")
	list.Env = append(os.Environ(), "CGO_ENABLED=0") // as runtimes are built
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"github.com/ebitengine/purego", "pgc/runtime/cuda", "pgc/runtime/gpu", "runtime/cgo"} {
		if slices.Contains(strings.Fields(string(out)), path) {
			t.Errorf("cmd/pgcrt is linked to %s", path)
		}
	}
}
