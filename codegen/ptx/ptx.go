// Package ptx is the backend for NVIDIA GPUs of compute capability 8.0 and later: kernels become the text of a PTX 7.4
// module, which runtime/gpu executes.
//
// A fragment of 32 lanes is one register in each thread of a warp, and a scalar is a register that holds the same in
// all of them. So the templates Map, Row and Einsum, built for sm80, are lowered as they are: a warp takes a task,
// lane i of a load is thread i's address, a tail is a predicate on the lane, a reduction by halves is shuffles. A
// kernel whose operands lie such that it has no vectors gives every thread a task of its own. Warps stride over the
// tasks, so any grid will do.
//
// The loops of a matrix product are not shared with the CPU: up to eight rows stream weights from memory to the tensor cores (few), in
// blocks that share K where they are few (few_split.go), more have a pipeline of asynchronous copies into swizzled shared memory (many).
// Sums end in shared memory, and the end is the tile kernel kernels.Epilogue, whose expressions are those that the CPU runs. A prologue is
// a tile kernel of rows. Attention is a template of its own, too, with the CPU's expressions for scores and weights.
//
// Arithmetic is that of the tile interpreter, bit for bit, but for the payload of NaN: every rounding is .rn, nothing
// is contracted or approximated, and transcendental functions are the polynomials of ir/scalar. Only how the tensor
// cores add is their own; emu knows how an H100 does it.
//
// The tests run every kernel in the emulator emu and, where PGC_CUDA is set, on a GPU, too (docs/PTX.md).
//
// Every kernel's last parameter is the number of tasks; any parameter may lie in a cell (cellBit). The package never
// sees a graph.
package ptx

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/target"
	"pgc/runtime/program"
)

// sm80 is what kernels are built for: the lanes are a warp's. Tasks are short, as there are thousands of warps.
var sm80 = target.Target{Name: "sm_80", Level: "sm_80", Lanes: warp, Regs: 255, Task: 1024, L1: 128 << 10, L2: 4 << 20, Threads: true}

// quads is the same with fragments of four elements a thread, which it reads and writes at once.
var quads = func() target.Target { t := sm80; t.Lanes = 4 * warp; return t }()

const (
	warp    = 32
	threads = 128 // of a block
)

// Backend compiles for GPUs: maps, rows and einsums are the tile kernels of the CPU, products have a loop of their own.
// A program's code is the text of one module.
func Backend() *backend.Backend {
	return &backend.Backend{
		Target:   program.Target{Kind: program.PTX, CPU: sm80.Name},
		Without:  []string{"join-products"},
		With:     []string{"fuse-rows-prologue"},
		Layout:   layout,
		Device:   onDevice,
		Build:    build,
		Assemble: assemble,
	}
}

// layout is that of the CPU, so that a file for both has weights once; the device repacks them.
func layout(program.DType, bool) program.Layout {
	return program.Layout{Kind: program.LayoutPanels, KPack: 1}
}

// build emits the kernels of a spec: one of a map, row or einsum, those of product and argmax, attention.
func build(name string, s kernels.Spec) (*backend.Launches, error) {
	switch s := s.(type) {
	case *kernels.Map:
		k, err := emitSpec(name, lookingInFragments(s))
		if err != nil {
			return nil, err
		}
		return &backend.Launches{Kernels: []*backend.Kernel{k}}, nil
	case *kernels.Row, *kernels.Einsum:
		k, err := emitSpec(name, s)
		if err != nil {
			return nil, err
		}
		return &backend.Launches{Kernels: []*backend.Kernel{k}}, nil
	case *kernels.Matmul:
		return multiply(name, s)
	case *kernels.Argmax:
		return argmax(name, s)
	case *kernels.Top:
		return topOf(name, s)
	case *kernels.Attention:
		return attend(name, s)
	}
	return nil, fmt.Errorf("kernel %s: PTX: no template for %s", name, kernels.Kind(s))
}

// lookingInFragments is a map whose packed tables lie as they do on the device.
func lookingInFragments(s *kernels.Map) *kernels.Map {
	m := *s
	m.In = slices.Clone(s.In)
	for i, o := range m.In {
		if o.Rows != nil && o.Rows.Panel > 0 {
			m.In[i].Rows = &kernels.Lookup{Index: o.Rows.Index, Panel: o.Rows.Panel, Group: o.Rows.Group, Fragments: true}
		}
	}
	return &m
}

