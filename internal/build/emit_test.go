package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/frontend/text"
	"pgc/golden"
)

// TestEmit writes every stage of a checkpoint; each is what its name says, and the graph parses to itself.
func TestEmit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "stages")
	o := Options{CPU: "x86-64-v3", Emit: Stages, EmitDir: dir}
	r, err := Compile(t.Context(), filepath.Join(golden.Dir(), "colpali-odd"), // which has the fewest kernels
		filepath.Join(t.TempDir(), "exe"), []byte("\x7fELF"), o)
	if err != nil {
		t.Fatal(err)
	}
	for suffix, want := range map[string]string{".tile": "kernel ", ".ll": "define void @", ".s": "vfmadd231ps", ".ptx": ".visible .entry "} {
		files, _ := filepath.Glob(filepath.Join(dir, "*"+suffix))
		if len(files) != r.Kernels {
			t.Errorf("%d files *%s, want one for each of %d kernels", len(files), suffix, r.Kernels)
		}
		found := false
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(text), want)
		}
		if !found {
			t.Errorf("no file *%s holds %q", suffix, want)
		}
	}
	for name, fused := range map[string]bool{"plain.pgir": false, "graph.pgir": true} {
		src, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(src), " = matmul "); got != fused {
			t.Errorf("%s: fused operations: %v, want %v", name, got, fused)
		}
		if _, err := text.Parse(name, string(src)); err != nil {
			t.Error(err)
		}
	}
	o.Emit = []string{"spirv"}
	if _, err := Compile(t.Context(), filepath.Join(golden.Dir(), "pg1-odd"), filepath.Join(t.TempDir(), "exe"), nil, o); err == nil ||
		!strings.Contains(err.Error(), "expected one of graph, tile, llvm, asm, ptx") {
		t.Errorf("--emit spirv: %v", err)
	}
}
