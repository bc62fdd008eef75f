// Package codegen is the driver of code generation: it lowers a planned module to launches (lower), has a backend build
// and assemble each distinct kernel once, lays out the weights (weights), and returns the Program.
//
// It knows no machine, no pass and no model.
package codegen

import (
	"context"
	"fmt"
	"io"
	"slices"

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
	weights *weights.Plan // of all programs of a file
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
	return r, r.assemble(ctx, b)
}

// assemble makes the code of a program that was lowered.
func (r *Result) assemble(ctx context.Context, b *backend.Backend) (err error) {
	if r.Code, err = b.Assemble(ctx, r.Kernels); err != nil {
		return err
	}
	r.locate(r.Code)
	return r.Program.Validate()
}

// locate notes in the program where its code has the kernels and the worker loop.
func (r *Result) locate(c *backend.Code) {
	p := r.Program
	for i, offset := range c.Offsets {
		p.Kernels[i].CodeOffset = offset
	}
	if p.Parts = c.Parts; p.Parts == nil {
		p.Parts = []program.Part{{Bytes: int64(len(c.Bytes))}}
	}
	p.WorkerOffset, p.Text.Bytes = c.Worker, c.Text
}

// Lower is Compile without assembly: the program's functions and kernels, but no Code and no offsets into it.
func Lower(m *ir.Module, b *backend.Backend) (*Result, error) {
	r, err := lowered(m, b, &weights.Plan{}, b.Rows)
	if err != nil {
		return nil, err
	}
	r.plan()
	return r, nil
}

// LowerVariants is Lower of all programs of a file.
func LowerVariants(variants []Variant) ([]*Result, error) {
	var all []*Result
	plan := &weights.Plan{}
	columns := !slices.ContainsFunc(variants, func(v Variant) bool { return !v.Backend.Rows }) // else a second factor would be there twice
	for _, v := range variants {
		r, err := lowered(v.Module, v.Backend, plan, columns)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	for _, r := range all {
		r.plan()
	}
	return all, nil
}

// plan describes the weights once all programs have added theirs.
func (r *Result) plan() {
	r.Program.Weights, r.Program.WeightBytes = r.weights.Weights(), r.weights.Bytes()
}

// lowered lowers a module, whose weights are added to a plan; columns says that second factors may lie column by column.
func lowered(m *ir.Module, b *backend.Backend, plan *weights.Plan, columns bool) (*Result, error) {
	c := &compiler{m: m, backend: b, built: map[string]*built{}, layouts: lower.LayoutsOf(m, b.Layout, b.Rows, columns)}
	p := &program.Program{Target: b.Target, MinBatch: b.MinBatch}
	c.r.Program, c.r.Ops, c.r.weights = p, map[string][]*ir.Op{}, plan
	for _, s := range m.Symbols {
		p.Symbols = append(p.Symbols, program.Symbol{Name: s.Name, Max: int64(s.Max)})
	}
	c.declareStates()
	launches, arenas := make([][]lower.Launch, len(m.Funcs)), make([]int64, len(m.Funcs))
	for i, f := range m.Funcs {
		var err error
		if launches[i], arenas[i], err = lower.Func(m, f, c.layouts); err != nil {
			return nil, err
		}
	}
	lower.Share(launches)
	for i, f := range m.Funcs {
		if err := c.function(f, launches[i], arenas[i]); err != nil {
			return nil, err
		}
	}
	if b.Target.Kind != program.CPU {
		if err := c.loads(); err != nil {
			return nil, err
		}
	}
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
	name := fmt.Sprintf("%s_%d", kernels.Kind(spec), k.first)
	if l := label(spec); l != "" {
		name += "_" + l
	}
	var err error
	if k.Launches, err = c.backend.Build(name, spec); err != nil {
		return nil, err
	}
	c.add(k.Kernels)
	c.built[key] = k
	return k, nil
}

// add adds kernels to the program.
func (c *compiler) add(ks []*backend.Kernel) {
	p := c.r.Program
	for _, one := range ks {
		if one.Tile != nil {
			p.ScratchBytes = max(p.ScratchBytes, one.Tile.ScratchBytes)
		}
		c.r.Kernels, p.Kernels = append(c.r.Kernels, one), append(p.Kernels, one.Kernel)
	}
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

// sizes resolves extents: of a launch that has these numbers of its own.
type sizes struct {
	*compiler
	own []int64
}

func (c sizes) size(s kernels.Size) program.Expr {
	switch {
	case s.Sym != "":
		return program.Sym(c.r.Program.SymbolIndex(s.Sym))
	case s.Own > 0:
		return program.C(c.own[s.Own-1])
	}
	return program.C(s.N)
}