// emitSpec emits a spec that is one tile kernel.
func emitSpec(name string, s kernels.Spec) (out *backend.Kernel, err error) {
	defer recovered(name, &err)
	k, _, err := widest(name, s)
	if err != nil {
		return nil, err
	}
	out, _ = emitTile(k)
	out.Spec = s
	return out, nil
}

// widest builds a kernel with four elements a thread if all of them are read and written at once, else with one. It also
// returns how many lanes its fragments have.
func widest(name string, s kernels.Spec) (k *kernels.Kernel, lanes int, err error) {
	if wide(s) {
		if k, err = kernels.Build(name, s, quads); err != nil {
			return nil, 0, err
		}
		if _, whole := emitTile(k); whole {
			return k, quads.Lanes, nil
		}
	}
	k, err = kernels.Build(name, s, sm80)
	return k, warp, err
}

// wide reports whether rows of a spec are long enough for fragments of four elements a thread.
func wide(s kernels.Spec) bool {
	last := func(sizes []kernels.Size) bool {
		n := sizes[len(sizes)-1]
		return n.Sym == "" && n.N >= int64(quads.Lanes)
	}
	switch s := s.(type) {
	case *kernels.Map:
		return last(s.Dims)
	case *kernels.Row:
		return last([]kernels.Size{s.C})
	case *kernels.Rows:
		return last([]kernels.Size{kernels.Const(s.Matmul.K)})
	}
	return false
}

const head = ".version 7.4\n.target sm_80\n.address_size 64\n"

// assemble puts the kernels' entries, in order, into a module.
func assemble(_ context.Context, ks []*backend.Kernel) (*backend.Code, error) {
	code := &backend.Code{Section: program.SectionPTX, Align: 1, Bytes: []byte(head)}
	if slices.ContainsFunc(ks, func(k *backend.Kernel) bool { return k.DynamicShared }) {
		code.Bytes = fmt.Appendf(code.Bytes, ".extern .shared .align 128 .b8 %s[];\n", dynamicName)
	}
	for _, k := range ks {
		code.Bytes = append(code.Bytes, '\n')
		code.Offsets = append(code.Offsets, int64(len(code.Bytes)))
		code.Bytes = append(code.Bytes, k.Text...)
	}
	code.Text = int64(len(code.Bytes))
	return code, nil
}

// mostStatic is the most shared memory that a kernel has without being launched with it, and dynamicName what it is then
// called.
const (
	mostStatic  = 48 << 10
	dynamicName = "dynamic_memory"
)

// entry makes the text of a kernel of threads without shared memory.
func (a *asm) entry(name string, params []param) string {
	return a.entryOf(&program.Kernel{Name: name, Threads: threads}, params)
}

// entryOf makes a kernel's text of its body: parameters, registers, instructions.
func (a *asm) entryOf(k *program.Kernel, params []param) string {
	var out strings.Builder
	fmt.Fprintf(&out, ".visible .entry %s(\n", k.Name)
	for i, p := range params {
		fmt.Fprintf(&out, "\t.param .%s %s", p.typ, p.name)
		if i < len(params)-1 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
	}
	fmt.Fprintf(&out, ")\n.reqntid %d, 1, 1\n%s{\n", k.Threads, a.directives)
	for c, n := range a.used {
		if n > 0 {
			fmt.Fprintf(&out, "\t.reg .%s %s<%d>;\n", classes[c].typ, classes[c].prefix, n)
		}
	}
	text := a.text.String()
	switch {
	case k.DynamicShared:
		text = strings.ReplaceAll(text, sharedName, dynamicName)
	case k.SharedBytes > 0:
		fmt.Fprintf(&out, "\t.shared .align 128 .b8 %s[%d];\n", sharedName, k.SharedBytes)
	}
	out.WriteString(text)
	out.WriteString("\tret;\n}\n")
	return out.String()
}

// param is a parameter of an entry.
type param struct{ typ, name string }
