package archtest

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// public are the packages whose exported names are for other programs.
var public = []string{"pgc", "pgc/compile", "pgc/frontend"}

// oracles are what only tests use and yet is no test, with the reason.
var oracles = map[string]string{
	"pgc/codegen/ptx/emu.ReadMemo":      "tests of executables keep what the emulator did for later runs",
	"pgc/codegen/ptx/emu.Memo.Bytes":    "as ReadMemo",
	"pgc/ir/eval.Cases":                 "the conformance cases of an operation, for the tests of every backend",
	"pgc/ir/eval.Case.Check":            "as Cases",
	"pgc/ir/eval.Case.Widen":            "as Cases",
	"pgc/ir/eval.FromFloat32":           "makes operands for the evaluator's tests and those that compare with it",
	"pgc/ir/eval.FromInt32":             "as FromFloat32",
	"pgc/ir/eval.Tensor.Float32":        "as FromFloat32",
	"pgc/ir/scalar.CompileF32":          "the reference of what operations are lowered to",
	"pgc/ir/tile.Run":                   "the interpreter, which every backend is compared with",
	"pgc/ir/tile.Ops":                   "the table of operations, all of which a backend's tests go through",
	"pgc/runtime/cuda.Resources":        "registers and spills of kernels on a GPU, for the table of tests",
	"pgc/runtime/imageio.bytesPerPixel": "the bound that Limits promises, which TestMemory holds",
	"pgc/runtime/cpufeature.Names":      "the table of features, which the targets' tests go through",
}

// implicit are methods that other modules call (ReadFile: io/fs), and the parts of pgir's grammar.
var implicit = []string{"String", "Error", "Unwrap", "Is", "Run", "Help", "Write", "WriteHeader", "Read", "Close", "Accept", "MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText",
	"Lex", "Symbols", "Next", "Parse", "ReadFile"}

// built is what go list tells of a package that it has built.
type built struct {
	ImportPath, Dir, Export, Name string
	GoFiles, Imports              []string
	Standard                      bool
}

// TestNothingIsForTestsOnly looks for functions, methods, types, variables and constants that no code uses but tests. Packages
// that only tests import are tests themselves.
func TestNothingIsForTestsOnly(t *testing.T) {
	all := builtPackages(t)
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(all[path].Export) }
	fset := token.NewFileSet()
	u := uses{fset: fset, importer: importer.ForCompiler(fset, "gc", lookup), declared: map[string]token.Position{}, used: map[string]bool{}, called: map[string]bool{}}
	for _, path := range shipped(all) {
		u.add(t, all[path])
	}
	if len(u.declared) < 1000 {
		t.Errorf("only %d names", len(u.declared))
	}
	for _, name := range slices.Sorted(maps.Keys(u.declared)) {
		parts := strings.Split(name[strings.LastIndex(name, "/")+1:], ".")
		method, isMethod := parts[len(parts)-1], len(parts) == 3
		if !u.used[name] && !(isMethod && (u.called[method] || slices.Contains(implicit, method))) && oracles[name] == "" {
			t.Errorf("%s: only tests use %s: expected it in them", u.declared[name], name)
		}
	}
	for name := range oracles {
		if _, ok := u.declared[name]; !ok || u.used[name] {
			t.Errorf("%s is no name that only tests use", name)
		}
	}
}

// builtPackages returns the packages of this module and all that they import, by path.
func builtPackages(t *testing.T) map[string]built {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,Name,GoFiles,Imports,Standard", "pgc/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]built{}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p built
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
	return all
}

// ours reports whether a package is of this module.
func ours(path string) bool { return path == "pgc" || strings.HasPrefix(path, "pgc/") }

// shipped returns the packages of this module that its programs and its library are made of, in order.
func shipped(all map[string]built) []string {
	seen := map[string]bool{}
	var add func(path string)
	add = func(path string) {
		if !ours(path) || seen[path] {
			return
		}
		seen[path] = true
		for _, i := range all[path].Imports {
			add(i)
		}
	}
	for path, p := range all {
		if p.Name == "main" || slices.Contains(public, path) {
			add(path)
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// uses is what code declares and uses: names of objects as "package.Name" and "package.Type.Method".
type uses struct {
	fset     *token.FileSet
	importer types.Importer
	declared map[string]token.Position
	used     map[string]bool
	called   map[string]bool // names of methods that are called by way of an interface
}

// add checks the types of a package and notes what it declares and uses.
func (u *uses) add(t *testing.T, p built) {
	t.Helper()
	path := p.ImportPath
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(u.fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: u.importer}
	if _, err := conf.Check(path, u.fset, files, info); err != nil {
		t.Fatal(err)
	}
	for _, o := range info.Uses {
		u.used[nameOf(o)] = true
	}
	for id, o := range info.Defs {
		name := nameOf(o)
		switch {
		case name == "" || id.Name == "_" || id.Name == "main" || id.Name == "init":
		case ofInterface(o):
			u.called[id.Name] = true
		case !slices.Contains(public, path) || !ast.IsExported(id.Name):
			u.declared[name] = u.fset.Position(id.Pos())
		}
	}
}

// nameOf names a function, a method, a type, a variable or a constant of a package of this module; of other things it is
// empty. Constants of a type of their own are none of these: a list of them is whole, though nobody names each.
func nameOf(o types.Object) string {
	if o == nil || o.Pkg() == nil || !ours(o.Pkg().Path()) {
		return ""
	}
	path := o.Pkg().Path()
	switch o := o.(type) {
	case *types.Func:
		if recv := o.Origin().Signature().Recv(); recv != nil {
			return path + "." + receiver(recv.Type()) + "." + o.Name()
		}
		return path + "." + o.Name()
	case *types.TypeName, *types.Var:
		if o.Parent() == o.Pkg().Scope() {
			return path + "." + o.Name()
		}
	case *types.Const:
		if _, plain := o.Type().(*types.Basic); plain && o.Parent() == o.Pkg().Scope() {
			return path + "." + o.Name()
		}
	}
	return ""
}

// receiver names the type of a method's receiver.
func receiver(t types.Type) string {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	if n, ok := t.(*types.Named); ok {
		return n.Obj().Name()
	}
	return ""
}

// ofInterface reports whether o is a method of an interface.
func ofInterface(o types.Object) bool {
	f, ok := o.(*types.Func)
	return ok && f.Signature().Recv() != nil && types.IsInterface(f.Signature().Recv().Type())
}
