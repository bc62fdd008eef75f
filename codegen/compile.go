// Package codegen is the driver of code generation: it lowers a planned module to launches (lower), has a backend build
// and assemble each distinct kernel once, lays out the weights (weights), and returns the Program.
//
// It imports ir, the codegen packages that know no machine, and runtime/program; it never imports passes or models.
package codegen

import (
	"context"
	"fmt"
	"io"

	"pgc/codegen/backend"
	"pgc/codegen/internal/lower"
	"pgc/codegen/kernels"
	"pgc/codegen/weights"
	"pgc/ir"
	"pgc/runtime/program"
)

// Result is a compiled module.
type Result struct {
	Program *program.Program
	Code    *backend.Code     // nil if the module was only lowered
	Kernels []*backend.Kernel // by kernel number
	// Ops are the operations that the launches of a function compute, by function and launch.
	Ops     map[string][]*ir.Op
	weights weights.Plan
}

// WriteWeights streams the weights section, reading each tensor from src once.
func (r *Result) WriteWeights(w io.Writer, src weights.Source, o weights.Writing) error {
	return r.weights.Write(w, src, o)
}

// Constants calls put with every constant of the weights section and the place it has there.
func (r *Result) Constants(put func(offset int64, data []byte)) { r.weights.Constants(put) }

// Compile compiles a module whose buffers are planned. Errors name the function or the kernel.
func Compile(ctx context.Context, m *ir.Module, b *backend.Backend) (*Result, error) {
	r, err := Lower(m, b)
	if err != nil {
		return nil, err
	}
	if r.Code, err = b.Assemble(ctx, r.Kernels); err != nil {
		return nil, err
	}
	p := r.Program
	for i, offset := range r.Code.Offsets {
		p.Kernels[i].CodeOffset = offset
	}
	p.WorkerOffset, p.Text.Bytes = r.Code.Worker, r.Code.Text
	return r, p.Validate()
}

// Lower is Compile without assembly: the program's functions and kernels, but no Code and no offsets into it.
func Lower(m *ir.Module, b *backend.Backend) (*Result, error) {
	c := &compiler{m: m, backend: b, built: map[string]*built{}, layouts: lower.LayoutsOf(m, b.Layout)}
	p := &program.Program{Target: b.Target, MinBatch: b.MinBatch}
	c.r.Program, c.r.Ops = p, map[string][]*ir.Op{}
	for _, s := range m.Symbols {
		p.Symbols = append(p.Symbols, program.Symbol{Name: s.Name, Max: int64(s.Max)})
	}
	c.declareStates()
	for _, f := range m.Funcs {
		if err := c.function(f); err != nil {
			return nil, err
		}
	}
	p.Weights, p.WeightBytes = c.r.weights.Weights(), c.r.weights.Bytes()
	return &c.r, nil
}

type compiler struct {
	m       *ir.Module
	backend *backend.Backend
	r       Result
	built   map[string]*built // by key of the spec
	layouts lower.Layouts
}

// built is what the backend made of a spec; the kernels are numbered from first on.
type built struct {
	*backend.Launches
	first int
}

// build returns the kernels of a spec, which it builds unless there is an equal one.
func (c *compiler) build(spec kernels.Spec) (*built, error) {
	key := kernels.Key(spec)
	if k, ok := c.built[key]; ok {
		return k, nil
	}
	p := c.r.Program
	k := &built{first: len(p.Kernels)}
	name := fmt.Sprintf("%s_%d", spec.Kind(), k.first)
	if label := kernels.Label(spec); label != "" {
		name += "_" + label
	}
	var err error
	if k.Launches, err = c.backend.Build(name, spec); err != nil {
		return nil, err
	}
	for _, one := range k.Kernels {
		if one.Tile != nil {
			p.ScratchBytes = max(p.ScratchBytes, one.Tile.ScratchBytes)
		}
		c.r.Kernels, p.Kernels = append(c.r.Kernels, one), append(p.Kernels, one.Kernel)
	}
	c.built[key] = k
	return k, nil
}

func (c *compiler) port(name string, t ir.Type) program.Port {
	p := program.Port{Name: name, DType: program.DType(t.DType.String())}
	for _, d := range t.Shape {
		p.Shape = append(p.Shape, c.dim(d))
	}
	return p
}

func (c *compiler) dim(d ir.Dim) program.Expr {
	if d.IsConst() {
		return program.C(int64(d.N))
	}
	return program.Sym(c.r.Program.SymbolIndex(d.Sym))
}

func (c *compiler) size(s kernels.Size) program.Expr {
	if s.Sym == "" {
		return program.C(s.N)
	}
	return program.Sym(c.r.Program.SymbolIndex(s.Sym))
}
