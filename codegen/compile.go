// Package codegen is the driver of code generation: it lowers a planned module to launches (lower), builds and assembles each
// distinct kernel once (kernels, cpu), lays out the weights (weights), and returns the Program.
//
// It imports ir, the codegen packages and runtime/program; it never imports passes or models.
package codegen

import (
	"context"
	"fmt"
	"io"

	"pgc/codegen/cpu"
	"pgc/codegen/kernels"
	"pgc/codegen/lower"
	"pgc/codegen/weights"
	"pgc/ir"
	"pgc/ir/target"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// Result is a compiled module.
type Result struct {
	Program *program.Program
	Code    []byte
	Kernels []*kernels.Kernel // by kernel number
	Specs   []kernels.Spec
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
func Compile(ctx context.Context, m *ir.Module, t target.Target) (*Result, error) {
	c, err := build(m, t)
	if err != nil {
		return nil, err
	}
	image, err := cpu.Assemble(ctx, t, c.r.Kernels)
	if err != nil {
		return nil, err
	}
	p := c.r.Program
	c.r.Code, p.WorkerOffset = image.Code, image.Worker
	p.MinBatch = cpu.MinBatch(t)
	for i, offset := range image.Offsets {
		p.Kernels[i].CodeOffset = offset
	}
	return &c.r, p.Validate()
}

// Lower is Compile without machine code: the program's functions and kernels, but no Code and no offsets into it.
func Lower(m *ir.Module, t target.Target) (*Result, error) {
	c, err := build(m, t)
	if err != nil {
		return nil, err
	}
	return &c.r, nil
}

func build(m *ir.Module, t target.Target) (*compiler, error) {
	c := &compiler{m: m, target: t, byKey: map[string]int{}, packed: lower.PackedOf(m)}
	c.r.Ops = map[string][]*ir.Op{}
	c.r.Program = &program.Program{Target: ProgramTarget(t)}
	for _, s := range m.Symbols {
		c.r.Program.Symbols = append(c.r.Program.Symbols, program.Symbol{Name: s.Name, Max: int64(s.Max)})
	}
	c.declareStates()
	for _, f := range m.Funcs {
		if err := c.function(f); err != nil {
			return nil, err
		}
	}
	p := c.r.Program
	p.Weights, p.WeightBytes = c.r.weights.Weights(), c.r.weights.Bytes()
	return c, nil
}

// ProgramTarget is a target as programs describe it.
func ProgramTarget(t target.Target) program.Target {
	return program.Target{Arch: t.Arch, CPU: t.Name, Features: t.Features}
}

type compiler struct {
	m      *ir.Module
	target target.Target
	r      Result
	byKey  map[string]int
	packed lower.Packed
}

// function lowers one function to its launch list.
func (c *compiler) function(f *ir.Func) error {
	p := c.r.Program
	fn := program.Func{Name: f.Name}
	inputs, outputs := map[*ir.Value]int{}, map[int]int{}
	for _, v := range f.Params {
		if v.Kind == ir.Input {
			inputs[v] = len(fn.Inputs)
			fn.Inputs = append(fn.Inputs, c.port(v.Name, v.Type))
		}
	}
	for i, r := range f.Results {
		if r.State == nil {
			outputs[i] = len(fn.Outputs)
			fn.Outputs = append(fn.Outputs, c.port(r.Name, r.Value.Type))
		}
	}
	all, arena, err := lower.Func(c.m, f, c.packed)
	if err != nil {
		return err
	}
	groups, err := lower.Grouped(c.m, all, func(spec kernels.Spec) ([]kernels.Factor, error) {
		k, err := kernels.Build("trial", spec, c.target)
		if err != nil {
			return nil, err
		}
		return k.Tasks, nil
	})
	if err != nil {
		return fmt.Errorf("@%s: %w", f.Name, err)
	}
	for _, members := range groups {
		out, err := c.launch(members, inputs, outputs)
		if err != nil {
			return fmt.Errorf("@%s: %w", f.Name, err)
		}
		fn.Launches = append(fn.Launches, out)
		c.r.Ops[f.Name] = append(c.r.Ops[f.Name], members[0].Op)
	}
	fn.ArenaBytes = arena
	p.Funcs = append(p.Funcs, fn)
	return nil
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

// kernel returns the number of the kernel of a spec, which it builds unless there is an equal one. One for groups takes the tasks of
// several launches.
func (c *compiler) kernel(spec kernels.Spec, group bool) (int, error) {
	key := fmt.Sprint(kernels.Key(spec), group)
	if k, ok := c.byKey[key]; ok {
		return k, nil
	}
	k := len(c.r.Kernels)
	name := fmt.Sprintf("%s_%d", spec.Kind(), k)
	if label := kernels.Label(spec); label != "" {
		name += "_" + label
	}
	built, err := kernels.Build(name, spec, c.target)
	if err != nil {
		return 0, err
	}
	built.Tile.Group = group
	if err := tile.Verify(built.Tile); err != nil {
		return 0, err
	}
	c.byKey[key] = k
	c.r.Kernels = append(c.r.Kernels, built)
	c.r.Specs = append(c.r.Specs, spec)
	c.r.Program.Kernels = append(c.r.Program.Kernels, program.Kernel{Name: name, LHS: program.DType(built.LHS.String()), RHS: program.DType(built.RHS.String())})
	c.r.Program.ScratchBytes = max(c.r.Program.ScratchBytes, built.Tile.ScratchBytes)
	return k, nil
}

// launch makes one launch of launches of one kernel: the kernel, and the arguments resolved.
func (c *compiler) launch(members []lower.Launch, inputs map[*ir.Value]int, outputs map[int]int) (program.Launch, error) {
	first, group := members[0], len(members) > 1
	spec, names := lower.Unnamed(first.Spec)
	k, err := c.kernel(spec, group)
	if err != nil {
		return program.Launch{}, err
	}
	out := program.Launch{Kernel: k, Value: fmt.Sprintf("%%%d", first.Op.Results[0].ID)}
	var tasks []program.Expr
	for _, f := range c.r.Kernels[k].Tasks {
		if name := names[f.Size.Sym]; name != "" {
			f.Size.Sym = name
		}
		tasks = append(tasks, program.CeilDiv(c.size(f.Size), program.C(f.Div)))
	}
	out.Tasks = program.Mul(tasks...)
	if group {
		out.Args = append(out.Args, program.Arg{Space: program.SpaceConst, Offset: out.Tasks.Eval(nil)})
		out.Tasks = program.Mul(program.C(int64(len(members))), out.Tasks)
	}
	var flops, bytes []program.Expr
	for _, l := range members {
		args, err := c.args(l, c.r.Kernels[k], inputs, outputs)
		if err != nil {
			return program.Launch{}, err
		}
		out.Args = append(out.Args, args...)
		cost := l.Spec.Cost()
		flops, bytes = append(flops, c.sum(cost.Flops)), append(bytes, c.sum(cost.Bytes))
	}
	out.Flops, out.Bytes = program.Add(flops...), program.Add(bytes...)
	return out, nil
}

// args resolves the arguments of a launch.
func (c *compiler) args(l lower.Launch, kern *kernels.Kernel, inputs map[*ir.Value]int, outputs map[int]int) ([]program.Arg, error) {
	_, names := lower.Unnamed(l.Spec)
	var out []program.Arg
	for _, a := range kern.Args {
		arg := program.Arg{}
		switch a.Kind {
		case kernels.ArgSym:
			name := a.Sym
			if names[name] != "" {
				name = names[name]
			}
			arg.Space, arg.Index = program.SpaceSymbol, c.r.Program.SymbolIndex(name)
		case kernels.ArgIn:
			if m, ok := l.Packed[a.Index]; ok {
				arg.Space, arg.Offset = program.SpaceWeights, c.r.weights.Matrix(m)
			} else {
				arg = c.address(l.In[a.Index], inputs, outputs)
			}
		case kernels.ArgOut:
			arg = c.address(l.Outs[a.Index], inputs, outputs)
		}
		out = append(out, arg)
	}
	return out, nil
}

// address is where a value lies.
func (c *compiler) address(v *ir.Value, inputs map[*ir.Value]int, outputs map[int]int) program.Arg {
	arg := program.Arg{}
	if v.Def != nil && v.Def.Def == ir.OpConstant {
		arg.Space, arg.Offset = program.SpaceWeights, c.r.weights.Constant(v.Def.Attrs.(ir.ConstantAttrs))
		return arg
	}
	b := v.Buf
	arg.Offset = b.Offset
	for _, t := range b.Terms {
		arg.Terms = append(arg.Terms, program.Term{Sym: c.r.Program.SymbolIndex(t.Sym), Stride: t.Stride})
	}
	switch b.Space {
	case ir.Weights:
		arg.Space = program.SpaceWeights
		arg.Offset += c.r.weights.Plain(b.Param)
	case ir.Arena:
		arg.Space = program.SpaceArena
	case ir.States:
		arg.Space, arg.Index = program.SpaceState, c.r.State(b.Param)
	case ir.Inputs:
		arg.Space, arg.Index = program.SpaceInput, inputs[b.Param]
	case ir.Outputs:
		arg.Space, arg.Index = program.SpaceOutput, outputs[b.Result]
	}
	return arg
}

// sum is a cost as an expression over the symbols.
func (c *compiler) sum(terms []kernels.Term) program.Expr {
	var sum []program.Expr
	for _, t := range terms {
		product := []program.Expr{program.C(t.N)}
		for _, x := range t.Of {
			var sizes []program.Expr
			for _, s := range x.Sum {
				sizes = append(sizes, c.size(s))
			}
			extent := program.Add(sizes...)
			if x.Most != nil {
				extent = program.Min(c.size(*x.Most), extent)
			}
			product = append(product, extent)
		}
		sum = append(sum, program.Mul(product...))
	}
	return program.Add(sum...)
}
