package build

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/klauspost/compress/zstd"

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

// EncodeGraph compresses the text of a module, its numbers as differences. Functions repeat each other over longer distances than
// the 32 KiB that gzip looks back. Equal modules give equal bytes.
func EncodeGraph(m *ir.Module) []byte {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // an option that does not exist
	}
	return z.EncodeAll([]byte(relative(m.String())), nil)
}

// decodeGraph reads the plain graph of an executable's program for a kind of machine.
func decodeGraph(path string, image *program.Executable, kind program.TargetKind) (*ir.Module, error) {
	section := kinds[kind].graph
	packed := image.Section(section)
	if packed == nil {
		return nil, fmt.Errorf("%s carries no graph: it was made by %s, this is %s", path, image.Program.Generator, Version)
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxGraph), zstd.WithDecoderConcurrency(1))
	if err != nil {
		panic(err) // an option that does not exist
	}
	defer z.Close()
	src, err := z.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: section %s: %w", path, section, err)
	}
	whole, err := absolute(string(src))
	if err != nil {
		return nil, fmt.Errorf("%s: section %s: %w", path, section, err)
	}
	return text.Parse(path, whole)
}

// Relower lowers the graph that an executable carries for the program in use. It fails where the launches differ from
// the executable's, which another version of pgc made.
func Relower(path string, image *program.Executable) (*ir.Module, *codegen.Result, error) {
	// The programs of a file share its weights, so those of other kinds are lowered, too.
	var variants []codegen.Variant
	at := -1
	for _, p := range image.Programs {
		kind := p.Target.Kind
		if p != image.Program && (kind == image.Program.Target.Kind || slices.ContainsFunc(variants, func(v codegen.Variant) bool { return v.Backend.Target.Kind == kind })) {
			continue
		}
		v, err := again(path, image, p)
		if err != nil {
			return nil, nil, err
		}
		if p == image.Program {
			at = len(variants)
		}
		variants = append(variants, v)
	}
	all, err := codegen.LowerVariants(variants)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	r := all[at]
	if !sameLaunches(r.Program, image.Program) {
		return nil, nil, fmt.Errorf("%s was made by another pgc (%s): this one gives its graph other kernels", path, image.Program.Generator)
	}
	return variants[at].Module, r, nil
}

// again optimizes the graph that an executable carries for a program as when the program was made.
func again(path string, image *program.Executable, p *program.Program) (v codegen.Variant, err error) {
	model, err := manifest.Decode(p.Model)
	if err != nil {
		return v, fmt.Errorf("%s: %w", path, err)
	}
	if v.Module, err = decodeGraph(path, image, p.Target.Kind); err != nil {
		return v, err
	}
	if v.Backend, err = backendOf(p.Target); err != nil {
		return v, fmt.Errorf("%s: %w", path, err)
	}
	off := map[string]bool{}
	for _, name := range model.Off {
		off[name] = true
	}
	if err := passes.Optimize(v.Module, passesFor(v.Backend, passes.Options{Off: off})); err != nil {
		return v, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// sameLaunches reports whether two programs run the same kernels in the same order, on the same arguments.
func sameLaunches(a, b *program.Program) bool {
	if len(a.Funcs) != len(b.Funcs) || len(a.Kernels) != len(b.Kernels) || a.WeightBytes != b.WeightBytes {
		return false
	}
	same := func(x, y program.Launch) bool {
		return a.Kernels[x.Kernel].Name == b.Kernels[y.Kernel].Name && reflect.DeepEqual(x.Args, y.Args) && reflect.DeepEqual(x.Tasks, y.Tasks) && slices.Equal(x.Grains, y.Grains)
	}
	for i, f := range a.Funcs {
		g := b.Funcs[i]
		if f.Name != g.Name || f.ArenaBytes != g.ArenaBytes || !slices.EqualFunc(f.Launches, g.Launches, same) {
			return false
		}
	}
	return true
}
