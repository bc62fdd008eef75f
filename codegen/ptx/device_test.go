package ptx

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgc/codegen"
	"pgc/codegen/kernels"
	"pgc/codegen/ptx/emu"
	store "pgc/codegen/weights"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/passes"
	"pgc/runtime/program"
)

// weights are tensors by the name in a checkpoint.
type weights map[string]*eval.Tensor

func (w weights) Tensor(key string) (store.Tensor, error) {
	t := w[key]
	return store.Tensor{DType: t.DType, Shape: t.Shape, Data: t.Encode()}, nil
}

// Prefetch and Evict do nothing: all is in memory.
func (w weights) Prefetch(string, int64, int64) {}
func (w weights) Evict(string, int64, int64)    {}

// device runs the functions of a module that the driver compiled for this backend: launch list, memory plan, weights
// and text are the program's, read back from its bytes.
type device struct {
	t       *testing.T
	m       *ir.Module
	r       *codegen.Result
	p       *program.Program
	module  *module
	weights *emu.Memory
	states  []*emu.Memory
	count   map[string]int // kernels that ran, by kind
	// prologue says that a row wrote what a product read.
	prologue bool
}

// passesOff are the passes that make what has no PTX.
func passesOff() map[string]bool {
	off := map[string]bool{}
	for _, name := range Backend().Without {
		off[name] = true
	}
	return off
}

