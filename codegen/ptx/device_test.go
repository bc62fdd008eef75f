package ptx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgc/codegen"
	"pgc/codegen/kernels"
	"pgc/codegen/ptx/emu"
	store "pgc/codegen/weights"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/target"
	"pgc/ir/tile"
	"pgc/passes"
	"pgc/runtime/program"
)

// weights are tensors by the name in a checkpoint.
type weights map[string]*eval.Tensor

func (w weights) Tensor(key string) (store.Tensor, error) {
	t := w[key]
	return store.Tensor{DType: t.DType, Shape: t.Shape, Data: t.Encode()}, nil
}

// Need and Drop do nothing: all is in memory.
func (w weights) Need(string, int64, int64) {}
func (w weights) Drop(string, int64, int64) {}

// device runs the functions of a compiled module with PTX in place of machine code: the launch lists, memory plan and specs
// are those of the CPU. The tile interpreter runs attention, of which there is no PTX.
type device struct {
	t       *testing.T
	m       *ir.Module
	r       *codegen.Result
	weights *emu.Memory
	states  []*emu.Memory
	count   map[string]int // kernels that ran, by kind
	// prologue says that a product had one.
	prologue bool
	text     map[int][]*Kernel
	entries  map[int]*module
}

// passesOff are the passes that make what has no PTX.
var passesOff = map[string]bool{"fuse-argmax": true}

func newDevice(t *testing.T, m *ir.Module, w weights) *device {
	t.Helper()
	// A product here has all its columns; the argmax of them is a row.
	if err := passes.Optimize(m, passes.Options{Check: true, Off: passesOff}); err != nil {
		t.Fatal(err)
	}
	cpu, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	r, err := codegen.Lower(m, cpu)
	if err != nil {
		t.Fatal(err)
	}
	var section bytes.Buffer
	if err := r.WriteWeights(&section, w, store.Writing{}); err != nil {
		t.Fatal(err)
	}
	d := &device{t: t, m: m, r: r, weights: &emu.Memory{Data: section.Bytes()}, count: map[string]int{}, text: map[int][]*Kernel{},
		entries: map[int]*module{}}
	for _, s := range r.Program.States {
		d.states = append(d.states, &emu.Memory{Data: make([]byte, s.Bytes)})
	}
	return d
}

// call runs a function on inputs and returns its outputs by name.
func (d *device) call(name string, in map[string]*eval.Tensor, syms map[string]int) map[string]*eval.Tensor {
	d.t.Helper()
	f, pf := d.m.Func(name), d.r.Program.Func(name)
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
		p.Offset += t.Stride * int64(c.syms[c.r.Program.Symbols[t.Sym].Name])
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
		return int64(c.syms[c.r.Program.Symbols[a.Index].Name])
	}
	return p
}

func (c *deviceCall) size(s kernels.Size) int64 {
	if s.Sym != "" {
		return int64(c.syms[s.Sym])
	}
	return s.N
}

func (c *deviceCall) tasks(fs []kernels.Factor) int64 {
	n := int64(1)
	for _, f := range fs {
		n *= (c.size(f.Size) + f.Div - 1) / f.Div
	}
	return n
}

func (c *deviceCall) launch(l program.Launch) {
	c.t.Helper()
	cpu := c.r.Kernels[l.Kernel]
	if cpu.Tile.Group { // several launches in one
		for member := range slices.Chunk(l.Args[1:], len(cpu.Args)) {
			c.member(l.Kernel, member, l.Args[0].Offset)
		}
		return
	}
	var syms []int64
	for _, s := range c.r.Program.Symbols {
		syms = append(syms, int64(c.syms[s.Name]))
	}
	c.member(l.Kernel, l.Args, l.Tasks.Eval(syms))
}

// member runs a kernel; tasks are those of the CPU's.
func (c *deviceCall) member(kernel int, from []program.Arg, tasks int64) {
	c.t.Helper()
	spec, cpu := c.r.Specs[kernel], c.r.Kernels[kernel]
	c.count[spec.Kind()]++
	args := map[kernels.Arg]any{}
	var all []any
	for i, a := range cpu.Args {
		args[a] = c.argument(from[i])
		all = append(all, args[a])
	}
	switch s := spec.(type) {
	case *kernels.Map, *kernels.Row, *kernels.Einsum:
	case *kernels.Matmul:
		c.operands(s, args)
	default: // the CPU's kernel, interpreted
		for i, a := range all {
			if p, ok := a.(emu.Pointer); ok {
				all[i] = tile.Buffer(p.Memory.Data[p.Offset:])
			}
		}
		if err := tile.Run(cpu.Tile, all, tasks); err != nil {
			c.t.Fatal(err)
		}
		return
	}
	if c.entries[kernel] == nil {
		c.text[kernel] = emitSpec(c.t, fmt.Sprintf("%s_%d", spec.Kind(), kernel), spec)
		c.entries[kernel] = parsed(c.t, c.text[kernel]...)
	}
	for _, k := range c.text[kernel] {
		var in []any
		for _, a := range k.Args {
			in = append(in, args[a])
		}
		launch(c.t, c.entries[kernel], k, c.tasks(k.Tasks), in...)
	}
}

// emitSpec emits a spec.
func emitSpec(t testing.TB, name string, s kernels.Spec) []*Kernel {
	t.Helper()
	ks, err := Build(name, s)
	if err != nil {
		t.Fatal(err)
	}
	return ks
}

// operands puts the operands of a product into the layout of the tensor cores' kernel: x, or the workspace of a prologue,
// and the weights from their panels.
func (c *deviceCall) operands(s *kernels.Matmul, args map[kernels.Arg]any) {
	rows, stride := c.size(s.M), Padded(s.K)
	xStride := RowStride(s)
	x := emu.Pointer{Memory: &emu.Memory{Data: make([]byte, 2*rows*xStride)}}
	if s.Prologue != nil {
		c.prologue = true
		args[kernels.Arg{Kind: kernels.ArgIn, Index: Workspace}] = x
	} else {
		from := args[kernels.Arg{Kind: kernels.ArgIn}].(emu.Pointer)
		for i := range rows * s.K {
			at := from.Offset + 4*(i/s.K*s.XStride+i%s.K)
			putBF16(x, i/s.K*xStride+i%s.K, element(tile.F32, from.Memory.Data[at:], 0))
		}
		args[kernels.Arg{Kind: kernels.ArgIn}] = x
	}
	for i, p := range s.Parts {
		block := (p.N + kernels.PanelWidth - 1) / kernels.PanelWidth * kernels.PanelWidth
		for j := range p.Accs {
			arg := kernels.Arg{Kind: kernels.ArgIn, Index: s.FirstOperand(i) + j}
			from := args[arg].(emu.Pointer)
			to := emu.Pointer{Memory: &emu.Memory{Data: make([]byte, 2*p.Blocks*p.N*stride)}}
			for n := range p.Blocks * p.N {
				panel := n/p.N*block + n%p.N
				for k := range s.K {
					at := panel/kernels.PanelWidth*s.K*kernels.PanelWidth + k*kernels.PanelWidth + panel%kernels.PanelWidth
					putBF16(to, n*stride+k, element(p.Elem, from.Memory.Data[from.Offset:], int(at)))
				}
			}
			args[arg] = to
		}
	}
}

// putBF16 stores a number as element i, rounded to nearest.
func putBF16(p emu.Pointer, i int64, v float64) {
	bits := math.Float32bits(float32(v))
	binary.LittleEndian.PutUint16(p.Memory.Data[2*i:], uint16((bits+0x7fff+bits>>16&1)>>16))
}
