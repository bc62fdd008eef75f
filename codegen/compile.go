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
	c.r.Program.Kernels = append(c.r.Program.Kernels, program.Kernel{Name: name})
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
		f, b := c.cost(l.Spec)
		flops, bytes = append(flops, f), append(bytes, b)
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

// cost is the arithmetic of a kernel and the bytes it must at least move, for benchmarks.
func (c *compiler) cost(s kernels.Spec) (flops, bytes program.Expr) {
	mul := func(n int64, sizes ...kernels.Size) program.Expr {
		e := []program.Expr{program.C(n)}
		for _, s := range sizes {
			e = append(e, c.size(s))
		}
		return program.Mul(e...)
	}
	switch s := s.(type) {
	case *kernels.Matmul:
		products, weights, columns := int64(0), int64(0), s.K
		if s.Pairs {
			columns /= 2
		}
		for _, p := range s.Parts {
			n := int64(p.Accs)
			products += n * p.Blocks * p.N * s.K
			if p.Group.Bits > 0 {
				weights += n * p.Group.PackedBytes(p.Blocks, p.N, s.K)
			} else {
				weights += n * kernels.PackedLen(p.Blocks, p.N, kernels.PackedK(s.K, s.Pairs)) * int64(p.Elem.Bytes())
			}
			if p.Argmax > 0 {
				columns += 2 * p.Pairs()
			} else {
				columns += int64(len(p.Exprs)) * p.Blocks * p.N
			}
		}
		return mul(2*products, s.M), program.Add(program.C(weights), mul(4*columns, s.M))
	case *kernels.Attention:
		keys := c.size(s.T)
		if s.Causal && s.Prefix == kernels.Const(0) { // none behind the last query
			keys = program.Min(keys, program.Add(c.size(s.Offset), c.size(s.S)))
		}
		products := program.Mul(mul(2*s.G*s.R*s.H, s.S), keys)
		scores, stored := program.Mul(mul(4*s.G*s.R, s.S), keys), program.Mul(program.C(int64(s.KV.Bytes())*s.G*s.H), keys)
		queries := mul(4*s.G*s.R*s.H, s.S)
		switch s.Step {
		case kernels.AttentionScores, kernels.AttentionValues:
			return products, program.Add(queries, stored, scores)
		case kernels.AttentionWeights:
			return program.C(0), program.Add(scores, scores)
		}
		return program.Add(products, products), program.Add(queries, queries, stored, stored)
	case *kernels.Einsum:
		// Every operand is read once at least: its elements are those of the dimensions it has strides for.
		all := append(append([]kernels.Size{}, s.Dims...), s.Sum...)
		read := func(strides []int64) program.Expr {
			var own []kernels.Size
			for i, d := range all {
				if strides[i] != 0 {
					own = append(own, d)
				}
			}
			return mul(4, own...)
		}
		return mul(2, all...), program.Add(read(s.X), read(s.Y), mul(4, s.Dims...))
	case *kernels.Map:
		return program.C(0), mul(4*int64(len(s.In)+len(s.Outs)), s.Dims...)
	case *kernels.Row:
		return program.C(0), mul(8, append(append([]kernels.Size{}, s.Outer...), s.C)...)
	}
	return program.C(0), program.C(0)
}
