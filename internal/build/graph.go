package build

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	"pgc/codegen"
	"pgc/frontend/text"
	"pgc/ir"
	"pgc/passes"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// maxGraph is the largest text of a graph in bytes, some hundred times a 28B model's. The file it is read from is
// untrusted.
const maxGraph = 1 << 28

// EncodeGraph compresses the text of a module. Equal modules give equal bytes.
func EncodeGraph(m *ir.Module) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, m.String()) // a buffer takes all
	z.Close()
	return b.Bytes()
}

// decodeGraph reads the plain graph of an executable.
func decodeGraph(path string, image *program.Executable) (*ir.Module, error) {
	z, err := gzip.NewReader(bytes.NewReader(image.Section(manifest.SectionGraph)))
	if err != nil {
		return nil, fmt.Errorf("%s carries no graph: it was made by %s, this is %s", path, image.Program.Generator, Version)
	}
	src, err := io.ReadAll(io.LimitReader(z, maxGraph))
	if err != nil {
		return nil, fmt.Errorf("%s: section %s: %w", path, manifest.SectionGraph, err)
	}
	return text.Parse(path, string(src))
}

// Relower lowers the graph that an executable carries. It fails where the launches differ from the executable's, which
// another version of pgc made.
func Relower(path string, image *program.Executable) (*ir.Module, *codegen.Result, error) {
	model, err := manifest.Decode(image.Program.Model)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	m, err := decodeGraph(path, image)
	if err != nil {
		return nil, nil, err
	}
	b, err := BackendOf(image.Program.Target)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	off := map[string]bool{}
	for _, name := range append(model.Off, b.Without...) {
		off[name] = true
	}
	if err := passes.Optimize(m, passes.Options{Off: off}); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	r, err := codegen.Lower(m, b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if !sameLaunches(r.Program, image.Program) {
		return nil, nil, fmt.Errorf("%s was made by another pgc (%s): this one gives its graph other kernels", path, image.Program.Generator)
	}
	return m, r, nil
}

// sameLaunches reports whether two programs run the same kernels in the same order.
func sameLaunches(a, b *program.Program) bool {
	if len(a.Funcs) != len(b.Funcs) || len(a.Kernels) != len(b.Kernels) || a.WeightBytes != b.WeightBytes {
		return false
	}
	for i, f := range a.Funcs {
		g := b.Funcs[i]
		if f.Name != g.Name || len(f.Launches) != len(g.Launches) || f.ArenaBytes != g.ArenaBytes {
			return false
		}
		for j := range f.Launches {
			if f.Launches[j].Kernel != g.Launches[j].Kernel {
				return false
			}
		}
	}
	return true
}
