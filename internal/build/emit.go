package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pgc/codegen"
	"pgc/codegen/backend"
	"pgc/codegen/llvm"
	"pgc/codegen/ptx"
	"pgc/ir/target"
	"pgc/ir/tile"
	"pgc/runtime/output"
	"pgc/runtime/program"
)

// Stages lists the intermediate forms that a compilation can write.
var Stages = []string{"graph", "tile", "llvm", "asm", "ptx"}

// emitter writes stages into a folder: the graph before and after the passes as plain.pgir and graph.pgir, the others
// as a file a kernel, in a folder for each ISA variant if there are several.
type emitter struct {
	dir    string
	stages []string
}

// newEmitter checks the names of the stages and makes the folder.
func newEmitter(stages []string, dir string) (*emitter, error) {
	for _, s := range stages {
		if !slices.Contains(Stages, s) {
			return nil, optionError("Emit", "%s is not known: expected one of %s", s, strings.Join(Stages, ", "))
		}
	}
	if len(stages) == 0 {
		return &emitter{}, nil
	}
	if dir == "" {
		dir = "."
	}
	return &emitter{dir, stages}, os.MkdirAll(dir, 0o755)
}

func (e *emitter) wants(stage string) bool { return slices.Contains(e.stages, stage) }

func (e *emitter) write(name string, text []byte) error {
	return output.WriteFile(filepath.Join(e.dir, name), text)
}

// graph writes the text of a module.
func (e *emitter) graph(name string, m fmt.Stringer) error {
	if !e.wants("graph") {
		return nil
	}
	return e.write(name, []byte(m.String()))
}

// kernels writes the kernels of every ISA variant.
func (e *emitter) kernels(ctx context.Context, variants *codegen.Variants) error {
	if !e.wants("tile") && !e.wants("llvm") && !e.wants("asm") && !e.wants("ptx") {
		return nil
	}
	for i, r := range variants.Results {
		folder := ""
		if len(variants.Results) > 1 {
			folder = variants.Backends[i].Target.CPU
			if err := os.MkdirAll(filepath.Join(e.dir, folder), 0o755); err != nil {
				return err
			}
		}
		set := e.set
		if variants.Backends[i].Target.Kind == program.PTX {
			set = e.texts
		}
		if err := set(ctx, r, variants.Backends[i].Target, folder); err != nil {
			return err
		}
	}
	return nil
}

// texts writes the kernels of a program whose code is text.
func (e *emitter) texts(_ context.Context, r *codegen.Result, _ program.Target, folder string) error {
	for _, k := range r.Kernels {
		name := filepath.Join(folder, k.Name)
		if e.wants("ptx") {
			if err := e.write(name+".ptx", []byte(k.Text)); err != nil {
				return err
			}
		}
		if e.wants("tile") && k.Tile != nil {
			if err := e.write(name+".tile", []byte(k.Tile.String())); err != nil {
				return err
			}
		}
	}
	return nil
}

// set writes the kernels of one ISA variant.
func (e *emitter) set(ctx context.Context, r *codegen.Result, on program.Target, folder string) error {
	t, err := target.Find(on.CPU)
	if err != nil {
		return err
	}
	for _, k := range r.Kernels {
		name := filepath.Join(folder, k.Name)
		if e.wants("ptx") {
			text, err := backendText(ctx, ptx.Backend(), k)
			if err != nil {
				return err
			}
			if err := e.write(name+".ptx", text); err != nil {
				return err
			}
		}
		if e.wants("tile") {
			if err := e.write(name+".tile", []byte(k.Tile.String())); err != nil {
				return err
			}
		}
		if !e.wants("llvm") && !e.wants("asm") {
			continue
		}
		source, err := llvm.Emit(t, []*tile.Kernel{k.Tile})
		if err != nil {
			return err
		}
		if e.wants("llvm") {
			if err := e.write(name+".ll", source); err != nil {
				return err
			}
		}
		if e.wants("asm") {
			asm, err := llvm.Assembly(ctx, source, t)
			if err != nil {
				return err
			}
			if err := e.write(name+".s", asm); err != nil {
				return err
			}
		}
	}
	return nil
}

// backendText is what another backend, whose code is text, makes of a kernel's spec, or a comment that says why there
// is none.
func backendText(ctx context.Context, b *backend.Backend, k *backend.Kernel) ([]byte, error) {
	l, err := b.Build(k.Name, k.Spec)
	if err != nil {
		return []byte("// " + err.Error() + "\n"), nil
	}
	code, err := b.Assemble(ctx, l.Kernels)
	if err != nil {
		return nil, err
	}
	return code.Bytes, nil
}