// compileModule optimizes and compiles a module.
func compileModule(t testing.TB, m *ir.Module, check bool) *codegen.Result {
	t.Helper()
	if err := passes.Optimize(m, passes.Options{Check: check, Off: passesOff(), With: Backend().With}); err != nil {
		t.Fatal(err)
	}
	r, err := codegen.Compile(t.Context(), m, Backend())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newDevice(t *testing.T, m *ir.Module, w weights) *device {
	t.Helper()
	r := compileModule(t, m, true)
	var section bytes.Buffer
	if err := r.WriteWeights(&section, w, store.Writing{}); err != nil {
		t.Fatal(err)
	}
	if err := r.Program.Validate(); err != nil {
		t.Fatal(err)
	}
	d := &device{t: t, m: m, r: r, p: r.Program, weights: &emu.Memory{Data: make([]byte, r.Program.DeviceBytes)}, count: map[string]int{}}
	text := string(r.Code.Bytes)
	d.module = parsedText(t, text)
	for _, k := range d.p.Kernels {
		if !strings.HasPrefix(text[k.CodeOffset:], ".visible .entry "+k.Name+"(") {
			t.Errorf("kernel %s is not at byte %d of the text", k.Name, k.CodeOffset)
		}
	}
	for _, l := range d.p.Loads {
		d.load(l, section.Bytes()[l.Offset:][:l.Bytes])
	}
	for _, s := range d.p.States {
		d.states = append(d.states, &emu.Memory{Data: make([]byte, d.p.StateBytes(s))})
	}
	return d
}

// load brings a weight to its place.
func (d *device) load(l program.Load, stored []byte) {
	d.t.Helper()
	if len(l.Launches) == 0 {
		copy(d.weights.Data[l.To:], stored)
		return
	}
	staging := &emu.Memory{Data: slices.Clone(stored)}
	for _, step := range l.Launches {
		var args []any
		for _, a := range step.Args {
			p := emu.Pointer{Memory: d.weights, Offset: a.Offset}
			if a.Space == program.SpaceStaging {
				p.Memory = staging
			}
			args = append(args, p)
		}
		launch(d.t, d.module, d.r.Kernels[step.Kernel], step.Tasks.Eval(nil), args...)
	}
}

// call runs a function on inputs and returns its outputs by name.
func (d *device) call(name string, in map[string]*eval.Tensor, syms map[string]int) map[string]*eval.Tensor {
	d.t.Helper()
	f, pf := d.m.Func(name), d.p.Func(name)
	ports := func(list []program.Port, typ func(name string) ir.Type) []*emu.Memory {
		var out []*emu.Memory
		for _, p := range list {
			t := typ(p.Name)
			bytes := t.DType.MemoryBytes()
			for _, dim := range t.Shape {
				bytes *= int64(d.m.MaxDim(dim))
			}
			out = append(out, &emu.Memory{Data: make([]byte, bytes)})
		}
		return out
	}
	inputType := func(name string) ir.Type {
		return f.Params[slices.IndexFunc(f.Params, func(p *ir.Value) bool { return p.Name == name })].Type
	}
	outputType := func(name string) ir.Type {
		return f.Results[slices.IndexFunc(f.Results, func(r ir.Result) bool { return r.State == nil && r.Name == name })].Value.Type
	}
	c := &deviceCall{device: d, syms: syms, arena: &emu.Memory{Data: make([]byte, pf.ArenaBytes)},
		inputs: ports(pf.Inputs, inputType), outputs: ports(pf.Outputs, outputType)}
	for i, p := range pf.Inputs {
		d.move(c.inputs[i].Data, inputType(p.Name), in[p.Name], true)
	}
	for _, l := range pf.Launches {
		c.launch(l)
	}
	out := map[string]*eval.Tensor{}
	for i, p := range pf.Outputs {
		t := outputType(p.Name)
		shape, err := t.Eval(syms)
		if err != nil {
			d.t.Fatal(err)
		}
		out[p.Name] = eval.New(t.DType, shape...)
		d.move(c.outputs[i].Data, t, out[p.Name], false)
	}
	return out
}

// stateOf finds a state's memory and type.
func (d *device) stateOf(name string) ([]byte, ir.Type) {
	d.t.Helper()
	for _, f := range d.m.Funcs {
		for _, p := range f.Params {
			if p.Kind == ir.State && p.Name == name {
				return d.states[d.r.State(p)].Data, p.Type
			}
		}
	}
	d.t.Fatalf("no state %s", name)
	return nil, ir.Type{}
}

// state returns what a state holds.
func (d *device) state(name string) *eval.Tensor {
	d.t.Helper()
	memory, typ := d.stateOf(name)
	shape, err := typ.Eval(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	x := eval.New(typ.DType, shape...)
	d.move(memory, typ, x, false)
	return x
}

// setState sets what a state holds.
func (d *device) setState(name string, x *eval.Tensor) {
	d.t.Helper()
	memory, typ := d.stateOf(name)
	d.move(memory, typ, x, true)
}

// move copies a tensor to or from memory, where symbols lie at their bounds and booleans are i32.
func (d *device) move(memory []byte, typ ir.Type, x *eval.Tensor, to bool) {
	strides, size, stored := d.m.DenseStrides(typ.Shape), typ.DType.MemoryBytes(), typ.DType
	if stored == ir.Bool {
		stored = ir.I32
	}
	for i := range x.Data {
		off, rest := int64(0), i
		for k := len(x.Shape) - 1; k >= 0; k-- {
			off += int64(rest%x.Shape[k]) * strides[k]
			rest /= x.Shape[k]
		}
		at := memory[off*size : (off+1)*size]
		if to {
			one := eval.Tensor{DType: stored, Data: x.Data[i : i+1]}
			copy(at, one.Encode())
		} else if one, err := eval.Decode(stored, at); err != nil {
			d.t.Fatal(err)
		} else {
			x.Data[i] = one.Data[0]
		}
	}
}

// deviceCall is a call in progress.
type deviceCall struct {
	*device
	syms            map[string]int
	arena           *emu.Memory
	inputs, outputs []*emu.Memory
}

// argument resolves an argument of a launch.
func (c *deviceCall) argument(a program.Arg) any {
	p := emu.Pointer{Offset: a.Offset}
	for _, t := range a.Terms {
		p.Offset += t.Stride * int64(c.syms[c.p.Symbols[t.Sym].Name])
	}
	switch a.Space {
	case program.SpaceWeights:
		p.Memory = c.weights
	case program.SpaceArena:
		p.Memory = c.arena
	case program.SpaceState:
		p.Memory = c.states[a.Index]
	case program.SpaceInput:
		p.Memory = c.inputs[a.Index]
	case program.SpaceOutput:
		p.Memory = c.outputs[a.Index]
	case program.SpaceSymbol:
		return int64(c.syms[c.p.Symbols[a.Index].Name])
	}
	return p
}

func (c *deviceCall) launch(l program.Launch) {
	c.t.Helper()
	k := c.r.Kernels[l.Kernel]
	c.count[kernels.Kind(k.Spec)]++
	if _, row := k.Spec.(*kernels.Row); row && slices.Contains(k.Args, kernels.Arg{Kind: kernels.ArgWork}) {
		c.prologue = true
	}
	var syms []int64
	for _, s := range c.p.Symbols {
		syms = append(syms, int64(c.syms[s.Name]))
	}
	var args []any
	for _, a := range l.Args {
		args = append(args, c.argument(a))
	}
	launch(c.t, c.module, k, l.Tasks.Eval(syms), args...)
}
