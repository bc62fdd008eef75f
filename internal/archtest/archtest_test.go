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
	"slices"
	"strings"
	"testing"
)

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath, Doc string
	Deps            []string // everything it imports, directly or not
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Deps", "pgc/...")
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
	return list
}

// rules forbid packages under the first path to import packages under the second.
var rules = [][2]string{
	{"pgc/passes", "pgc/codegen"}, {"pgc/codegen", "pgc/passes"}, {"pgc/codegen", "pgc/models"}, {"pgc/codegen", "pgc/frontend"},
	{"pgc/codegen/llvm", "pgc/ir"}, {"pgc/codegen/kernels", "pgc/ir"}, {"pgc/codegen/link", "pgc/ir"},
	{"pgc/codegen/cpu", "pgc/ir"}, {"pgc/codegen/lower", "pgc/codegen/cpu"}, {"pgc/codegen/lower", "pgc/codegen/ptx"},
	{"pgc/codegen/lower", "pgc/codegen/llvm"}, {"pgc/codegen/weights", "pgc/codegen/lower"},
	{"pgc/codegen/ptx", "pgc/ir"}, {"pgc/codegen/ptx/emu", "pgc/codegen"}, {"pgc/codegen/ptx/cuda", "pgc"},
	{"pgc/runtime", "pgc/ir"}, {"pgc/runtime", "pgc/frontend"}, {"pgc/runtime", "pgc/passes"}, {"pgc/runtime", "pgc/codegen"},
	{"pgc/runtime", "pgc/models"}, {"pgc/runtime", "pgc/cmd"},
	{"pgc/ir", "pgc/frontend"}, {"pgc/ir", "pgc/passes"}, {"pgc/ir", "pgc/codegen"}, {"pgc/ir", "pgc/models"},
	{"pgc/passes", "pgc/models"}, {"pgc/passes", "pgc/frontend"}, {"pgc/passes", "pgc/runtime"},
	{"pgc/frontend", "pgc/passes"}, {"pgc/frontend", "pgc/codegen"}, {"pgc/frontend", "pgc/cmd"},
	{"pgc/frontend", "pgc/models"}, {"pgc/frontend", "pgc/checkpoint"}, {"pgc/models", "pgc/checkpoint"},
	{"pgc/checkpoint", "pgc/passes"}, {"pgc/checkpoint", "pgc/codegen"}, {"pgc/checkpoint", "pgc/cmd"},
	{"pgc/ir", "pgc/checkpoint"}, {"pgc/passes", "pgc/checkpoint"}, {"pgc/codegen", "pgc/checkpoint"}, {"pgc/runtime", "pgc/checkpoint"},
	{"pgc/models", "pgc/passes"}, {"pgc/models", "pgc/codegen"},
}

// allowed are the parts of ir that a backend is built on.
var allowed = map[string]bool{"pgc/ir/tile": true, "pgc/ir/target": true, "pgc/ir/scalar": true, "pgc/ir/quant": true}

func under(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		for _, r := range rules {
			if !under(p.ImportPath, r[0]) {
				continue
			}
			for _, i := range p.Deps {
				backend := under(r[0], "pgc/codegen") && r[1] == "pgc/ir"
				if under(i, r[1]) && !(backend && allowed[i]) {
					t.Errorf("%s imports %s", p.ImportPath, i)
				}
			}
		}
	}
}

// Programs that do not run on GPUs stay static: only one package opens libraries, and only tests import it.
func TestOnlyCUDAOpensLibraries(t *testing.T) {
	found := false
	for _, p := range packages(t) {
		if !slices.Contains(p.Deps, "github.com/ebitengine/purego") {
			continue
		}
		if found = true; p.ImportPath != "pgc/codegen/ptx/cuda" {
			t.Errorf("%s depends on purego", p.ImportPath)
		}
	}
	if !found {
		t.Error("no package depends on purego")
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && !strings.HasSuffix(p.ImportPath, "/archtest") {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

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
