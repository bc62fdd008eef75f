package codegen

import (
	"fmt"
	"reflect"
	"slices"

	"pgc/codegen/backend"
	"pgc/codegen/internal/cost"
	"pgc/codegen/internal/lower"
	"pgc/codegen/kernels"
	"pgc/codegen/weights"
	"pgc/ir"
	"pgc/runtime/program"
)

// function is a function being resolved to its launch list.
type function struct {
	*compiler
	program.Func
	inputs  map[*ir.Value]int
	outputs map[int]int
	arena   int64 // the end of what operations use
	work    int64 // bytes behind it that the kernels of one spec hand on to each other
}

// function resolves the launches of a function, whose arena has so many bytes.
func (c *compiler) function(f *ir.Func, all []lower.Launch, arena int64) error {
	fn := &function{compiler: c, Func: program.Func{Name: f.Name}, inputs: map[*ir.Value]int{}, outputs: map[int]int{}}
	for _, v := range f.Params {
		if v.Kind == ir.Input {
			fn.inputs[v] = len(fn.Inputs)
			fn.Inputs = append(fn.Inputs, c.port(v.Name, v.Type))
		}
	}
	for i, r := range f.Results {
		if r.State == nil {
			fn.outputs[i] = len(fn.Outputs)
			fn.Outputs = append(fn.Outputs, c.port(r.Name, r.Value.Type))
		}
	}
	fn.arena, fn.ArenaBytes = (arena+63)/64*64, arena
	for _, l := range all {
		if err := fn.launch(l); err != nil {
			return fmt.Errorf("@%s: %w", f.Name, err)
		}
	}
	if fn.work > 0 {
		fn.ArenaBytes = fn.arena + fn.work
	}
	c.r.Program.Funcs = append(c.r.Program.Funcs, fn.Func)
	return nil
}

// launch adds the launches of a spec's kernels.
func (f *function) launch(l lower.Launch) error {
	b, err := f.build(l.Spec)
	if err != nil {
		return err
	}
	f.work = max(f.work, b.WorkBytes)
	for i, k := range b.Kernels {
		out := program.Launch{Kernel: b.first + i, Value: fmt.Sprintf("%%%d", l.Op.Results[0].ID), Args: f.args(l, k.Args)}
		s := sizes{f.compiler, l.Own}
		out.Tasks, out.Grains = s.tasks(k)
		if k.Spec != nil {
			c := cost.Of(k.Spec)
			out.Flops, out.Bytes = s.sum(c.Flops), s.sum(c.Bytes)
		}
		f.Launches = append(f.Launches, out)
		f.r.Ops[f.Name] = append(f.r.Ops[f.Name], l.Op)
	}
	return nil
}

// tasks is the number of tasks of a kernel, and the most of each of its grains.
func (c sizes) tasks(k *backend.Kernel) (n program.Expr, grains []int64) {
	var tasks []program.Expr
	for _, t := range k.Tasks {
		tasks = append(tasks, program.CeilDiv(c.size(t.Size), program.C(t.Div)))
	}
	for i, g := range k.Grains {
		var sum []program.Expr
		for _, s := range g {
			grain := program.Sym(len(c.r.Program.Symbols) + i)
			if s.Most < g.Most() {
				grain = program.Min(grain, program.C(s.Most))
			}
			if s.Unit > 1 {
				grain = program.Mul(program.C(s.Unit), grain)
			}
			sum = append(sum, program.CeilDiv(c.size(s.Size), grain))
		}
		tasks, grains = append(tasks, program.Add(sum...)), append(grains, g.Most())
	}
	return program.Mul(tasks...), grains
}

// args resolves the arguments of a launch.
func (f *function) args(l lower.Launch, args []kernels.Arg) []program.Arg {
	var out []program.Arg
	for _, a := range args {
		arg := program.Arg{}
		switch a.Kind {
		case kernels.ArgSym:
			arg.Space, arg.Index = program.SpaceSymbol, f.r.Program.SymbolIndex(a.Sym)
		case kernels.ArgOwn:
			arg.Space, arg.Offset = program.SpaceConst, l.Own[a.Index-1]
		case kernels.ArgGrain:
			arg.Space, arg.Index = program.SpaceGrain, a.Index
		case kernels.ArgIn:
			if l.In[a.Index] == nil { // of a second product that takes no steps
				arg.Space = program.SpaceConst
			} else if m, ok := l.Packed[a.Index]; ok {
				arg.Space, arg.Offset = program.SpaceWeights, f.r.weights.Matrix(m)
				if m.Rows > 0 {
					arg.Terms = []program.Term{{Sym: f.r.Program.SymbolIndex(m.From), Stride: weights.PanelBytes(m)}}
				}
			} else {
				arg = f.address(l.In[a.Index])
			}
		case kernels.ArgOut:
			if l.Outs[a.Index] == nil { // of a plain part without rows
				arg.Space = program.SpaceConst
			} else {
				arg = f.address(l.Outs[a.Index])
			}
		case kernels.ArgWork:
			arg.Space, arg.Offset = program.SpaceArena, f.arena+int64(a.Index)
		}
		out = append(out, arg)
	}
	return out
}

// address is where a value lies.
func (f *function) address(v *ir.Value) program.Arg {
	arg := program.Arg{}
	if v.Def != nil && v.Def.Def == ir.OpConstant {
		arg.Space, arg.Offset = program.SpaceWeights, f.r.weights.Constant(v.Def.Attrs.(ir.ConstantAttrs))
		return arg
	}
	b := v.Buf
	arg.Offset = b.Offset
	for _, t := range b.Terms {
		arg.Terms = append(arg.Terms, program.Term{Sym: f.r.Program.SymbolIndex(t.Sym), Stride: t.Stride})
	}
	switch b.Space {
	case ir.Weights:
		arg.Space = program.SpaceWeights
		arg.Offset += f.r.weights.Plain(b.Param)
	case ir.Arena:
		arg.Space = program.SpaceArena
	case ir.States:
		arg.Space, arg.Index = program.SpaceState, f.r.State(b.Param)
	case ir.Inputs:
		arg.Space, arg.Index = program.SpaceInput, f.inputs[b.Param]
	case ir.Outputs:
		arg.Space, arg.Index = program.SpaceOutput, f.outputs[b.Result]
	}
	return arg
}

// sum is a cost as an expression over the symbols. What differs in a number only is one summand.
func (c sizes) sum(terms []cost.Term) program.Expr {
	type summand struct {
		n  int64
		of []program.Expr
	}
	var all []summand
	for _, t := range terms {
		s := summand{n: t.N}
		for _, x := range t.Of {
			var sum []program.Expr
			for _, s := range x.Sum {
				sum = append(sum, c.size(s))
			}
			extent := program.Add(sum...)
			if x.Most != nil {
				extent = program.Min(c.size(*x.Most), extent)
			}
			if extent.Op == program.OpConst {
				s.n *= extent.Value
			} else {
				s.of = append(s.of, extent)
			}
		}
		if i := slices.IndexFunc(all, func(o summand) bool { return reflect.DeepEqual(o.of, s.of) }); i >= 0 {
			all[i].n += s.n
		} else {
			all = append(all, s)
		}
	}
	var sum []program.Expr
	for _, s := range all {
		sum = append(sum, program.Mul(append([]program.Expr{program.C(s.n)}, s.of...)...))
	}
	return program.Add(sum...)
}
